import { type ClientDemand, timedRound } from '../client-round.ts';

/** Of the whole browser, which cannot tell by itself. */
const processorSeconds = async (): Promise<number> => Number(await (await fetch('/processor-seconds')).text());

addEventListener('message', ({ data }: MessageEvent<ClientDemand>) => {
  timedRound(data, processorSeconds).then(postMessage, (error: unknown) => postMessage({ error: String(error) }));
});
