import { addProximal, meanUpdate } from '../aggregation/fedavg.ts';
import type { GradientModel } from '../bert/model.ts';
import { TacitError } from '../core/errors.ts';
import { type Rng, shuffle } from '../core/rng.ts';
import { sumOfSquares } from '../kernels/squares.ts';
import { decode, type MechanismParameters, privatise } from '../privacy/mechanism.ts';
import type { Layout } from '../tensor/layout.ts';
import type { Examples } from '../text/encode.ts';
import type { BatchShape } from './batches.ts';
import { clippedGradientSum, type GradientSum } from './dp-fedsgd.ts';
import type { TrainingErrorCode } from './errors.ts';
import type { FeatureCache } from './features.ts';
import { createOptimizer, type OptimizerSpec, type OptimizerState } from './optimizers.ts';
import { learningRateAt, type Schedule } from './schedules.ts';
import { poissonSampleUnits, type Units } from './units.ts';
import { trainingSpace } from './vectors.ts';

export interface LocalTraining {
  readonly bert: GradientModel;
  readonly examples: Examples;
  readonly shape: BatchShape;
  readonly epochs: number;
  /** Examples a step; more than the shape's rows are accumulated over micro-batches. With `privacy`: units, expected. */
  readonly batchSize: number;
  readonly optimizer: OptimizerSpec;
  readonly schedule: Schedule;
  /** Bound on the norm of a step's mean gradient (not private); absent: none. */
  readonly gradientNorm?: number;
  /** FedProx: pull towards the weights that training began with. */
  readonly proximalMu?: number;
  readonly features?: FeatureCache;
  /** Drop values at the config's rates, by masks that this seed decides. */
  readonly dropoutSeed?: number;
  /** DP-SGD in this process (Abadi et al. 2016): Poisson samples, clipped units, noise, the same code as a federated client. */
  readonly privacy?: LocalPrivacy;
  /** Where an interrupted training goes on; every other option, and the seed of `rng`, must be what they were. */
  readonly resume?: TrainingState;
  /** Shuffles the batches; with `privacy`, draws samples and noise. */
  readonly rng: Rng;
  readonly signal?: AbortSignal;
}

export interface LocalPrivacy {
  /** minimumCohort − colluders is 1: this process's noise alone has to do. */
  readonly mechanism: MechanismParameters;
  /** The unit of privacy; absent: the record. */
  readonly units?: Units;
}

/** What a training needs besides its options to go on. */
export interface TrainingState {
  /** Steps done. */
  readonly step: number;
  readonly weights: Float32Array;
  readonly optimizer: OptimizerState;
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
  /** A copy of where training stands. */
  state(): TrainingState;
}

/** Steps of a whole training. */
export function stepsOf({
  examples,
  batchSize,
  epochs,
  privacy,
}: Pick<LocalTraining, 'examples' | 'batchSize' | 'epochs' | 'privacy'>): number {
  return epochs * Math.ceil((privacy?.units?.count ?? examples.length) / batchSize);
}

/**
 * Training in one process: plain, for public data, for debugging (algorithm `none`) and for comparing with private; or,
 * with `privacy`, DP-SGD. The bert holds the trained weights. Leaving the iteration stops it between two steps.
 * @throws TRAINING_OPTION, TRAINING_STOPPED
 */
export async function* trainLocally(options: LocalTraining): AsyncGenerator<LocalStep> {
  const { bert, batchSize, resume } = options;
  if (!(Number.isInteger(batchSize) && batchSize > 0)) {
    throw new TacitError<TrainingErrorCode>(
      'TRAINING_OPTION',
      `batch size ${batchSize} is not a positive whole number`,
    );
  }
  const { space, weights, gradient } = trainingSpace(bert.trainableLayout.length, options.optimizer);
  const optimizer = createOptimizer(options.optimizer, resume?.optimizer, space);
  const decayed = decayMask(bert.trainableLayout);
  const start = bert.trainable();
  bert.keepIn(weights);
  if (resume !== undefined) weights.set(resume.weights);
  bert.setTrainable(weights);
  const steps = stepsOf(options);
  let step = 0;
  try {
    for (const indices of samples(options, steps)) {
      step++;
      if (step <= (resume?.step ?? 0)) continue;
      const part = await stepGradient(options, indices, step, gradient);
      const learningRate = learningRateAt(options.schedule, step - 1);
      if (part.stepped) {
        let { scale } = part;
        if (options.proximalMu !== undefined) {
          for (let i = 0; i < part.sum.length; i++) part.sum[i] = scale * (part.sum[i] as number);
          addProximal(part.sum, weights, start, options.proximalMu);
          scale = 1;
        }
        optimizer.step(weights, part.sum, learningRate, decayed, scale);
        bert.setTrainable(weights);
      }
      const { examples, meanLoss, dropped } = part;
      const epoch = Math.ceil((step * options.epochs) / steps);
      const done = step;
      const state = (): TrainingState => ({ step: done, weights: weights.slice(), optimizer: optimizer.state() });
      yield { step, steps, epoch, learningRate, examples, meanLoss, dropped, state };
    }
  } finally {
    // Not in the training space any longer, which is four times as large and may be freed now.
    bert.keepIn(new Float32Array(weights.length));
  }
}

type StepGradient = GradientSum & { readonly scale: number; readonly stepped: boolean };

/** The mean, of at most `bound` in L2 norm. A sum that is not finite is no step: none of its examples counts. */
function plainStep(part: GradientSum, indices: readonly number[], bound = Number.POSITIVE_INFINITY): StepGradient {
  const { sum, examples } = part;
  if (examples === 0) return { ...part, stepped: false, scale: 0 };
  const norm = Math.sqrt(sumOfSquares(sum)) / examples;
  if (!Number.isFinite(norm))
    return { ...part, examples: 0, units: 0, meanLoss: Number.NaN, dropped: indices, stepped: false, scale: 0 };
  return { ...part, stepped: true, scale: Math.min(1, bound / norm) / examples };
}

/** Whose gradients each step takes: shuffled batches, or with `privacy` a Poisson sample of the units. */
function* samples({ examples, epochs, batchSize, privacy, rng }: LocalTraining, steps: number): Generator<number[]> {
  if (privacy !== undefined) {
    const units = privacy.units ?? { of: Int32Array.from(Array(examples.length).keys()), count: examples.length };
    const probability = Math.min(1, batchSize / units.count);
    for (let step = 0; step < steps; step++) yield poissonSampleUnits(units, probability, rng);
    return;
  }
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = shuffle(rng, [...Array(examples.length).keys()]);
    for (let at = 0; at < order.length; at += batchSize) yield order.slice(at, at + batchSize);
  }
}

/** A step's gradient: `scale` times `sum`. An empty plain batch is no step; a private one always is, with its noise. */
async function stepGradient(
  { bert, examples, shape, features, signal, dropoutSeed, privacy, batchSize, rng, gradientNorm }: LocalTraining,
  indices: readonly number[],
  step: number,
  into: Float32Array,
): Promise<StepGradient> {
  const units = privacy?.units;
  const part = await clippedGradientSum({
    bert,
    examples,
    indices,
    shape,
    into,
    l2Clip: privacy?.mechanism.l2Clip ?? Number.POSITIVE_INFINITY,
    ...(features === undefined ? {} : { features }),
    ...(units === undefined ? {} : { units }),
    ...(dropoutSeed === undefined ? {} : { dropoutSeed: dropoutSeed + step * MASKS_A_STEP }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (privacy === undefined) return plainStep(part, indices, gradientNorm);
  const { mechanism } = privacy;
  const noisy = decode(privatise(part.sum, mechanism, rng, part.units), mechanism);
  const expected = Math.min(batchSize, units?.count ?? examples.length);
  into.set(meanUpdate(noisy, expected, mechanism.l2Clip));
  // The update points down the gradient; the optimizer wants the gradient.
  return { ...part, sum: into, stepped: true, scale: -1 };
}

/** Micro-batches of one step never reach this many, so no two draw the same dropout masks. */
const MASKS_A_STEP = 1 << 16;

/** Weight decay spares biases and layer norms, as in BERT's own training (Devlin et al. 2019). */
export function decayMask(layout: Layout): Uint8Array {
  const mask = new Uint8Array(layout.length).fill(1);
  for (const { name, offset, length } of layout.entries)
    if (/(^|\.)bias$|LayerNorm/.test(name)) mask.fill(0, offset, offset + length);
  return mask;
}

/** Scales `vector` in place to at most `bound` in L2 norm; returns the norm it had. */
export function limitNorm(vector: Float32Array | Float64Array, bound: number): number {
  const norm = Math.sqrt(sumOfSquares(vector));
  if (norm > bound) for (let i = 0; i < vector.length; i++) vector[i] = ((vector[i] as number) * bound) / norm;
  return norm;
}
