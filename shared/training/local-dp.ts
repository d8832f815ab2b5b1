import { meanUpdate } from '../aggregation/fedavg.ts';
import type { GradientModel } from '../bert/model.ts';
import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import { decode, type MechanismParameters, privatise } from '../privacy/mechanism.ts';
import type { Examples } from '../text/encode.ts';
import type { BatchShape } from './batches.ts';
import { clippedGradientSum } from './dp-fedsgd.ts';
import type { TrainingErrorCode } from './errors.ts';
import type { FeatureCache } from './features.ts';
import { decayMask, type LocalTraining, limitNorm, trainLocally } from './local.ts';
import { createOptimizer, type OptimizerSpec } from './optimizers.ts';
import { poissonSampleUnits, type Units } from './units.ts';

export interface LocalDpSgd {
  readonly bert: GradientModel;
  readonly examples: Examples;
  /** Whose examples they are, when the unit of privacy is a person. */
  readonly units?: Units;
  readonly shape: BatchShape;
  /** K; each is one Poisson-sampled Gaussian release for the accountant. */
  readonly steps: number;
  readonly samplingProbability: number;
  /** minimumCohort − colluders must be 1: this silo's noise alone has to do. Its l2Clip is enforced on every unit. */
  readonly mechanism: MechanismParameters;
  readonly optimizer: OptimizerSpec;
  readonly learningRate: number;
  readonly features?: FeatureCache;
  readonly rng: Rng;
  readonly signal?: AbortSignal;
}

/** What local training changed. Examples and loss stay on this device. */
export interface LocalDelta {
  readonly delta: Float32Array;
  /** Examples that the steps looked at. */
  readonly examples: number;
  /** Mean loss over them; NaN for none. */
  readonly loss: number;
}

/**
 * `local-dp-sgd` (ISRL-DP, Lowy & Razaviyayn 2023): K noisy steps at the silo with its full noise, so that it need trust
 * nobody; the delta is post-processing. The bert is left at the weights it had before.
 * @throws TRAINING_OPTION when the mechanism counts on others' noise
 */
export async function localDpSgdDelta(options: LocalDpSgd): Promise<LocalDelta> {
  const { bert, mechanism, rng, samplingProbability } = options;
  if (mechanism.minimumCohort - mechanism.colluders !== 1) {
    throw new TacitError<TrainingErrorCode>('TRAINING_OPTION', 'local noise may not count on the noise of other silos');
  }
  const units = options.units ?? eachItsOwn(options.examples.length);
  const optimizer = createOptimizer(options.optimizer);
  const decayed = decayMask(bert.trainableLayout);
  const start = bert.trainable();
  const weights = start.slice();
  let [examples, loss] = [0, 0];
  for (let step = 0; step < options.steps; step++) {
    const indices = poissonSampleUnits(units, samplingProbability, rng);
    const part = await clippedGradientSum({ ...options, indices, l2Clip: mechanism.l2Clip });
    const noisy = decode(privatise(part.sum, mechanism, rng, part.units), mechanism);
    const update = meanUpdate(noisy, samplingProbability * units.count, mechanism.l2Clip);
    const gradient = Float32Array.from(update, (u) => -u);
    optimizer.step(weights, gradient, options.learningRate, decayed);
    bert.setTrainable(weights);
    examples += part.examples;
    loss += part.examples === 0 ? 0 : part.meanLoss * part.examples;
  }
  bert.setTrainable(start);
  return { delta: weights.map((w, i) => w - (start[i] as number)), examples, loss: loss / examples };
}

/**
 * `dp-fedavg` (McMahan et al. 2018): local epochs, then the whole delta clipped. It protects the *client*: one record
 * can turn the clipped delta from one end of the ball to the other, so no record-level claim may rest on it.
 * The bert is left at the weights it had before.
 * @returns a delta of at most `l2Clip` in L2 norm, the length it had, and the last epoch's mean loss; noise and masks come after
 */
export async function clippedLocalDelta(
  training: LocalTraining,
  l2Clip: number,
): Promise<{ sum: Float32Array; examples: number; loss: number; norm: number }> {
  const { bert, epochs } = training;
  const start = bert.trainable();
  let [examples, loss] = [0, 0];
  for await (const step of trainLocally(training)) {
    if (step.epoch < epochs || step.examples === 0) continue;
    examples += step.examples;
    loss += step.meanLoss * step.examples;
  }
  const sum = bert.trainable().map((w, i) => w - (start[i] as number));
  bert.setTrainable(start);
  return { sum, examples, loss: loss / examples, norm: limitNorm(sum, l2Clip) };
}

function eachItsOwn(count: number): Units {
  return { of: Int32Array.from({ length: count }, (_, i) => i), count };
}
