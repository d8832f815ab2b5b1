import { TacitError } from '../core/errors.ts';
import type { AggregationErrorCode } from './errors.ts';

export type Vector = Float32Array | Float64Array;

/** @throws AGGREGATION_INPUT unless there is one update and all have one length */
export function requireUpdates(updates: readonly Vector[]): number {
  const length = updates[0]?.length;
  if (length === undefined)
    throw new TacitError<AggregationErrorCode>('AGGREGATION_INPUT', 'there is no update to merge');
  if (updates.some((u) => u.length !== length)) {
    throw new TacitError<AggregationErrorCode>('AGGREGATION_INPUT', 'the updates have different lengths');
  }
  return length;
}

/**
 * FedAvg: Σ w_k·u_k / Σ w_k, in float64 (McMahan et al. 2017, Algorithm 1).
 * @param weights - example counts ≥ 0, not all 0
 * @throws AGGREGATION_INPUT
 */
export function weightedMean(updates: readonly Vector[], weights: readonly number[]): Float64Array {
  const length = requireUpdates(updates);
  const total = weights.reduce((sum, w) => sum + w, 0);
  if (weights.length !== updates.length || weights.some((w) => !(w >= 0)) || !(total > 0 && Number.isFinite(total))) {
    throw new TacitError<AggregationErrorCode>(
      'AGGREGATION_INPUT',
      `the weights ${weights.join(', ')} do not fit ${updates.length} updates`,
    );
  }
  const out = new Float64Array(length);
  for (const [k, update] of updates.entries()) {
    const w = (weights[k] as number) / total;
    for (let i = 0; i < length; i++) out[i] = (out[i] as number) + w * (update[i] as number);
  }
  return out;
}

/**
 * The update of a `dp-fedsgd` round from the decoded noisy sum of clipped gradients: −sum / (B·C). B is the *expected*
 * batch q·N, fixed by the plan and public, so that dividing by it says nothing about who was sampled (Abadi et al.
 * 2016; McMahan et al. 2018, "fixed denominator"). Dividing by C makes the learning rate independent of the clip.
 */
export function meanUpdate(gradientSum: Vector, expectedBatch: number, l2Clip: number): Float64Array {
  const scale = expectedBatch * l2Clip;
  if (!(scale > 0 && Number.isFinite(scale))) {
    throw new TacitError<AggregationErrorCode>(
      'AGGREGATION_OPTION',
      `expected batch ${expectedBatch} and clip ${l2Clip} must be positive`,
    );
  }
  return Float64Array.from(gradientSum, (x) => -x / scale);
}

/** FedProx (Li et al. 2020): µ/2·‖w − w_global‖², and its gradient µ·(w − w_global) added to `gradient` in place. */
export function addProximal(gradient: Vector, parameters: Vector, globalParameters: Vector, mu: number): number {
  let square = 0;
  for (let i = 0; i < gradient.length; i++) {
    const d = (parameters[i] as number) - (globalParameters[i] as number);
    square += d * d;
    gradient[i] = (gradient[i] as number) + mu * d;
  }
  return (mu / 2) * square;
}
