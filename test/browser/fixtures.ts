import { base64, utf8 } from '../../shared/core/bytes.ts';
import { canonicalBytes } from '../../shared/core/canonical.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import { signerFromSeed } from '../../shared/core/signing.ts';
import { BudgetProjection } from '../../shared/ledger/budget.ts';
import { decimal } from '../../shared/ledger/decimal.ts';
import { type EntryInput, rosterHash } from '../../shared/ledger/entries.ts';
import { ALGORITHM, formatVkey, verifierKey } from '../../shared/ledger/keys.ts';
import { type Ledger, openLedger } from '../../shared/ledger/log.ts';
import { signStatement } from '../../shared/ledger/statement.ts';
import { mechanismParameters } from '../../shared/privacy/mechanism.ts';
import { fingerprintOf } from '../../shared/protocol/join-code.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import type {
  AboutView,
  BudgetView,
  GuaranteeView,
  ModelView,
  RoundView,
  RunView,
} from '../../shared/protocol/views.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';

/**
 * Real-shaped JSON for the states of the pages, and a real signed ledger: what is verified in the browser is verified
 * for good. Nothing here stands in for a part under test.
 */
const signer = signerFromSeed(new Uint8Array(32).fill(7));
const START = Date.parse('2026-03-02T09:00:00.000Z');
const hash = (text: string): string => sha256Hex(utf8(text));

export const ABOUT: AboutView = {
  name: 'Northern Mail Consortium',
  version: '0.1.0',
  protocol: 'tacit/1',
  origin: 'tacit.test/ledger',
  vkey: formatVkey(verifierKey('tacit.test/ledger', ALGORITHM.ed25519, signer.publicKey)),
  fingerprint: fingerprintOf(signer.publicKey),
};

export const TOKEN = 'invitation-token-of-the-test';
export const JOIN = `#join=${TOKEN}.${ABOUT.fingerprint}`;

export function guarantee(adversary: string, epsilon: number): GuaranteeView {
  return {
    epsilon,
    delta: 1e-5,
    unit: 'record',
    neighbouringRelation: 'adding or removing one record',
    mechanism: 'clipping to an L2 norm of 0.2, then distributed discrete Gaussian noise under a modular sum',
    accountant: 'privacy-loss distributions (connect the dots), pessimistic',
    adversary,
    assumptions: [
      'at least 4 of the 5 participants finish each round',
      'at most 1 participant colludes with the coordinator',
    ],
    odds: `Someone who knows everything else about the data and guesses whether one record was used is right at most ${Math.round((100 * (Math.exp(epsilon) + 1e-5)) / (1 + Math.exp(epsilon)))} times in 100; 50 is a coin flip.`,
  };
}

export const PLAN = {
  name: 'mail-spam',
  purpose: 'Tell unwanted mail from wanted mail, for the mail filters of the organisations that take part.',
  model: { from: 'models/tacit-mini', head: 'mean', maxTokens: 128 },
  task: { kind: 'classification', labels: ['ham', 'spam'], text: 'text', label: 'label' },
  privacy: { unit: 'record', epsilon: 3, delta: 1e-5, scope: 'mail', period: '2026' },
  stages: [
    {
      algorithm: 'dp-fedsgd',
      train: 'head',
      rounds: 60,
      samplingProbability: 1,
      l2Clip: 0.2,
      share: 9,
      server: { optimizer: 'sgd', learningRate: 10, momentum: 0.9, average: 30 },
    },
    {
      algorithm: 'dp-fedsgd',
      train: { lora: { rank: 4, alpha: 8, targets: ['query', 'value'] } },
      rounds: 8,
      samplingProbability: 0.25,
      l2Clip: 0.2,
      share: 1,
      server: { optimizer: 'sgd', learningRate: 0.5, momentum: 0.9, average: 4 },
    },
  ],
  secureAggregation: { minimumCohort: 4, colluders: 1, ringBits: 32 },
  deadlines: { join: 120000, training: 120000, phase: 20000 },
  evaluation: { every: 10 },
  clients: { minimum: 5 },
};

const PLAN_HASH = sha256Hex(canonicalBytes(PLAN));
const ORGANISATIONS = [
  'St. Brigid Hospital',
  'Harbour Bank',
  'City Archive',
  'Polar Institute',
  'Lindqvist & Daughters',
];

export function run(change: Partial<RunView> = {}): RunView {
  return {
    id: 'run-7f3a',
    name: 'mail-spam',
    state: 'running',
    reason: null,
    planHash: PLAN_HASH,
    plan: PLAN,
    createdAt: '2026-03-02T09:00:00.000Z',
    stages: [
      {
        index: 0,
        algorithm: 'dp-fedsgd',
        train: 'head',
        rounds: 60,
        roundsDone: 42,
        samplingProbability: 1,
        noiseMultiplier: 15.31,
        l2Clip: 0.2,
        updateElements: 514,
        updateBytes: 2056,
      },
      {
        index: 1,
        algorithm: 'dp-fedsgd',
        train: 'lora r4 on query, value',
        rounds: 8,
        roundsDone: 0,
        samplingProbability: 0.25,
        noiseMultiplier: 4.7,
        l2Clip: 0.2,
        updateElements: 4096,
        updateBytes: 16_384,
      },
    ],
    round: 43,
    rounds: 68,
    phase: 'upload',
    participants: ORGANISATIONS.map((organisation, i) => ({
      clientId: hash(organisation).slice(0, 32),
      organisation,
      state: i === 4 ? 'left' : 'consented',
      connected: i !== 4,
      engine: i === 3 ? 'tfjs webgl' : 'onnx cpu',
      records: 640 + 97 * i,
    })),
    guarantees: [
      guarantee('the coordinator', 2.61),
      guarantee('the coordinator and 1 participant', 3),
      guarantee('everyone but you', 7.84),
    ],
    evaluations: [0, 10, 20, 30, 40].map((round, i) => ({
      round,
      stage: 0,
      loss: 0.69 - 0.11 * i,
      metrics: {},
      accuracy: [0.766, 0.861, 0.902, 0.915, 0.921][i] as number,
      f1: [0, 0.62, 0.77, 0.81, 0.83][i] as number,
      examples: 509,
    })),
    model: 'model-40',
    labels: ['ham', 'spam'],
    purpose: PLAN.purpose,
    ...change,
  };
}

export function rounds(): RoundView[] {
  const made = Array.from({ length: 12 }, (_, i): RoundView => {
    const aborted = i === 5;
    return {
      round: i < 6 ? i + 1 : i,
      stage: 0,
      attempt: i === 6 ? 2 : 1,
      phase: aborted ? 'aborted' : 'done',
      reason: aborted ? 'COHORT_TOO_SMALL: 3 uploads, 4 are needed' : null,
      funnel: {
        invited: 5,
        advertised: 5,
        shared: 5,
        uploaded: aborted ? 3 : i % 4 === 2 ? 4 : 5,
        survived: aborted ? 0 : i % 4 === 2 ? 4 : 5,
        unmasked: aborted ? 0 : i % 4 === 2 ? 4 : 5,
      },
      seconds: {
        training: 0.31 + 0.05 * (i % 3),
        advertise: 0.03,
        shares: 0.05,
        upload: 0.08,
        consistency: 0.02,
        unmask: 0.06,
        merge: 0.09,
      },
      bytesUpPerClient: 2056,
      bytesDownPerClient: 2056,
      modelHash: aborted ? null : hash(`model ${i}`),
      ledgerIndex: aborted ? null : 9,
    };
  });
  return [
    ...made,
    {
      ...(made[0] as RoundView),
      round: 12,
      phase: 'upload',
      ledgerIndex: null,
      funnel: { invited: 5, advertised: 5, shared: 5, uploaded: 2, survived: 0, unmasked: 0 },
    },
  ];
}

export function models(): ModelView[] {
  return [30, 40].map((round) => ({
    id: `model-${round}`,
    run: 'run-7f3a',
    round,
    createdAt: '2026-03-02T09:04:00.000Z',
    accuracy: round === 40 ? 0.921 : 0.915,
    f1: round === 40 ? 0.83 : 0.81,
    ledgerIndex: 9,
    promoted: round === 30,
    files: ['config.json', 'model.safetensors', 'vocab.txt'].map((name, i) => ({
      name,
      sizeBytes: 900 * 90 ** i,
      sha256: hash(`${name}${round}`),
    })),
  }));
}

export const BUDGET = { scope: 'mail', unit: 'record', period: '2026' };
const clientOf = (i: number) => signerFromSeed(new Uint8Array(32).fill(10 + i));
/** Approvers 1 and 2 are in office. */
export const approverOf = (i: number) => signerFromSeed(new Uint8Array(32).fill(40 + i));
const MEMBERS = ORGANISATIONS.map((organisation, i) => ({
  clientId: hash(organisation).slice(0, 32),
  organisation,
  publicKey: base64(clientOf(i).publicKey),
}));

/** A ledger of one run whose every claim holds: participants, budget, plan, consents, reservation, a refused run, a round. */
export async function ledger(): Promise<Ledger> {
  let now = START;
  const clock = { now: () => (now += 60_000) };
  const log = await openLedger({ store: createMemoryStore(), stream: 'ledger', origin: ABOUT.origin, signer, clock });
  await openBudget(log);
  const epsilon = await commitPlan(log);
  for (const [i, { clientId, publicKey }] of MEMBERS.entries()) {
    const document = { run: 'run-7f3a', planHash: PLAN_HASH, clientId, records: 640 };
    const signature = signStatement('consent', document, clientOf(i));
    await log.append(
      { kind: 'consent', run: 'run-7f3a', planHash: PLAN_HASH, clientId, publicKey, document, signature },
      `consent-${i}`,
    );
  }
  await log.append(
    {
      kind: 'reserve',
      reservation: 'r1',
      run: 'run-7f3a',
      planHash: PLAN_HASH,
      budgets: [BUDGET],
      epsilon,
      delta: '0.00001',
    },
    'reserve',
  );
  const request = {
    reservation: 'r2',
    budget: BUDGET,
    epsilon: '3',
    delta: '0.00001',
    epsilonLeft: '1',
    deltaLeft: '0.00009',
  };
  await log.append(
    {
      kind: 'refusal',
      run: null,
      planHash: hash('other plan'),
      by: 'coordinator',
      code: 'BUDGET_EXCEEDED',
      reason: 'run mail-again asked for ε 3 where 1 is left',
      statement: null,
      request,
    },
    'refusal',
  );
  await release(log, 1, hash('m0'), hash('m1'));
  await log.checkpoint();
  return log;
}

/** One more released round, for a ledger that grew since the last visit. */
export async function release(log: Ledger, round: number, previousModelHash: string, modelHash: string): Promise<void> {
  await log.append(
    {
      kind: 'round.release',
      run: 'run-7f3a',
      round,
      stage: 0,
      attempt: 1,
      reservation: 'r1',
      sid: hash(`sid ${round}`),
      survivors: 5,
      survivorsHash: hash('s'),
      rosterHash: rosterHash(MEMBERS),
      aggregateHash: hash('a'),
      previousModelHash,
      modelHash,
      epsilonSoFar: '0.4',
    },
    `release-${round}`,
  );
}

async function openBudget(log: Ledger): Promise<void> {
  const approvers = [1, 2].map((i) => ({ name: `officer ${i}`, publicKey: base64(approverOf(i).publicKey) }));
  await log.append({ kind: 'roster.update', rosterHash: rosterHash(MEMBERS), members: MEMBERS, approvers }, 'roster');
  const opening = {
    budget: BUDGET,
    epsilon: '4',
    delta: '0.0001',
    revision: 0,
    purpose: PLAN.purpose,
    legalBasis: 'consent of the organisations',
  };
  const approvals = approvers.map((a, i) => ({
    approver: a.name,
    publicKey: a.publicKey,
    signature: signStatement('budget.open', opening, approverOf(i + 1)),
  }));
  await log.append({ kind: 'budget.open', opening, authority: 'two-person', approvals }, 'open');
}

/** @returns the certificate's ε, as committed */
async function commitPlan(log: Ledger): Promise<string> {
  const noiseMultiplier = 15.31;
  const { scale, localSigma } = mechanismParameters({
    dimension: 514,
    l2Clip: 0.2,
    noiseMultiplier,
    minimumCohort: 4,
    colluders: 1,
    cohortMax: 5,
    ringBits: 32,
  });
  const entry = {
    kind: 'plan.commit',
    run: 'run-7f3a',
    planHash: PLAN_HASH,
    plan: PLAN,
    purpose: PLAN.purpose,
    unit: 'record',
    neighbouringRelation: 'add-remove',
    certificate: {
      epsilon: '3',
      delta: '0.00001',
      accountant: 'PLD',
      adversary: 'coordinator + 1 colluder',
      assumptions: [],
    },
    minimumCohort: 4,
    colluders: 1,
    stages: [
      {
        index: 0,
        algorithm: 'dp-fedsgd',
        samplingProbability: '1',
        rounds: 68,
        l2Clip: '0.2',
        noiseMultiplier: String(noiseMultiplier),
        mechanism: {
          name: 'distributed-discrete-gaussian',
          dimension: 514,
          scale: decimal(scale),
          localSigma: decimal(localSigma),
          ringBits: 32,
          cohortMax: 5,
        },
      },
    ],
    budgets: [BUDGET],
    modelHash: hash('model'),
    library: 'tacit 0.1.0',
  } as const satisfies EntryInput<'plan.commit'>;
  const epsilon = decimal(recomputeCertificate({ ...entry, version: 1, at: '2026-03-02T09:00:00.000Z' }).epsilon);
  await log.append({ ...entry, certificate: { ...entry.certificate, epsilon } }, 'plan');
  return epsilon;
}

/** The coordinator's summary of {@link ledger}, folded from its entries. */
export async function budgetsOf(log: Ledger): Promise<BudgetView[]> {
  const fold = new BudgetProjection('two-person');
  for (const { entry } of await log.entries(0)) fold.apply(entry);
  return fold.status().map((b) => ({
    ...b.budget,
    epsilon: b.epsilon,
    delta: b.delta,
    spent: b.spent,
    reserved: b.reserved,
    left: b.left,
    guarantee: guarantee('the coordinator and 1 participant', b.reserved),
    timeline: b.timeline,
  }));
}
