import { TacitError } from '../core/errors.ts';
import type { AggregationErrorCode } from './errors.ts';

/** The mean of the last few rounds' weights: less noise at no cost in privacy, since it is post-processing. */
export interface IterateAverage {
  push(weights: Float32Array): void;
  /** Mean of what is held. @throws AGGREGATION_INPUT before the first push */
  mean(): Float32Array;
  /** Oldest first, for crash recovery: pushing them into a new average restores it. */
  state(): readonly Float32Array[];
}

/** @param size - iterates in the mean, at least 1 */
export function createIterateAverage(size: number, state: readonly Float32Array[] = []): IterateAverage {
  if (!(Number.isInteger(size) && size >= 1)) {
    throw new TacitError<AggregationErrorCode>('AGGREGATION_OPTION', `${size} iterates cannot be averaged`);
  }
  const held = state.slice(-size).map((w) => w.slice());
  return {
    push(weights) {
      held.push(weights.slice());
      if (held.length > size) held.shift();
    },
    mean() {
      const length = held[0]?.length;
      if (length === undefined)
        throw new TacitError<AggregationErrorCode>('AGGREGATION_INPUT', 'there is no iterate yet');
      const sum = new Float64Array(length);
      for (const weights of held) for (let i = 0; i < length; i++) sum[i] = (sum[i] as number) + (weights[i] as number);
      return Float32Array.from(sum, (x) => x / held.length);
    },
    state: () => held.map((w) => w.slice()),
  };
}
