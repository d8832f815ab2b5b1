import { TacitError } from '../core/errors.ts';
import { sumOfSquares } from '../kernels/squares.ts';
import { FLOAT_SLACK } from '../privacy/rounded-noise.ts';
import { readExamples } from '../text/encode.ts';
import type { TrainingErrorCode } from './errors.ts';
import { type GradientRequest, recordParts, unitParts } from './gradient-parts.ts';

export interface GradientSum {
  /** Σ min(1, C/‖g_i‖)·g_i over the sample, in trainableLayout order; the zero vector for an empty sample. */
  readonly sum: Float32Array;
  /** Examples that are in the sum. */
  readonly examples: number;
  /** Privacy units that are in the sum, each of norm at most C: what the mechanism is to be told. The examples, without `units`. */
  readonly units: number;
  /** Mean loss over them; NaN for none. It stays on this device. */
  readonly meanLoss: number;
  /** Part of the units whose gradient was longer than C, in [0, 1]; NaN for none or without clipping. Stays on this device. */
  readonly clippedFraction: number;
  /** Indices of examples left out because a loss or gradient was not finite. */
  readonly dropped: readonly number[];
}

/**
 * One client's part of a `dp-fedsgd` round before noise: the sum of its sampled examples' clipped gradients. Adding or
 * removing one record (with `units`: one person) changes it by at most C in L2 norm, whatever the batch shapes, since
 * every unit is clipped by itself and micro-batches only add up.
 * @throws TRAINING_NOT_CLIPPED, TRAINING_STOPPED
 */
export async function clippedGradientSum(request: GradientRequest): Promise<GradientSum> {
  const into = request.into ?? new Float32Array(request.bert.trainableLayout.length);
  const dropped: number[] = [];
  let [examples, units, loss, clipped] = [0, 0, 0, 0];
  let sum: Float32Array | Float64Array | undefined;
  const all = { ...request, examples: readExamples(request.examples, request.indices), into };
  for await (const part of request.units === undefined ? recordParts(all) : unitParts(all, request.units)) {
    examples += part.examples;
    units += part.units;
    loss += part.loss;
    clipped += part.clipped;
    dropped.push(...part.dropped);
    sum = sum === undefined ? part.sum : added(sum, part.sum);
  }
  sum ??= into.fill(0);
  if (request.l2Clip !== Number.POSITIVE_INFINITY) requireClipped(sum, request.l2Clip * units);
  if (sum instanceof Float64Array) into.set(sum);
  return {
    sum: sum instanceof Float64Array ? into : sum,
    examples,
    units,
    meanLoss: loss / examples,
    clippedFraction: request.l2Clip === Number.POSITIVE_INFINITY ? Number.NaN : clipped / units,
    dropped: dropped.sort((a, b) => a - b),
  };
}

/** In float64: a sum of many float32 parts would round by more than the mechanism's allowance. */
function added(sum: Float32Array | Float64Array, part: Float32Array | Float64Array): Float64Array {
  const total = sum instanceof Float64Array ? sum : new Float64Array(sum);
  for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (part[i] as number);
  return total;
}

/** n clipped gradients add up to at most n·C. The allowance is for float32 rounding inside the engine. */
function requireClipped(sum: Float32Array | Float64Array, bound: number): void {
  const norm = Math.sqrt(sumOfSquares(sum));
  if (norm <= bound * (1 + FLOAT_SLACK)) return;
  throw new TacitError<TrainingErrorCode>(
    'TRAINING_NOT_CLIPPED',
    `the gradient sum has norm ${norm}, its clip allows ${bound}`,
    {
      fix: 'The engine does not clip: run `tacit doctor` and report it.',
    },
  );
}
