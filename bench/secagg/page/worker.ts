import { type ClientDemand, timedRound } from '../client-round.ts';

addEventListener('message', ({ data }: MessageEvent<ClientDemand>) => {
  timedRound(data).then(
    (seconds) => postMessage({ seconds }),
    (error: unknown) => postMessage({ error: String(error) }),
  );
});
