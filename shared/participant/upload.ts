import { errorCode, TacitError } from '../core/errors.ts';
import type { SecaggErrorCode } from '../secagg/errors.ts';
import { isMaskedStream, type MaskedStream } from '../secagg/masked-stream.ts';
import type { SecaggConfig } from '../secagg/messages.ts';
import type { ParticipantTransport } from './transport.ts';

/**
 * Sends a masked vector chunk by chunk, each made while the one before is on its way. A lost connection or a restarted
 * coordinator is waited for until the round ends; the upload goes on with the chunk that was not confirmed, unless the
 * coordinator has it and only its answer was lost.
 * @param session - the bearer token as it is now; a reconnection brings another one
 * @returns the first 32 bytes that left
 */
export async function uploadMasked(
  stream: MaskedStream,
  config: Pick<SecaggConfig, 'run' | 'round' | 'attempt'>,
  transport: Pick<ParticipantTransport, 'putChunk' | 'heldChunk'>,
  session: () => string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  // The type already says so; a cast must not be enough to send something else.
  if (!isMaskedStream(stream))
    throw new TacitError<SecaggErrorCode>('SECAGG_MASK_REUSED', 'only a masked vector is sent');
  const path = `/api/v1/runs/${config.run}/rounds/${config.round}.${config.attempt}/uploads`;
  let first = new Uint8Array(0);
  let next = stream.chunk(0);
  for (let index = 0; index < stream.count; index++) {
    const { bytes, sha256 } = await next;
    if (index === 0) first = bytes.slice(0, 32);
    if (index + 1 < stream.count) {
      next = stream.chunk(index + 1);
      // Whoever waits for it hears of a failure; while this chunk is being sent nobody does.
      next.catch(() => undefined);
    }
    const to = `${path}/${index}`;
    await untilSent(async (again) => {
      if (again && (await transport.heldChunk(to, session(), signal)) === sha256) return;
      await transport.putChunk(to, bytes, session(), signal, sha256);
    }, signal);
    stream.giveBack(bytes);
  }
  return first;
}

async function untilSent(send: (again: boolean) => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let waitMs = 100, again = false; ; waitMs = Math.min(2 * waitMs, 1_600), again = true) {
    try {
      return await send(again);
    } catch (error) {
      const code = errorCode(error);
      if (signal.aborted || (code !== 'CONNECTION_LOST' && code !== 'NOT_AUTHORISED')) throw error;
      await new Promise<void>((resolve) => void setTimeout(resolve, waitMs));
    }
  }
}
