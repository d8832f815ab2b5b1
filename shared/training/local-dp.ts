import { meanUpdate } from '../aggregation/fedavg.ts';
import type { Bert } from '../bert/model.ts';
import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import { decode, type MechanismParameters, privatise } from '../privacy/mechanism.ts';
import type { EncodedExample } from '../text/encode.ts';
import type { BatchShape } from './batches.ts';
import { clippedGradientSum } from './dp-fedsgd.ts';
import type { TrainingErrorCode } from './errors.ts';
import type { FeatureCache } from './features.ts';
import { type LocalTraining, limitNorm, trainLocally } from './local.ts';
import { createOptimizer, type OptimizerSpec } from './optimizers.ts';
import { poissonSample } from './sampling.ts';

export interface LocalDpSgd {
  readonly bert: Bert;
  readonly examples: readonly EncodedExample[];
  readonly shape: BatchShape;
  /** K; each is one Poisson-sampled Gaussian release for the accountant. */
  readonly steps: number;
  readonly samplingProbability: number;
  /** minimumCohort − colluders must be 1: this silo's noise alone has to do. Its l2Clip is enforced on every example. */
  readonly mechanism: MechanismParameters;
  readonly optimizer: OptimizerSpec;
  readonly learningRate: number;
  readonly features?: FeatureCache;
  readonly rng: Rng;
}

/**
 * `local-dp-sgd` (ISRL-DP, Lowy & Razaviyayn 2023): K noisy steps at the silo with its full noise, so that it need trust
 * nobody; the delta is post-processing. The bert is left at the weights it had before.
 * @returns what the weights moved by
 * @throws TRAINING_OPTION when the mechanism counts on others' noise
 */
export async function localDpSgdDelta(options: LocalDpSgd): Promise<Float32Array> {
  const { bert, examples, shape, mechanism, rng } = options;
  if (mechanism.minimumCohort - mechanism.colluders !== 1) {
    throw new TacitError<TrainingErrorCode>('TRAINING_OPTION', 'local noise may not count on the noise of other silos');
  }
  const optimizer = createOptimizer(options.optimizer);
  const start = bert.trainable();
  const weights = start.slice();
  for (let step = 0; step < options.steps; step++) {
    const indices = poissonSample(examples.length, options.samplingProbability, rng);
    const features = options.features === undefined ? {} : { features: options.features };
    const part = await clippedGradientSum({ bert, examples, indices, l2Clip: mechanism.l2Clip, shape, ...features });
    const noisy = decode(privatise(part.sum, mechanism, rng, part.examples).values, mechanism);
    const update = meanUpdate(noisy, options.samplingProbability * examples.length, mechanism.l2Clip);
    optimizer.step(
      weights,
      Float32Array.from(update, (u) => -u),
      options.learningRate,
    );
    bert.setTrainable(weights);
  }
  bert.setTrainable(start);
  return weights.map((w, i) => w - (start[i] as number));
}

/**
 * `dp-fedavg` (McMahan et al. 2018): local epochs, then the whole delta clipped. It protects the *client*: one record
 * can turn the clipped delta from one end of the ball to the other, so no record-level claim may rest on it.
 * The bert is left at the weights it had before.
 * @returns a delta of at most `l2Clip` in L2 norm; noise and masks come after
 */
export async function clippedLocalDelta(
  training: LocalTraining,
  l2Clip: number,
): Promise<{ sum: Float32Array; examples: 1; norm: number }> {
  const { bert } = training;
  const start = bert.trainable();
  for await (const _ of trainLocally(training));
  const sum = bert.trainable().map((w, i) => w - (start[i] as number));
  bert.setTrainable(start);
  return { sum, examples: 1, norm: limitNorm(sum, l2Clip) };
}
