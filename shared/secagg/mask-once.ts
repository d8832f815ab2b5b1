import { TacitError } from '../core/errors.ts';
import { isNoisedStream, type NoisedStream } from '../privacy/noised-stream.ts';
import type { SecaggErrorCode } from './errors.ts';
import type { MaskStream } from './mask.ts';

/** Something would leave under a mask, or for a second time, that must not. */
export function reused(what: string): TacitError<SecaggErrorCode> {
  return new TacitError('SECAGG_MASK_REUSED', what, { fix: 'Train and noise again for a new session.' });
}

const consumed = new WeakSet<NoisedStream>();

/**
 * Only what was noised is masked, and once: the difference of two sums that hold the same noised vectors is the vector of
 * whoever is in one of them only. Counts as the one time.
 * @throws SECAGG_MASK_REUSED
 */
export function checkMaskable(noised: NoisedStream, masks: readonly MaskStream[]): void {
  if (!isNoisedStream(noised) || consumed.has(noised) || masks.length === 0)
    throw reused('only a noised vector can be masked, once');
  consumed.add(noised);
}
