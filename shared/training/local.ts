import { addProximal } from '../aggregation/fedavg.ts';
import type { Bert } from '../bert/model.ts';
import { TacitError } from '../core/errors.ts';
import { type Rng, shuffle } from '../core/rng.ts';
import type { Layout } from '../tensor/layout.ts';
import type { EncodedExample } from '../text/encode.ts';
import type { BatchShape } from './batches.ts';
import { clippedGradientSum, type GradientSum } from './dp-fedsgd.ts';
import type { TrainingErrorCode } from './errors.ts';
import { evaluate } from './evaluate.ts';
import type { FeatureCache } from './features.ts';
import type { Metrics } from './metrics.ts';
import { createOptimizer, type OptimizerSpec } from './optimizers.ts';
import { learningRateAt, type Schedule } from './schedules.ts';
import { squaredLength, trainingSpace } from './vectors.ts';

export interface LocalTraining {
  readonly bert: Bert;
  readonly examples: readonly EncodedExample[];
  readonly shape: BatchShape;
  readonly epochs: number;
  /** Examples a step; more than the shape's rows are accumulated over micro-batches. */
  readonly batchSize: number;
  readonly optimizer: OptimizerSpec;
  readonly schedule: Schedule;
  /** Bound on the norm of a step's mean gradient (not private); absent: none. */
  readonly gradientNorm?: number;
  /** FedProx: pull towards the weights that training began with. */
  readonly proximalMu?: number;
  readonly features?: FeatureCache;
  /** Shuffles the batches. */
  readonly rng: Rng;
  readonly signal?: AbortSignal;
}

export interface LocalStep {
  /** 1-based, over all epochs. */
  readonly step: number;
  readonly steps: number;
  /** 1-based. */
  readonly epoch: number;
  readonly learningRate: number;
  readonly examples: number;
  readonly meanLoss: number;
  readonly dropped: readonly number[];
}

/**
 * Plain training, for public data, for debugging (algorithm `none`) and for comparing private with plain. The bert
 * holds the trained weights. Leaving the iteration stops it between two steps.
 * @throws TRAINING_OPTION, TRAINING_STOPPED
 */
export async function* trainLocally(options: LocalTraining): AsyncGenerator<LocalStep> {
  const { bert, examples, batchSize, shape, signal, features } = options;
  if (!(Number.isInteger(batchSize) && batchSize > 0)) {
    throw new TacitError<TrainingErrorCode>(
      'TRAINING_OPTION',
      `batch size ${batchSize} is not a positive whole number`,
    );
  }
  const { space, weights, gradient } = trainingSpace(bert.trainableLayout.length, options.optimizer);
  const optimizer = createOptimizer(options.optimizer, undefined, space);
  const decayed = decayMask(bert.trainableLayout);
  const start = bert.trainable();
  weights.set(start);
  const perEpoch = Math.ceil(examples.length / batchSize);
  for (let step = 0; step < options.epochs * perEpoch; ) {
    const order = shuffle(
      options.rng,
      Array.from(examples, (_, i) => i),
    );
    for (let at = 0; at < order.length; at += batchSize) {
      const indices = order.slice(at, at + batchSize);
      const part = await clippedGradientSum({
        bert,
        examples,
        indices,
        shape,
        l2Clip: Number.POSITIVE_INFINITY,
        into: gradient,
        ...(features === undefined ? {} : { features }),
        ...(signal === undefined ? {} : { signal }),
      });
      const learningRate = learningRateAt(options.schedule, step++);
      if (part.examples > 0) {
        let scale = meanScale(part, options.gradientNorm);
        if (options.proximalMu !== undefined) {
          for (let i = 0; i < part.sum.length; i++) part.sum[i] = scale * (part.sum[i] as number);
          addProximal(part.sum, weights, start, options.proximalMu);
          scale = 1;
        }
        optimizer.step(weights, part.sum, learningRate, decayed, scale);
        bert.setTrainable(weights);
      }
      const epoch = Math.ceil(step / perEpoch);
      yield {
        step,
        steps: options.epochs * perEpoch,
        epoch,
        learningRate,
        examples: part.examples,
        meanLoss: part.meanLoss,
        dropped: part.dropped,
      };
    }
  }
}

/** What makes the sum the mean, of at most `bound` in L2 norm. */
function meanScale({ sum, examples }: GradientSum, bound: number | undefined): number {
  const norm = bound === undefined ? 0 : Math.sqrt(squaredLength(sum)) / examples;
  return (bound !== undefined && norm > bound ? bound / norm : 1) / examples;
}

/** Weight decay spares biases and layer norms, as in BERT's own training (Devlin et al. 2019). */
export function decayMask(layout: Layout): Uint8Array {
  const mask = new Uint8Array(layout.length).fill(1);
  for (const { name, offset, length } of layout.entries)
    if (/(^|\.)bias$|LayerNorm/.test(name)) mask.fill(0, offset, offset + length);
  return mask;
}

/** Scales `vector` in place to at most `bound` in L2 norm; returns the norm it had. */
export function limitNorm(vector: Float32Array | Float64Array, bound: number): number {
  const norm = Math.sqrt(squaredLength(vector));
  if (norm > bound) for (let i = 0; i < vector.length; i++) vector[i] = ((vector[i] as number) * bound) / norm;
  return norm;
}

export interface EarlyStopping {
  readonly held: readonly EncodedExample[];
  readonly heldFeatures?: FeatureCache;
  readonly classes: number;
  /** Steps between two evaluations. */
  readonly every: number;
  /** Evaluations without a better loss before training stops. */
  readonly patience: number;
}

/** Trains until the held-out loss stops falling and puts the best weights into the bert. */
export async function trainWithEarlyStopping(
  options: LocalTraining,
  stopping: EarlyStopping,
  onStep?: (step: LocalStep, metrics: Metrics | undefined) => void,
): Promise<{ readonly step: number; readonly metrics: Metrics }> {
  const { bert, shape } = options;
  const look = (): Promise<Metrics> => evaluate(bert, stopping.held, stopping.classes, shape, stopping.heldFeatures);
  let best = { step: 0, metrics: await look(), weights: bert.trainable() };
  let worse = 0;
  for await (const step of trainLocally(options)) {
    const metrics = step.step % stopping.every === 0 || step.step === step.steps ? await look() : undefined;
    onStep?.(step, metrics);
    if (metrics === undefined) continue;
    if (metrics.loss < best.metrics.loss) {
      best = { step: step.step, metrics, weights: bert.trainable() };
      worse = 0;
    } else if (++worse >= stopping.patience) break;
  }
  bert.setTrainable(best.weights);
  return { step: best.step, metrics: best.metrics };
}
