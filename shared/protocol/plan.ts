import { z } from 'zod';
import { canonicalBytes, type Json } from '../core/canonical.ts';
import { TacitError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import type { ProtocolErrorCode } from './errors.ts';

/** `10m`, `30s`, `500ms` or a number of milliseconds → milliseconds. */
const duration = z
  .union([
    z.number().int().positive(),
    z.string().regex(/^\d+(\.\d+)?(ms|s|m|h)$/, 'write a duration as 500ms, 30s, 10m or 1h'),
  ])
  .transform((value) => {
    if (typeof value === 'number') return value;
    const unit = /[a-z]+$/.exec(value)?.[0] as 'ms' | 's' | 'm' | 'h';
    return Math.round(Number.parseFloat(value) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit]);
  });

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use lower-case letters, digits and dashes, at most 63');
const target = z.enum(['query', 'key', 'value', 'attention.output.dense', 'intermediate.dense', 'output.dense']);

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
});

/** Encoder blocks (0-based) that train in full, with the head above them. */
const layers = z
  .array(z.number().int().min(0).max(47))
  .min(1)
  .max(48)
  .refine((l) => new Set(l).size === l.length, 'a layer is named twice');

const freshModel = z.strictObject({
  /** A new BERT with random weights; `vocabulary` is a directory with tokenizer.json or vocab.txt. */
  fresh: z.strictObject({
    layers: z.number().int().min(1).max(48),
    hiddenSize: z.number().int().min(8).max(4096),
    heads: z.number().int().min(1).max(128),
    intermediateSize: z.number().int().min(8).max(16_384),
  }),
  vocabulary: z.string().min(1).max(500),
});

const server = z.strictObject({
  optimizer: z.enum(['sgd', 'adam', 'adagrad', 'yogi']),
  /** For the mean of the clipped gradients divided by the clip, so that it does not change with l2Clip. */
  learningRate: z.number().positive().max(1000),
  momentum: z.number().min(0).max(0.9999).default(0),
  /** Publish the mean of the last `average` iterates (post-processing, so free). 1 = the last one. */
  average: z.number().int().min(1).max(10_000).default(1),
});

const stage = z.strictObject({
  algorithm: z.literal('dp-fedsgd'),
  train: z.union([z.enum(['all', 'head']), z.strictObject({ lora }), z.strictObject({ layers })]),
  rounds: z.number().int().min(1).max(100_000),
  /** Probability with which each record enters a round, drawn independently (Poisson sampling). */
  samplingProbability: z.number().gt(0).max(1),
  /** Bound on the Euclidean norm of one unit's gradient, enforced by the client's engine. */
  l2Clip: z.number().positive().max(1e6),
  /** This stage's part of the budget, relative to the other stages' (in squared noise-to-signal, the measure that adds up). */
  share: z.number().positive().max(1e6).default(1),
  server,
});

const schema = z.strictObject({
  name,
  purpose: z.string().min(1).max(500),
  model: z.strictObject({
    from: z.union([z.string().min(1).max(500), freshModel]),
    head: z.enum(['mean', 'pooler']),
    /** Word pieces of a text that are read; the rest is cut off. */
    maxTokens: z.number().int().min(8).max(512),
  }),
  task: z.strictObject({
    kind: z.literal('classification'),
    labels: z
      .array(z.string().min(1).max(100))
      .min(2)
      .max(1000)
      .refine((l) => new Set(l).size === l.length, 'a label is named twice'),
    text: z.string().min(1).max(100),
    label: z.string().min(1).max(100),
  }),
  privacy: z.strictObject({
    unit: z.literal('record'),
    epsilon: z.number().positive().max(1000),
    delta: z.number().gt(0).lt(0.01),
    scope: z.string().min(1).max(200),
    period: z.string().min(1).max(50),
  }),
  stages: z.array(stage).min(1).max(10),
  secureAggregation: z.strictObject({
    minimumCohort: z.number().int().min(4).max(1000),
    colluders: z.number().int().min(0).max(500),
    /** Most clients in one round; the ring is sized for it. */
    maximumCohort: z.number().int().min(5).max(64).default(16),
    ringBits: z.literal(32).default(32),
  }),
  deadlines: z.strictObject({
    /** Waiting for enough participants before a round. */
    join: duration.default(3_600_000),
    training: duration,
    phase: duration,
  }),
  evaluation: z.strictObject({ every: z.number().int().min(1).max(10_000) }),
  clients: z.strictObject({ minimum: z.number().int().min(5).max(1000) }),
});

/** What an operator asks for. All the words of plans/*.yaml; σ is computed from it, never typed beside ε. */
export type Plan = z.output<typeof schema>;
export type PlanStage = Plan['stages'][number];

/**
 * A plan out of a parsed YAML or JSON document.
 * @param where - the file's name, for the message
 * @throws PLAN_INVALID with every problem and its path at once; PLAN_CLAIM_FALSE when its privacy claim cannot hold
 */
export function parsePlan(document: unknown, where: string): Plan {
  const parsed = schema.safeParse(document);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      (i) => `${i.path.length === 0 ? '(top)' : i.path.join('.')}: ${i.message}`,
    );
    throw new TacitError<ProtocolErrorCode>('PLAN_INVALID', `${problems.length} problem(s): ${problems.join('; ')}`, {
      where,
      fix: 'Correct these fields; docs/PLAN.md lists every word of a plan.',
    });
  }
  const falseClaims = claimProblems(parsed.data);
  if (falseClaims.length > 0) {
    throw new TacitError<ProtocolErrorCode>('PLAN_CLAIM_FALSE', falseClaims.join('; '), {
      where,
      fix: 'Change the plan so that what it promises is what would happen.',
    });
  }
  return parsed.data;
}

/** Claims that the schema alone cannot see through. */
function claimProblems(plan: Plan): string[] {
  const problems: string[] = [];
  const { minimumCohort, colluders, maximumCohort } = plan.secureAggregation;
  if (plan.clients.minimum > maximumCohort) {
    problems.push(
      `clients.minimum ${plan.clients.minimum} is more than secureAggregation.maximumCohort ${maximumCohort}`,
    );
  }
  if (typeof plan.model.from !== 'string' && plan.model.head === 'mean') {
    problems.push('model: a fresh model has no public whitening for a mean head; write head: pooler');
  }
  if (minimumCohort > plan.clients.minimum) {
    problems.push(
      `secureAggregation.minimumCohort ${minimumCohort} is more than clients.minimum ${plan.clients.minimum}: no round could end`,
    );
  }
  if (minimumCohort - colluders < 3) {
    problems.push(
      `secureAggregation: with ${colluders} colluder(s) of a cohort of ${minimumCohort}, fewer than 3 honest clients hide in the sum`,
    );
  }
  return problems;
}

/** SHA-256 (hex) of the plan's RFC 8785 form: what participants consent to. */
export function planHash(plan: Plan): string {
  return sha256Hex(canonicalBytes(plan as unknown as Json));
}

/** `head`, `all weights` or `lora r4 on query, value`. */
export function trainInWords(train: PlanStage['train']): string {
  if (train === 'head') return 'head';
  if (train === 'all') return 'all weights';
  if ('layers' in train) return `layers ${train.layers.join(', ')} and head`;
  return `lora r${train.lora.rank} on ${train.lora.targets.join(', ')}`;
}
