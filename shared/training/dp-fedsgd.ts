import type { Bert, Gradients } from '../bert/model.ts';
import { TacitError } from '../core/errors.ts';
import { FLOAT_SLACK } from '../privacy/mechanism-parameters.ts';
import type { EncodedExample } from '../text/encode.ts';
import { type BatchShape, microBatches } from './batches.ts';
import type { TrainingErrorCode } from './errors.ts';
import type { FeatureCache } from './features.ts';

export interface GradientRequest {
  readonly bert: Pick<Bert, 'trainableLayout' | 'gradients' | 'headGradients'>;
  readonly examples: readonly EncodedExample[];
  /** The round's sample, from poissonSample; may be empty. */
  readonly indices: readonly number[];
  /** C > 0. Infinity: plain gradients, for runs without privacy. */
  readonly l2Clip: number;
  readonly shape: BatchShape;
  /** For `trainable: 'head'`: features computed once. Absent: the whole backward pass. */
  readonly features?: FeatureCache;
  readonly signal?: AbortSignal;
}

export interface GradientSum {
  /** Σ min(1, C/‖g_i‖)·g_i over the sample, in trainableLayout order; the zero vector for an empty sample. */
  readonly sum: Float32Array;
  /** Examples that are in the sum. */
  readonly examples: number;
  /** Mean loss over them; NaN for none. It stays on this device. */
  readonly meanLoss: number;
  /** Part of them whose gradient was longer than C, in [0, 1]; NaN for none or without clipping. Stays on this device. */
  readonly clippedFraction: number;
  /** Indices of examples left out because a loss or gradient was not finite. */
  readonly dropped: readonly number[];
}

/** Rows of features in one head gradient. */
const FEATURE_ROWS = 1024;

/**
 * One client's part of a `dp-fedsgd` round before noise: the sum of its sampled examples' clipped gradients. Adding or
 * removing one record changes it by at most C in L2 norm, whatever the batch shapes, since every example is clipped
 * by itself and micro-batches only add up.
 * @throws TRAINING_NOT_CLIPPED, TRAINING_STOPPED
 */
export async function clippedGradientSum(request: GradientRequest): Promise<GradientSum> {
  const total = new Float64Array(request.bert.trainableLayout.length);
  const dropped: number[] = [];
  let examples = 0;
  let loss = 0;
  let clipped = 0;
  for await (const { gradients, rows } of parts(request)) {
    const left = new Set(gradients.dropped);
    for (const [row, index] of rows.entries()) {
      if (left.has(row)) dropped.push(index);
      else {
        examples++;
        loss += gradients.losses[row] as number;
        if ((gradients.norms[row] as number) > request.l2Clip) clipped++;
      }
    }
    const sum = gradients.clippedSum;
    for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (sum[i] as number);
  }
  requireClipped(total, request.l2Clip * examples);
  return {
    sum: Float32Array.from(total),
    examples,
    meanLoss: loss / examples,
    clippedFraction: request.l2Clip === Number.POSITIVE_INFINITY ? Number.NaN : clipped / examples,
    dropped: dropped.sort((a, b) => a - b),
  };
}

interface Part {
  readonly gradients: Gradients;
  readonly rows: readonly number[];
}

async function* parts({
  bert,
  examples,
  indices,
  l2Clip,
  shape,
  features,
  signal,
}: GradientRequest): AsyncGenerator<Part> {
  const stop = (): void => {
    if (signal?.aborted)
      throw new TacitError<TrainingErrorCode>('TRAINING_STOPPED', 'training was stopped', { cause: signal.reason });
  };
  if (features !== undefined) {
    for (let start = 0; start < indices.length; start += FEATURE_ROWS) {
      stop();
      const rows = indices.slice(start, start + FEATURE_ROWS);
      const labels = Int32Array.from(rows, (i) => (examples[i] as EncodedExample).label);
      const weights = new Float32Array(rows.length).fill(1);
      yield { rows, gradients: bert.headGradients(await features.rows(rows), labels, weights, { l2Clip }) };
    }
    return;
  }
  for (const { batch, rows } of microBatches(examples, indices, shape)) {
    stop();
    yield { rows, gradients: await bert.gradients(batch, { l2Clip }) };
  }
}

/** n clipped gradients add up to at most n·C. The allowance is for float32 rounding inside the engine. */
function requireClipped(sum: Float64Array, bound: number): void {
  let square = 0;
  for (const x of sum) square += x * x;
  const norm = Math.sqrt(square);
  if (norm <= bound * (1 + FLOAT_SLACK)) return;
  throw new TacitError<TrainingErrorCode>(
    'TRAINING_NOT_CLIPPED',
    `the gradient sum has norm ${norm}, its clip allows ${bound}`,
    {
      fix: 'The engine does not clip: run `tacit doctor` and report it.',
    },
  );
}
