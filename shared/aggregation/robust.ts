import { TacitError } from '../core/errors.ts';
import type { AggregationErrorCode } from './errors.ts';
import { requireUpdates, type Vector, weightedMean } from './fedavg.ts';

// These look at single updates, so they are for runs without secure aggregation.

/** Median of each coordinate (Yin et al. 2018); of an even number the mean of the two in the middle. */
export function coordinateMedian(updates: readonly Vector[]): Float64Array {
  const half = updates.length / 2;
  return perCoordinate(
    updates,
    (sorted) => ((sorted[Math.ceil(half) - 1] as number) + (sorted[Math.floor(half)] as number)) / 2,
  );
}

/**
 * Mean of each coordinate without its `trim` lowest and highest values (Yin et al. 2018).
 * @throws AGGREGATION_OPTION unless 0 ≤ 2·trim < updates
 */
export function trimmedMean(updates: readonly Vector[], trim: number): Float64Array {
  if (!(Number.isInteger(trim) && trim >= 0 && 2 * trim < updates.length)) {
    throw new TacitError<AggregationErrorCode>(
      'AGGREGATION_OPTION',
      `${trim} values cannot be trimmed from each side of ${updates.length}`,
    );
  }
  return perCoordinate(updates, (sorted) => {
    let sum = 0;
    for (let i = trim; i < sorted.length - trim; i++) sum += sorted[i] as number;
    return sum / (sorted.length - 2 * trim);
  });
}

function perCoordinate(updates: readonly Vector[], pick: (sorted: Float64Array) => number): Float64Array {
  const out = new Float64Array(requireUpdates(updates));
  const column = new Float64Array(updates.length);
  for (let i = 0; i < out.length; i++) {
    for (const [k, update] of updates.entries()) column[k] = update[i] as number;
    out[i] = pick(column.sort());
  }
  return out;
}

export interface KrumResult {
  /** Sum of squared distances to the n − f − 2 nearest other updates. */
  readonly scores: Float64Array;
  /** Indices of the `chosen` lowest scores, ascending. */
  readonly selected: number[];
  /** Their mean. */
  readonly value: Float64Array;
}

/**
 * Krum (`chosen` = 1) and multi-Krum (Blanchard et al. 2017).
 * @param byzantine - f, clients that may send anything
 * @throws AGGREGATION_OPTION unless n ≥ f + 3 and 1 ≤ chosen ≤ n
 */
export function krum(updates: readonly Vector[], byzantine: number, chosen = 1): KrumResult {
  requireUpdates(updates);
  const n = updates.length;
  const near = n - byzantine - 2;
  if (
    !(
      Number.isInteger(byzantine) &&
      byzantine >= 0 &&
      near >= 1 &&
      Number.isInteger(chosen) &&
      chosen >= 1 &&
      chosen <= n
    )
  ) {
    throw new TacitError<AggregationErrorCode>(
      'AGGREGATION_OPTION',
      `Krum cannot choose ${chosen} of ${n} updates with ${byzantine} byzantine`,
    );
  }
  const scores = Float64Array.from(updates, (u, i) =>
    Float64Array.from(
      updates.filter((_, j) => j !== i),
      (other) => squaredDistance(u, other),
    )
      .sort()
      .subarray(0, near)
      .reduce((sum, d) => sum + d, 0),
  );
  const order = updates.map((_, i) => i).sort((a, b) => (scores[a] as number) - (scores[b] as number) || a - b);
  const selected = order.slice(0, chosen).sort((a, b) => a - b);
  return {
    scores,
    selected,
    value: weightedMean(
      selected.map((i) => updates[i] as Vector),
      selected.map(() => 1),
    ),
  };
}

function squaredDistance(a: Vector, b: Vector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2;
  return sum;
}
