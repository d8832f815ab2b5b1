import type { GradientModel } from '../bert/model.ts';
import type { Rng } from '../core/rng.ts';
import { weightedUpdate } from '../privacy/weighted-sum.ts';
import { siloMechanism } from '../protocol/commitment.ts';
import { clipOf, type PlanStage, weightingOf } from '../protocol/plan-stage.ts';
import type { Terms } from '../protocol/terms.ts';
import type { Examples } from '../text/encode.ts';
import type { BatchShape } from '../training/batches.ts';
import { clippedGradientSum } from '../training/dp-fedsgd.ts';
import type { FeatureCache } from '../training/features.ts';
import { type LocalTraining, limitNorm } from '../training/local.ts';
import { clippedLocalDelta, localDpSgdDelta } from '../training/local-dp.ts';
import type { OptimizerSpec } from '../training/optimizers.ts';
import { poissonSample } from '../training/sampling.ts';
import { poissonSampleUnits, type Units } from '../training/units.ts';
import type { TrainedSum } from './trainer.ts';

export interface LocalUpdate {
  /** Holds the weights that the round begins with. */
  readonly bert: GradientModel;
  readonly shape: BatchShape;
  readonly terms: Terms;
  readonly stage: number;
  readonly examples: Examples;
  readonly units?: Units;
  readonly features?: FeatureCache;
  readonly rng: Rng;
  readonly signal: AbortSignal;
}

type Stage<A extends PlanStage['algorithm']> = Extract<PlanStage, { algorithm: A }>;

/** What this client adds to a round's sum, by the stage's algorithm. */
export function localUpdate(update: LocalUpdate): Promise<TrainedSum> {
  const stage = update.terms.plan.stages[update.stage] as PlanStage;
  switch (stage.algorithm) {
    case 'dp-fedsgd':
      return gradientSum(update, stage);
    case 'local-dp-sgd':
      return noisedSteps(update, stage);
    case 'dp-fedavg':
      return clippedChange(update, stage);
    case 'none':
      return change(update, stage);
  }
}

async function gradientSum(update: LocalUpdate, { samplingProbability, l2Clip }: Stage<'dp-fedsgd'>) {
  const { examples, units, rng } = update;
  const indices =
    units === undefined
      ? poissonSample(examples.length, samplingProbability, rng)
      : poissonSampleUnits(units, samplingProbability, rng);
  const result = await clippedGradientSum({ ...update, indices, l2Clip });
  const dropped = result.dropped.length;
  return { sum: result.sum, units: result.units, examples: result.examples, loss: result.meanLoss, dropped };
}

/** Noised step by step, so that the change may be cut to any length. */
async function noisedSteps(update: LocalUpdate, stage: Stage<'local-dp-sgd'>): Promise<TrainedSum> {
  const { steps, learningRate } = stage.local;
  const { delta, examples, loss } = await localDpSgdDelta({
    ...update,
    steps,
    learningRate,
    optimizer: optimizerOf(stage.local),
    samplingProbability: stage.samplingProbability,
    mechanism: siloMechanism(update.terms, update.stage),
  });
  limitNorm(delta, stage.longestUpdate);
  return { sum: delta, units: 1, examples, loss };
}

/**
 * The client draws by itself, in secret, whether it is in the round. When it is not it trains all the same and sends zeros
 * with its noise: how long it takes tells nobody.
 */
async function clippedChange(update: LocalUpdate, stage: Stage<'dp-fedavg'>): Promise<TrainedSum> {
  const chosen = poissonSample(1, stage.samplingProbability, update.rng).length === 1;
  const trained = await change(update, stage);
  if (chosen) return trained;
  return { ...trained, sum: new Float32Array(trained.sum.length), units: 0 };
}

/** Clipped first, then weighted: its length is at most the weight times the bound. */
async function change(update: LocalUpdate, stage: Stage<'dp-fedavg' | 'none'>): Promise<TrainedSum> {
  const { local } = stage;
  const { bert, shape, examples, features, rng, signal } = update;
  const totalSteps = local.epochs * Math.ceil(examples.length / local.batchSize);
  const training: LocalTraining = {
    bert,
    shape,
    examples,
    rng,
    signal,
    epochs: local.epochs,
    batchSize: local.batchSize,
    optimizer: optimizerOf(local),
    schedule: {
      kind: local.schedule,
      learningRate: local.learningRate,
      warmupSteps: local.warmupSteps,
      totalSteps,
    },
    proximalMu: local.proximalMu,
    ...(local.dropout > 0 ? { dropoutSeed: dropoutSeed(rng) } : {}),
    ...(local.gradientNorm === undefined ? {} : { gradientNorm: local.gradientNorm }),
    ...(features === undefined ? {} : { features }),
  };
  const bound = clipOf(stage);
  const { sum, examples: seen, loss } = await clippedLocalDelta(training, bound);
  const weighting = weightingOf(stage);
  const sent = weighting === undefined ? sum : weightedUpdate(sum, examples.length, weighting, bound);
  return { sum: sent, units: 1, examples: seen, loss };
}

/** Another one every round; 24 bits, so that it stays exact with the step's number added. */
function dropoutSeed(rng: Rng): number {
  return rng.bytes(3).reduce((seed, byte) => 256 * seed + byte, 0);
}

function optimizerOf({
  optimizer,
  momentum,
  weightDecay,
}: Stage<'dp-fedavg'>['local'] | Stage<'local-dp-sgd'>['local']): OptimizerSpec {
  if (optimizer === 'sgd') return { kind: 'sgd', momentum, l2: weightDecay };
  return optimizer === 'adam' ? { kind: 'adam', l2: weightDecay } : { kind: 'adamw', weightDecay };
}
