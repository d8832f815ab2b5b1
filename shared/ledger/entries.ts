import { z } from 'zod';
import { fromUtf8, utf8 } from '../core/bytes.ts';
import { canonicalBytes, canonicalJson } from '../core/canonical.ts';
import { TacitError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import { LIMITS } from '../core/limits.ts';
import { isDecimal } from './decimal.ts';
import type { LedgerErrorCode } from './errors.ts';

/**
 * Entry kinds, version 1. A kind never changes its meaning: a new meaning is a new version beside the old one. Decimal
 * numbers are strings, hashes lower-case hex, keys and signatures base64; names follow the OpenDP deployments registry.
 */
const decimalText = z.string().refine(isDecimal, 'a decimal number as text');
const positive = decimalText.refine((t) => Number(t) > 0, 'more than 0');
const notNegative = decimalText.refine((t) => Number(t) >= 0, '0 or more');
const hash = z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits');
const key = z.base64().length(44);
const signature = z.base64().length(88);
const words = (max: number) => z.string().min(1).max(max);
/** Printable ASCII without spaces: ids also become operation ids of the store. */
const id = z.string().regex(/^[\x21-\x7e]{1,128}$/, '1–128 printable ASCII characters without spaces');
const count = z.number().int().min(0);
const round = { run: id, round: z.number().int().min(1), stage: count, attempt: z.number().int().min(1) };
const document = z.record(z.string(), z.json());

/** What a budget belongs to. */
export const budgetKeySchema = z.strictObject({
  /** Whose data, e.g. `hospital-a/discharge-notes`. */
  scope: words(200),
  /** What is protected, e.g. `record`, `person`, `client`. */
  unit: words(50),
  /** e.g. `2026`. */
  period: words(50),
});
export type BudgetKey = z.infer<typeof budgetKeySchema>;

/** What the approvers of a budget sign; `revision` counts the openings, raisings and lowerings before, so nothing can be replayed. */
export const budgetOpeningSchema = z.strictObject({
  budget: budgetKeySchema,
  epsilon: positive,
  delta: notNegative,
  revision: count,
  purpose: words(1000),
  legalBasis: words(500),
});
export type BudgetOpening = z.infer<typeof budgetOpeningSchema>;

const approverList = z.array(z.strictObject({ name: words(200), publicKey: key })).max(100);

/** What approvers sign when their list changes; `revision` counts the changes before, so nothing can be replayed. */
export const approverChangeSchema = z.strictObject({ approvers: approverList, revision: count });
export type ApproverChange = z.infer<typeof approverChangeSchema>;

/** One person's signature: whose, and by which key. The key decides, not the name. */
export const approvalSchema = z.strictObject({ approver: words(200), publicKey: key, signature });

/** The mechanism of a stage, enough to compute its sensitivity and noise again (PRIVACY.md, distributed discrete Gaussian). */
const mechanism = z.strictObject({
  name: z.literal('distributed-discrete-gaussian'),
  /** Numbers in one update. */
  dimension: z.number().int().min(1),
  /** Ring units per unit of the gradient. */
  scale: positive,
  /** Standard deviation of one client's share, in ring units. */
  localSigma: positive,
  ringBits: z.number().int().min(8).max(32),
  /** Most clients in a cohort, for the bound on wrap-around. */
  cohortMax: z.number().int().min(1),
});

const stage = z.strictObject({
  index: count,
  algorithm: words(50),
  samplingProbability: positive,
  rounds: z.number().int().min(1),
  /** Noisy sums of each client in a round, when it takes more than one step of its own. */
  releasesPerRound: z.number().int().min(1).optional(),
  l2Clip: positive,
  /** Committed: standard deviation over clip of the sum, as the coordinator with `colluders` clients sees it. Null without privacy. */
  noiseMultiplier: positive.nullable(),
  mechanism: mechanism.nullable(),
  /**
   * Clients count by their examples: up to how many, and the least that a total is taken for. Then `l2Clip` is of the update
   * alone, and noise and mechanism are for update and weight together. Absent: all alike.
   */
  weighting: z
    .strictObject({ maximumExamples: z.number().int().min(1), minimumTotal: z.number().int().min(1) })
    .optional(),
});

const member = z.strictObject({ clientId: id, organisation: words(200), publicKey: key });
export type RosterMember = z.infer<typeof member>;
const roster = z.array(member).max(LIMITS.sessionClients);

/** The members in a roster that is kept beside the log; undefined when the bytes are none. */
export function parseRoster(bytes: Uint8Array): RosterMember[] | undefined {
  try {
    return roster.safeParse(JSON.parse(fromUtf8(bytes))).data;
  } catch {
    return undefined;
  }
}

/**
 * A change of key, signed by both keys. `log`: of a log, by its origin; a client's own log, its statements and its cosignatures
 * are under one key, so the change of its log is that of the client. A log's own change is shown to participants as well, and a
 * client's to the coordinator, who know only the old key. `approver`: in one log, which is named.
 */
export const handoverSchema = z.strictObject({
  change: z.strictObject({
    role: z.enum(['log', 'approver']),
    name: words(400),
    origin: words(400).optional(),
    oldPublicKey: key,
    newPublicKey: key,
    reason: words(1000),
  }),
  signature,
  acceptance: signature,
});

const bodies = {
  /** Opens a budget, or raises it. Two approvals by different keys, unless the owner opens its own (its own ledger only). */
  'budget.open': z.strictObject({
    opening: budgetOpeningSchema,
    authority: z.enum(['two-person', 'own-data']),
    approvals: z.array(approvalSchema).min(1).max(20),
  }),
  /** Takes effect at once; needs nobody's approval. */
  'budget.lower': z.strictObject({
    budget: budgetKeySchema,
    epsilon: notNegative,
    delta: notNegative,
    reason: words(1000),
  }),
  /** What a run will do, at most. Constant for the run: its certificate is the PLD ε after all rounds. */
  'plan.commit': z.strictObject({
    run: id,
    /** SHA-256 of the RFC 8785 form of the plan document. */
    planHash: hash,
    /** The document, or null when it is the blob `plans/<planHash>.json`. */
    plan: document.nullable(),
    purpose: words(1000),
    unit: words(50),
    neighbouringRelation: words(100),
    /** Null for a run without privacy: then no budget is charged and the run says so. */
    certificate: z
      .strictObject({
        /** Against the coordinator together with `colluders` clients. */
        epsilon: positive,
        delta: positive,
        accountant: words(100),
        adversary: words(200),
        assumptions: z.array(words(500)).max(20),
      })
      .nullable(),
    minimumCohort: z.number().int().min(1),
    colluders: count,
    stages: z.array(stage).min(1).max(20),
    budgets: z.array(budgetKeySchema).max(400),
    /** SHA-256 of the weights that the run starts from. */
    modelHash: hash,
    /** Version of the software that made the commitment. */
    library: words(100),
  }),
  /** A client's signed agreement to exactly one plan hash. `document` is what it signed and repeats run and planHash. */
  consent: z.strictObject({ run: id, planHash: hash, clientId: id, publicKey: key, document, signature }),
  /** A client's, or the coordinator's own, "no". */
  refusal: z.strictObject({
    run: id.nullable(),
    planHash: hash.nullable(),
    /** `coordinator`, or a client's id. */
    by: id,
    code: words(64),
    reason: words(1000),
    /** For a budget: what was asked and what was left. */
    request: z
      .strictObject({
        reservation: id,
        budget: budgetKeySchema,
        epsilon: notNegative,
        delta: notNegative,
        epsilonLeft: decimalText,
        deltaLeft: decimalText,
      })
      .nullable(),
    /** For a client: its signed statement. */
    statement: z.strictObject({ publicKey: key, document, signature }).nullable(),
  }),
  /** Holds ε and δ of every budget named, all or none, before weights leave. */
  reserve: z.strictObject({
    reservation: id,
    run: id,
    planHash: hash,
    budgets: z.array(budgetKeySchema).min(1).max(400),
    epsilon: positive,
    delta: notNegative,
  }),
  /** A noisy sum was revealed and a model made of it. */
  'round.release': z.strictObject({
    ...round,
    reservation: id.nullable(),
    sid: hash,
    survivors: z.number().int().min(1),
    survivorsHash: hash,
    rosterHash: hash,
    aggregateHash: hash,
    previousModelHash: hash,
    modelHash: hash,
    /** ε of everything released so far in this run, for reading; the charge is the reservation's. */
    epsilonSoFar: notNegative.nullable(),
    /**
     * What is left in the sum after the surplus was taken away: standard deviation in ring units, never below the committed
     * one; and how many clients' surplus could not be taken away, which makes it more. Entries before 0.2 do not say.
     */
    noise: z.strictObject({ sigma: notNegative, unremoved: count }).optional(),
    /**
     * Where clients are weighted: their total as it came out of the sum, in examples; the standard deviation of the noise in
     * it; and what the sum was divided by, the total or the plan's minimum.
     */
    weight: z.strictObject({ total: decimalText, sigma: notNegative, divisor: positive }).optional(),
  }),
  /** `revealed`: shares may have left clients, so the round counts as released. */
  'round.abort': z.strictObject({
    ...round,
    reservation: id.nullable(),
    sid: hash.nullable(),
    code: words(64),
    reason: words(1000),
    revealed: z.boolean(),
  }),
  /** Ends a run and its reservation: charged whole if anything was revealed, given back otherwise. */
  'plan.close': z.strictObject({
    run: id,
    reservation: id.nullable(),
    outcome: z.enum(['finished', 'stopped', 'failed']),
    reason: words(1000).nullable(),
    revealed: z.boolean(),
    epsilon: notNegative,
    delta: notNegative,
    roundsReleased: count,
    modelHash: hash.nullable(),
  }),
  /** The whole membership from here on. */
  'roster.update': z.strictObject({
    rosterHash: hash,
    /** Sorted by clientId; null when it is the blob `rosters/<rosterHash>.json`. */
    members: z.array(member).max(400).nullable(),
    /** Keys that may approve budgets; while there are none, any two different keys count and `verify` says so. */
    approvers: approverList,
    /** Who agreed to a change of the approvers; needed as soon as there are any. */
    approvals: z.array(approvalSchema).max(20).optional(),
  }),
  /** The old key vouches for the new one (`signature`), and the new one accepts (`acceptance`). */
  'key.rotate': handoverSchema,
  /**
   * A client's key was lost: the coordinator's operator ends it, and whoever has the invitation takes the seat with a key and
   * an id of their own. Only the coordinator says so; nothing is signed by the old key.
   */
  'key.revoke': z.strictObject({
    clientId: id,
    publicKey: key,
    /** SHA-256 of the token of the invitation that takes its place. */
    invitation: hash,
    run: id,
    organisation: words(200),
    reason: words(1000),
  }),
  /** An empirical audit: how well someone who sees every released sum told canaries that were in from those that were not. */
  audit: z.strictObject({
    planHash: hash.nullable(),
    method: z.enum(['one-run', 'many-runs']),
    /** Whose guesses gave the bound, of how many that were tried. */
    statistic: words(64),
    tests: z.number().int().min(1),
    canaries: z.number().int().min(1),
    guesses: count,
    correct: count,
    rounds: z.number().int().min(1),
    samplingProbability: positive,
    noiseMultiplier: positive,
    l2Clip: positive,
    confidence: positive,
    delta: notNegative,
    epsilonLowerBound: notNegative,
    epsilonClaimed: positive,
    unit: words(50),
    adversary: words(200),
    /** False: the claim is refuted. */
    holds: z.boolean(),
    library: words(100),
  }),
  incident: z.strictObject({ code: words(64), what: words(2000), detail: document }),
  /** In a client's own ledger: a charge that it saw in the coordinator's ledger, with where. */
  charge: z.strictObject({
    run: id,
    reservation: id,
    budget: budgetKeySchema,
    epsilon: positive,
    delta: notNegative,
    origin: words(400),
    index: count,
    leafHash: hash,
    size: count,
    root: hash,
  }),
  /** In the coordinator's ledger: a client saw this entry in its place. */
  countersignature: z.strictObject({
    clientId: id,
    publicKey: key,
    document: z.strictObject({ clientId: id, origin: words(400), index: count, leafHash: hash }),
    signature,
  }),
} as const;

export type EntryKind = keyof typeof bodies;
export const ENTRY_KINDS = Object.keys(bodies) as readonly EntryKind[];

/** What a caller hands to `append`: the kind and its fields. */
export type EntryInput<K extends EntryKind = EntryKind> = {
  [P in K]: { readonly kind: P } & Readonly<z.infer<(typeof bodies)[P]>>;
}[K];

/** A stored entry: version and time are the ledger's. */
export type Entry<K extends EntryKind = EntryKind> = EntryInput<K> & { readonly version: 1; readonly at: string };

const at = z.iso.datetime({ precision: 3 });

/** @throws LEDGER_ENTRY_INVALID naming the field; also when the entry is over 65,535 bytes */
export function encodeEntry<K extends EntryKind>(
  input: EntryInput<K>,
  time: string,
): { readonly entry: Entry<K>; readonly text: string } {
  const entry = checkEntry({ ...input, version: 1, at: time }) as unknown as Entry<K>;
  const text = canonicalJson(entry);
  const sizeBytes = utf8(text).length;
  if (sizeBytes > LIMITS.ledgerEntryBytes) {
    throw new TacitError<LedgerErrorCode>(
      'LEDGER_ENTRY_INVALID',
      `the entry is ${sizeBytes} bytes, over ${LIMITS.ledgerEntryBytes}`,
      {
        where: input.kind,
        fix: 'Put the long part in a blob and its SHA-256 in the entry.',
      },
    );
  }
  return { entry, text };
}

/** An entry out of its bytes: UTF-8, RFC 8785, a known kind and version, every field. @throws LEDGER_ENTRY_INVALID */
export function decodeEntry(bytes: Uint8Array): Entry {
  let value: unknown;
  let text: string;
  try {
    text = fromUtf8(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw new TacitError<LedgerErrorCode>('LEDGER_ENTRY_INVALID', 'the entry is not JSON', { cause });
  }
  const entry = checkEntry(value);
  if (canonicalJson(value) !== text)
    throw new TacitError<LedgerErrorCode>('LEDGER_ENTRY_INVALID', 'the entry is not in RFC 8785 form', {
      where: entry.kind,
    });
  return entry;
}

function checkEntry(value: unknown): Entry {
  const head = z
    .object({ kind: z.enum(ENTRY_KINDS as [EntryKind, ...EntryKind[]]), version: z.literal(1), at })
    .safeParse(value);
  if (!head.success) throw invalid('(entry)', head.error);
  const { kind, version, at: time, ...body } = value as { kind: EntryKind; version: 1; at: string };
  const parsed = bodies[kind].safeParse(body);
  if (!parsed.success) throw invalid(kind, parsed.error);
  return { kind, version, at: time, ...parsed.data } as Entry;
}

function invalid(where: string, error: z.ZodError): TacitError<LedgerErrorCode> {
  const problems = error.issues.slice(0, 5).map((i) => `${i.path.join('.') || '(entry)'}: ${i.message}`);
  return new TacitError<LedgerErrorCode>('LEDGER_ENTRY_INVALID', problems.join('; '), { where });
}

/** SHA-256 (hex) of the members sorted by clientId, in RFC 8785 form: what clients pin. */
export function rosterHash(members: readonly RosterMember[]): string {
  const sorted = [...members].sort((a, b) => (a.clientId < b.clientId ? -1 : a.clientId > b.clientId ? 1 : 0));
  return sha256Hex(canonicalBytes(sorted));
}
