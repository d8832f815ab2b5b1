import { errorCode } from '../core/errors.ts';
import { type MaskedVector, maskedBytes } from '../secagg/mask.ts';
import type { SecaggConfig } from '../secagg/messages.ts';
import type { ParticipantTransport } from './transport.ts';

/**
 * Sends a masked vector in chunks. It exists once, so a lost connection or a restarted coordinator is waited for until the
 * round ends.
 * @param session - the bearer token as it is now; a reconnection brings another one
 */
export async function uploadMasked(
  vector: MaskedVector,
  config: SecaggConfig,
  transport: Pick<ParticipantTransport, 'putChunk'>,
  session: () => string,
  signal: AbortSignal,
): Promise<void> {
  const bytes = maskedBytes(vector);
  const path = `/api/v1/runs/${config.run}/rounds/${config.round}.${config.attempt}/uploads`;
  for (let index = 0; index * config.chunkBytes < bytes.length; index++) {
    const chunk = bytes.subarray(index * config.chunkBytes, (index + 1) * config.chunkBytes);
    await untilSent(() => transport.putChunk(`${path}/${index}`, chunk, session(), signal), signal);
  }
}

async function untilSent(send: () => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let waitMs = 100; ; waitMs = Math.min(2 * waitMs, 1_600)) {
    try {
      return await send();
    } catch (error) {
      const code = errorCode(error);
      if (signal.aborted || (code !== 'CONNECTION_LOST' && code !== 'NOT_AUTHORISED')) throw error;
      await new Promise<void>((resolve) => void setTimeout(resolve, waitMs));
    }
  }
}
