import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * Turns everybody away while the coordinator replays its store, so that clients come back in a moment instead of hanging
 * on a port that listens and says nothing. Call the returned function when the real handlers are about to be attached.
 */
export function refuseUntilReady(http: Server): () => void {
  const request = (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(503, { 'retry-after': '1', 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        error: { code: 'STARTING', what: 'the coordinator is starting', fix: 'Try again in a moment.' },
      }),
    );
  };
  const upgrade = (_: IncomingMessage, socket: Duplex): void => void socket.destroy();
  http.on('request', request).on('upgrade', upgrade);
  return () => void http.off('request', request).off('upgrade', upgrade);
}
