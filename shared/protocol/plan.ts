import { z } from 'zod';
import { canonicalBytes, type Json } from '../core/canonical.ts';
import { TacitError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import { issueInWords } from '../core/issues.ts';
import { RING_BITS } from '../kernels/packing.ts';
import type { ProtocolErrorCode } from './errors.ts';
import { stageSchema, weightingOf } from './plan-stage.ts';

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
const column = z.string().min(1).max(100);

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

const promise = {
  epsilon: z.number().positive().max(1000),
  delta: z.number().gt(0).lt(0.01),
  scope: z.string().min(1).max(200),
  period: z.string().min(1).max(50),
};

const privacy = z.discriminatedUnion('unit', [
  z.strictObject({ unit: z.literal('record'), ...promise }),
  /** `column`: whose record it is. All records of a person enter a round together and are clipped together. */
  z.strictObject({ unit: z.literal('person'), column: z.string().min(1).max(100), ...promise }),
  z.strictObject({ unit: z.literal('client'), ...promise }),
  /** Nothing is hidden but by the masks. `because` is shown to everybody who is asked. */
  z.strictObject({ unit: z.literal('none'), because: z.string().min(1).max(300), scope: promise.scope }),
]);

const columns = {
  /** Column of the text; several are joined by a line break. */
  text: z.union([column, z.array(column).min(1).max(20)]),
  /** Column of what is to be learnt. */
  label: column,
  /** Names of the columns of CSV files without a header line. */
  header: z.array(column).min(2).max(100).optional(),
};

const labelled = {
  ...columns,
  /** What stands in the label column for which label, e.g. `{ "1": World }`. */
  labelValues: z.record(z.string().max(100), z.string().max(100)).optional(),
};

const labels = (least: number) =>
  z
    .array(z.string().min(1).max(100))
    .min(least)
    .max(1000)
    .refine((l) => new Set(l).size === l.length, 'a label is named twice');

const task = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('classification'), labels: labels(2), ...labelled }),
  /** Any number of the labels each, separated by `;` or `|` (JSONL: a list). */
  z.strictObject({
    kind: z.literal('multi-label'),
    labels: labels(1).refine((l) => l.every((x) => !/[;|]/.test(x)), 'a label holds ; or |, which separate labels'),
    ...labelled,
  }),
  /** The label column holds a number. */
  z.strictObject({ kind: z.literal('regression'), ...columns }),
  /** Texts without labels: masked LM, and next sentence besides. */
  z.strictObject({
    kind: z.literal('pretraining'),
    text: columns.text,
    header: columns.header,
    /** What one text of a `.txt` file is: one text is one record. */
    textPer: z.enum(['file', 'paragraph', 'line']).default('file'),
    /** Share of a text's word pieces that are to be predicted (Devlin et al. 2019, §3.1). */
    maskingProbability: z.number().gt(0).max(0.5).default(0.15),
    /** Words are hidden in full. */
    wholeWord: z.boolean().default(true),
    /** Tell whether the second part of a text follows the first, too. */
    nextSentence: z.boolean().default(false),
    /** The masked-LM head trains besides what a stage names; without it, it stays as the checkpoint has it. */
    trainHead: z.boolean().default(true),
  }),
]);

const schema = z.strictObject({
  name,
  purpose: z.string().min(1).max(500),
  model: z.strictObject({
    from: z.union([z.string().min(1).max(500), freshModel]),
    /** Of a task with labels. */
    head: z.enum(['mean', 'pooler']).optional(),
    /** Word pieces of a text that are read; the rest is cut off. */
    maxTokens: z.number().int().min(8).max(512),
  }),
  task,
  privacy,
  stages: z.array(stageSchema).min(1).max(10),
  secureAggregation: z.strictObject({
    minimumCohort: z.number().int().min(4).max(1000),
    colluders: z.number().int().min(0).max(500),
    /** Most clients in one round; the ring is sized for it. */
    maximumCohort: z.number().int().min(5).max(64).default(16),
    /** b: sums are taken mod 2^b and uploads have b bits a number. Below 32 rounding and wrap-around leave less room. */
    ringBits: z.literal(RING_BITS).default(32),
  }),
  deadlines: z.strictObject({
    /** Waiting for enough participants before a round. */
    join: duration.default(3_600_000),
    training: duration,
    phase: duration,
  }),
  evaluation: z.strictObject({
    every: z.number().int().min(1).max(10_000),
    /** Evaluations of the last stage in a row without a lower loss, after which the run ends early. */
    patience: z.number().int().min(1).max(10_000).optional(),
  }),
  clients: z.strictObject({ minimum: z.number().int().min(5).max(1000) }),
});

/** What an operator asks for. All the words of plans/*.yaml; σ is computed from it, never typed beside ε. */
export type Plan = z.output<typeof schema>;
export type { PlanStage } from './plan-stage.ts';

/** ε, δ and whose data: what a plan promises. */
export type PrivacyPromise = Exclude<Plan['privacy'], { unit: 'none' }>;

/** What a plan promises, or undefined for one that says it promises nothing. */
export function promiseOf({ privacy }: Plan): PrivacyPromise | undefined {
  return privacy.unit === 'none' ? undefined : privacy;
}

/** What the head's outputs are called: the labels, or for regression the column whose number it says; none for pre-training. */
export function labelsOf({ task }: Pick<Plan, 'task'>): readonly string[] {
  if (task.kind === 'pretraining') return [];
  return task.kind === 'regression' ? [task.label] : task.labels;
}

/** The head of a task with labels, which a plan for one always names. */
export function headOf({ model }: Pick<Plan, 'model'>): 'mean' | 'pooler' {
  return model.head as 'mean' | 'pooler';
}

/** For what makes sense with a promise only. @throws PLAN_INVALID */
export function requirePromise(plan: Plan): PrivacyPromise {
  const promise = promiseOf(plan);
  if (promise !== undefined) return promise;
  throw new TacitError<ProtocolErrorCode>('PLAN_INVALID', `plan ${plan.name} promises no privacy`, {
    where: 'privacy.unit',
    fix: 'Give a unit, an epsilon and a delta.',
  });
}

/**
 * A plan out of a parsed YAML or JSON document.
 * @param where - the file's name, for the message
 * @throws PLAN_INVALID with every problem and its path at once; PLAN_CLAIM_FALSE when its privacy claim cannot hold
 */
export function parsePlan(document: unknown, where: string): Plan {
  const parsed = schema.safeParse(document);
  const problems = parsed.success ? headProblems(parsed.data) : parsed.error.issues.map(issueInWords);
  if (!parsed.success || problems.length > 0) {
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

function headProblems({ model, task }: Plan): string[] {
  if (task.kind === 'pretraining')
    return model.head === undefined ? [] : ['model.head: pretraining has a head of its own; leave it out'];
  return model.head === undefined ? [`model.head: ${task.kind} needs one, mean or pooler`] : [];
}

/** Claims that the schema alone cannot see through. */
function claimProblems(plan: Plan): string[] {
  return [
    ...algorithmProblems(plan),
    ...weightingProblems(plan),
    ...dropoutProblems(plan),
    ...labelProblems(plan),
    ...trainedHeadProblems(plan),
    ...cohortProblems(plan),
  ];
}

/** What an algorithm's clip bounds has to be what the plan says it hides. */
function algorithmProblems({ privacy, stages }: Plan): string[] {
  return stages.flatMap(({ algorithm }, index) => {
    const where = `stages.${index}`;
    if (privacy.unit === 'none')
      return algorithm === 'none'
        ? []
        : [`${where}: ${algorithm} adds noise, but privacy.unit says none; give a unit and an epsilon`];
    if (algorithm === 'none')
      return [
        `${where}: algorithm none promises nothing, but the plan claims epsilon ${privacy.epsilon} for one ${privacy.unit}`,
      ];
    if (algorithm === 'dp-fedavg' && privacy.unit !== 'client')
      return [
        `${where}: clipping the change of a model after local steps without noise bounds a client, not a ${privacy.unit}: for one ${privacy.unit} the sensitivity is twice the clip; claim the unit client, or use dp-fedsgd or local-dp-sgd`,
      ];
    if (algorithm !== 'dp-fedavg' && privacy.unit === 'client')
      return [
        `${where}: ${algorithm} clips every record by itself, which bounds no client; use dp-fedavg, or claim the unit record or person`,
      ];
    return [];
  });
}

/** A minimum that no cohort can exceed would make a weighted mean of none. */
function weightingProblems({ stages, secureAggregation: { maximumCohort } }: Plan): string[] {
  return stages.flatMap((stage, index) => {
    const weighting = weightingOf(stage);
    if (weighting === undefined || weighting.minimumTotal <= weighting.maximumExamples * maximumCohort) return [];
    return [
      `stages.${index}.weighting: ${maximumCohort} clients of at most ${weighting.maximumExamples} examples never reach a total of ${weighting.minimumTotal}`,
    ];
  });
}

function dropoutProblems({ stages }: Plan): string[] {
  return stages.flatMap((stage, index) =>
    'local' in stage && 'dropout' in stage.local && stage.local.dropout > 0 && stage.train === 'head'
      ? [`stages.${index}: dropout would drop nothing, as only the head trains`]
      : [],
  );
}

function labelProblems({ task }: Plan): string[] {
  if (task.kind === 'regression' || task.kind === 'pretraining') return [];
  const strange = Object.values(task.labelValues ?? {}).filter((l) => !task.labels.includes(l));
  return strange.length === 0 ? [] : [`task.labelValues: ${strange.join(', ')} is not among the labels`];
}

function trainedHeadProblems({ task, stages }: Plan): string[] {
  if (task.kind !== 'pretraining' || task.trainHead) return [];
  return stages.flatMap(({ train }, index) =>
    train === 'head' ? [`stages.${index}: nothing would train: task.trainHead keeps the head as it is`] : [],
  );
}

/**
 * Fewest clients that a round is opened for: n ≥ 5, n ≥ n_min, and n − T_c ≥ 4, with which the threshold ⌊(n + T_c)/2⌋ + 1 has
 * three honest shares.
 */
export function leastCohort({ secureAggregation }: Pick<Plan, 'secureAggregation'>): number {
  const { minimumCohort, colluders } = secureAggregation;
  return Math.max(5, minimumCohort, colluders + 4);
}

function cohortProblems(plan: Plan): string[] {
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
      `secureAggregation.minimumCohort ${minimumCohort} is more than clients.minimum ${plan.clients.minimum}: no round could end; at most ${plan.clients.minimum}, or more clients`,
    );
  }
  if (minimumCohort - colluders < 3) {
    problems.push(
      `secureAggregation: with ${colluders} colluder(s) of a cohort of ${minimumCohort}, fewer than 3 honest clients hide in the sum; at most ${minimumCohort - 3} colluder(s), or a minimumCohort of at least ${colluders + 3}`,
    );
  }
  if (plan.clients.minimum - colluders < 4) {
    problems.push(
      `secureAggregation: with ${colluders} colluder(s) of ${plan.clients.minimum} clients, fewer than 3 honest shares stand before a secret; at most ${plan.clients.minimum - 4} colluder(s), or a clients.minimum of at least ${colluders + 4}`,
    );
  }
  return problems;
}

/** SHA-256 (hex) of the plan's RFC 8785 form: what participants consent to. */
export function planHash(plan: Plan): string {
  return sha256Hex(canonicalBytes(plan as unknown as Json));
}
