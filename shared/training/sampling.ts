import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { TrainingErrorCode } from './errors.ts';

const TWO_53 = 2 ** 53;
const BLOCK = 8192;

/**
 * Poisson sample: each of `count` records enters independently with `probability`, drawn from the Rng. This, and not a
 * shuffled batch of a fixed size, is what amplification by sampling is proved for (Mironov, Talwar, Zhang 2019).
 * The chance is `probability` rounded down to a multiple of 2^-53, never above it.
 * @param probability - q in [0, 1]
 * @returns indices in ascending order; may be empty
 * @throws TRAINING_OPTION
 */
export function poissonSample(count: number, probability: number, rng: Rng): number[] {
  if (!(probability >= 0 && probability <= 1)) {
    throw new TacitError<TrainingErrorCode>('TRAINING_OPTION', `sampling probability ${probability} is not in [0, 1]`);
  }
  const threshold = Math.floor(probability * TWO_53);
  const chosen: number[] = [];
  for (let start = 0; start < count; start += BLOCK) {
    const size = Math.min(BLOCK, count - start);
    const bytes = rng.bytes(size * 8);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let i = 0; i < size; i++) {
      const u = view.getUint32(8 * i) * 2 ** 21 + (view.getUint32(8 * i + 4) >>> 11);
      if (u < threshold) chosen.push(start + i);
    }
  }
  return chosen;
}
