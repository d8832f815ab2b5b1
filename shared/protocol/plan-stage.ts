import { z } from 'zod';
import { TacitError } from '../core/errors.ts';
import { LIMITS } from '../core/limits.ts';
import { jointClip, type Weighting } from '../privacy/weighted-sum.ts';
import type { ProtocolErrorCode } from './errors.ts';

const target = z.enum(['query', 'key', 'value', 'attention.output.dense', 'intermediate.dense', 'output.dense']);

const blocks = z
  .array(z.number().int().min(0).max(47))
  .min(1)
  .max(48)
  .refine((l) => new Set(l).size === l.length, 'a layer is named twice');

const lora = z.strictObject({
  rank: z.number().int().min(1).max(256),
  /** The update is scaled by alpha / rank (Hu et al. 2021, §4.1). */
  alpha: z.number().positive().max(4096),
  /** A stays as drawn and only B trains (LoRA-FA, Zhang et al. 2023): half as many numbers to noise. */
  freezeA: z.boolean().default(true),
  targets: z
    .array(target)
    .min(1)
    .max(6)
    .refine((t) => new Set(t).size === t.length, 'a target is named twice'),
  /** Encoder blocks (0-based) that are adapted; absent: all. */
  layers: blocks.optional(),
});

const server = z.strictObject({
  optimizer: z.enum(['sgd', 'adam', 'adagrad', 'yogi']),
  /**
   * `dp-fedsgd`: for the mean of the clipped gradients divided by the clip, so that it does not change with l2Clip. The
   * others: for the mean of the clients' changes, so that 1 with sgd is plain averaging.
   */
  learningRate: z.number().positive().max(1000),
  momentum: z.number().min(0).max(0.9999).default(0),
  /** Publish the mean of the last `average` iterates (post-processing, so free). 1 = the last one. */
  average: z.number().int().min(1).max(10_000).default(1),
  /** Of the learning rate over the rounds of the stage. */
  schedule: z.enum(['constant', 'linear', 'cosine']).default('constant'),
  /** Rounds in which the learning rate rises from 0. */
  warmupRounds: z.number().int().min(0).max(100_000).default(0),
});

const every = {
  /** `layers`: these encoder blocks in full, with the head above them. */
  train: z.union([z.enum(['all', 'head']), z.strictObject({ lora }), z.strictObject({ layers: blocks })]),
  rounds: z.number().int().min(1).max(100_000),
  server,
};
/** This stage's part of the budget, relative to the other stages' (in squared noise-to-signal, the measure that adds up). */
const share = z.number().positive().max(1e6).default(1);
/** Probability with which each unit enters a round (for local steps: a step), drawn independently (Poisson sampling). */
const samplingProbability = z.number().gt(0).max(1);
/** Bound on the Euclidean norm of what one unit adds, enforced where it is computed. */
const l2Clip = z.number().positive().max(1e6);
/** Longest change that a client sends when it is not what privacy rests on; it sizes the ring. */
const longestUpdate = z.number().positive().max(1e4).default(100);

const optimizerWords = {
  optimizer: z.enum(['sgd', 'adam', 'adamw']),
  learningRate: z.number().positive().max(1000),
  /** Of `sgd`. */
  momentum: z.number().min(0).max(0.9999).default(0),
  /** `adamw`: decoupled decay; `sgd` and `adam`: L2 penalty. Biases and layer norms are spared. */
  weightDecay: z.number().min(0).max(1).default(0),
};

const epochs = z.strictObject({
  epochs: z.number().int().min(1).max(1000),
  /** Records a step; more than a micro-batch holds are accumulated. */
  batchSize: z.number().int().min(1).max(100_000),
  ...optimizerWords,
  schedule: z.enum(['constant', 'linear', 'cosine']).default('constant'),
  warmupSteps: z.number().int().min(0).max(1_000_000).default(0),
  /** Bound on the norm of a step's mean gradient; absent: none. */
  gradientNorm: z.number().positive().max(1e6).optional(),
  /** µ of FedProx (Li et al. 2020): pulls local steps towards the weights that the round began with. */
  proximalMu: z.number().min(0).max(1e4).default(0),
  /** Rate of all dropout layers in local steps. */
  dropout: z.number().min(0).max(0.9).default(0),
});

const noisySteps = z.strictObject({ steps: z.number().int().min(1).max(10_000), ...optimizerWords });

const byExamples = {
  by: z.literal('examples'),
  /** Examples above which a client counts no more. */
  maximumExamples: z.number().int().min(1).max(LIMITS.records),
};
/** Clients count by their examples; absent: all alike. */
const weighting = z.strictObject(byExamples).optional();
const noisedWeighting = z
  .strictObject({
    ...byExamples,
    /** Fewest examples that a round's noised total is taken for: it is never divided by less. */
    minimumTotal: z.number().int().min(1),
  })
  .optional();
const unweighted = z
  .never({
    error:
      'only dp-fedavg and none can weight clients: how many records a client has is not covered by noise that protects a record or person',
  })
  .optional();

/** One stage of a plan, by its algorithm. */
export const stageSchema = z.discriminatedUnion('algorithm', [
  /** One noised sum of clipped gradients a round. */
  z.strictObject({
    algorithm: z.literal('dp-fedsgd'),
    ...every,
    samplingProbability,
    l2Clip,
    share,
    weighting: unweighted,
  }),
  /** Each silo takes noised steps of its own, with noise that would do without the others'. */
  z.strictObject({
    algorithm: z.literal('local-dp-sgd'),
    ...every,
    samplingProbability,
    l2Clip,
    share,
    longestUpdate,
    local: noisySteps,
    weighting: unweighted,
  }),
  /** Local epochs; each client's whole change is clipped and the sum noised. Protects a client, nothing smaller. */
  z.strictObject({
    algorithm: z.literal('dp-fedavg'),
    ...every,
    samplingProbability: samplingProbability.default(1),
    l2Clip,
    share,
    local: epochs,
    weighting: noisedWeighting,
  }),
  /** Local epochs, averaged. Promises nothing. */
  z.strictObject({ algorithm: z.literal('none'), ...every, longestUpdate, local: epochs, weighting }),
]);

export type PlanStage = z.output<typeof stageSchema>;

/** Which stage the round after so many belongs to; undefined when all are done. @param roundsCounted - over all stages */
export function stageOfRound(stages: readonly Pick<PlanStage, 'rounds'>[], roundsCounted: number): number | undefined {
  let end = 0;
  for (const [index, { rounds }] of stages.entries()) {
    end += rounds;
    if (roundsCounted < end) return index;
  }
  return undefined;
}

/** How a stage's units are chosen, and how many noisy sums it gives: what its accounting rests on. */
export function releasesOf(stage: PlanStage): {
  readonly samplingProbability: number;
  readonly rounds: number;
  readonly share: number;
} {
  if (stage.algorithm === 'none') return { samplingProbability: 1, rounds: 0, share: 1 };
  const { samplingProbability, rounds, share } = stage;
  const each = stage.algorithm === 'local-dp-sgd' ? stage.local.steps : 1;
  return { samplingProbability, rounds: rounds * each, share };
}

/** For what runs one noised sum a round only. @throws PLAN_INVALID */
export function requireFedSgd(stage: PlanStage): Extract<PlanStage, { algorithm: 'dp-fedsgd' }> {
  if (stage.algorithm === 'dp-fedsgd') return stage;
  throw new TacitError<ProtocolErrorCode>('PLAN_INVALID', `this command runs dp-fedsgd, not ${stage.algorithm}`, {
    where: 'stages.algorithm',
    fix: 'Run the plan with `tacit run`.',
  });
}

/** How clients are weighted; undefined: all alike. */
export function weightingOf({ weighting }: PlanStage): Weighting | undefined {
  if (weighting === undefined) return undefined;
  const { maximumExamples } = weighting;
  return { maximumExamples, minimumTotal: 'minimumTotal' in weighting ? weighting.minimumTotal : 1 };
}

/** Numbers that a client sends for a stage that trains `elements`. */
export function sentElements(stage: PlanStage, elements: number): number {
  return elements + (stage.weighting === undefined ? 0 : 1);
}

/** The other way round. */
export function trainedElements(stage: PlanStage, sent: number): number {
  return sent - (stage.weighting === undefined ? 0 : 1);
}

/** What the engine clips to: a unit's gradient, or a client's change before it is weighted. */
export function clipOf(stage: PlanStage): number {
  return stage.algorithm === 'none' ? stage.longestUpdate : stage.l2Clip;
}

/** Longest vector that one client adds to a round's sum, apart from noise; for `dp-fedsgd` that one unit adds. */
export function sentBound(stage: PlanStage): number {
  if (stage.weighting !== undefined) return jointClip(clipOf(stage));
  return stage.algorithm === 'local-dp-sgd' ? stage.longestUpdate : clipOf(stage);
}

/** `head`, `all weights` or `lora r4 on query, value`. */
export function trainInWords(train: PlanStage['train']): string {
  if (train === 'head') return 'head';
  if (train === 'all') return 'all weights';
  if ('layers' in train) return `layers ${train.layers.join(', ')} and head`;
  const { rank, targets, layers: where } = train.lora;
  const modules = targets.length === target.options.length ? 'every linear module' : targets.join(', ');
  return `lora r${rank} on ${modules}${where === undefined ? '' : ` of ${where.length === 1 ? 'layer' : 'layers'} ${where.join(', ')}`}`;
}
