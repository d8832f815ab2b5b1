import type { FromWorker } from '../../client-browser/worker/messages.ts';
import type { ParticipantEvent } from '../../shared/participant/events.ts';
import type { OwnAccount } from '../../shared/participant/own-account.ts';
import type { DataReport } from '../../shared/text/report.ts';
import * as fixtures from './fixtures.ts';

/** What the worker says on the way through the seven steps; the tests join these into scripts. */
const session = (event: ParticipantEvent): FromWorker => ({ kind: 'session', event });
const HASH = '4f1c9a'.padEnd(64, '07');

const CONNECT: readonly FromWorker[] = [
  { kind: 'identity', clientId: '9f2b'.padEnd(32, '1c'), sealed: true },
  {
    kind: 'engines',
    tried: [
      {
        name: 'tfjs webgpu',
        state: 'missing',
        reason: 'this browser, or this address, has no WebGPU',
        milliseconds: undefined,
      },
      { name: 'tfjs webgl', state: 'used', reason: 'gradients are right; 41.2 ms a step', milliseconds: 41.2 },
      {
        name: 'tfjs wasm',
        state: 'slower',
        reason: 'gradients are right; 88.0 ms a step against 41.2 ms',
        milliseconds: 88,
      },
      {
        name: 'tfjs cpu',
        state: 'slower',
        reason: 'gradients are right; 612 ms a step against 41.2 ms',
        milliseconds: 612,
      },
    ],
  },
  session({
    kind: 'engine',
    name: 'tfjs webgl',
    reason: 'gradients are right; 41.2 ms a step',
    secondsPerExample: 0.0103,
  }),
  session({ kind: 'connection', state: 'connecting' }),
  {
    kind: 'task',
    task: {
      run: 'run-7f3a',
      text: 'text',
      label: 'label',
      kind: 'classification',
      labels: ['ham', 'spam'],
      consentedBefore: false,
    },
  },
  session({ kind: 'connection', state: 'connected' }),
  session({
    kind: 'invitation',
    about: fixtures.ABOUT,
    run: fixtures.run({ state: 'waiting', round: 0, phase: null, evaluations: [] }),
    items: [
      {
        what: 'Your public key and the name you give',
        form: 'in the open, in the ledger',
        sizeBytes: 132,
        when: 'once',
      },
      {
        what: 'Update of stage 1: 514 numbers',
        form: 'clipped, noised and masked: uniform random numbers to anyone without the other masks',
        sizeBytes: 2056,
        when: 'once a round, 60 rounds',
      },
      {
        what: 'Session keys and shares of secrets',
        form: 'public keys; shares sealed for the other participants',
        sizeBytes: 4000,
        when: 'every round',
      },
    ],
  }),
];

const REPORT: DataReport = {
  read: 1204,
  kept: 1187,
  dropped: [
    {
      reason: 'unknown-label',
      count: 12,
      examples: [
        { source: 'mail.csv', line: 17 },
        { source: 'mail.csv', line: 230 },
      ],
    },
    { reason: 'empty-text', count: 5, examples: [{ source: 'mail.csv', line: 401 }] },
  ],
  labels: { ham: 921, spam: 266 },
  lengths: { min: 12, median: 842, p95: 4210, max: 18022 },
  persons: 0,
};

const DATA: readonly FromWorker[] = [
  { kind: 'reading', files: 1 },
  {
    kind: 'data',
    report: REPORT,
    files: ['mail.csv'],
    preview: [
      {
        place: 'mail.csv:2',
        label: 'ham',
        text: 'Minutes of Tuesday Attached are the minutes; please send corrections by Friday.',
      },
      {
        place: 'mail.csv:3',
        label: 'spam',
        text: 'You have been selected! Click url to claim your prize before midnight.',
      },
    ],
  },
];

const CONSENTED = session({
  kind: 'consented',
  receipt: { run: 'run-7f3a', planHash: HASH, signature: 'c2lnbmF0dXJl' },
});
const phase = (round: number, name: Extract<ParticipantEvent, { kind: 'phase' }>['phase']): FromWorker =>
  session({ kind: 'phase', round, rounds: 68, stage: 0, phase: name });
const charged = (round: number, spentEpsilon: number): FromWorker =>
  session({
    kind: 'charged',
    round,
    guarantee: fixtures.guarantee('the coordinator and 1 participant', 3),
    budgetEpsilon: 3,
    spentEpsilon,
  });

function round(n: number): readonly FromWorker[] {
  return [
    phase(n, 'training'),
    session({ kind: 'trained', round: n, examples: 1187, loss: 0.69 * 0.9 ** n, seconds: 1.2 }),
    phase(n, 'upload'),
    session({ kind: 'uploaded', round: n, bytes: 2056, sha256: HASH, firstBytes: '9d21f00b7c3e55aa18c4e2' }),
    charged(n, 0.2 * n),
    session({ kind: 'ledger', size: 20 + n, root: HASH, verified: true }),
    session({ kind: 'roundEnded', round: n, outcome: 'released', reason: null }),
  ];
}

const LIVE: readonly FromWorker[] = [CONSENTED, ...[1, 2, 3, 4].flatMap(round), phase(5, 'training')];

export type Script = Partial<Record<string, readonly FromWorker[]>>;
const until = (consent: readonly FromWorker[], more: Script = {}): Script => ({
  connect: CONNECT,
  files: DATA,
  consent,
  ...more,
});

/** Scripts by the state they lead to. */
const ACCOUNT: OwnAccount = {
  size: 4,
  budgets: [{ words: 'mail, one record, 2026', epsilon: 4, spent: 3, reserved: 0 }],
  runs: [
    {
      run: 'run-7f3a',
      budget: 'mail, one record, 2026',
      epsilon: '3',
      delta: '0.00001',
      seen: { origin: fixtures.ABOUT.origin, index: 8 },
      state: 'charged',
      roundsReleased: 68,
    },
  ],
};

export const SCRIPTS = {
  invited: { connect: CONNECT },
  wrongColumns: {
    connect: CONNECT,
    files: [
      {
        kind: 'dataProblem',
        problem: {
          code: 'DATA_COLUMNS',
          message: 'no column text, label; the file has subject, body, class',
          fix: 'Name the columns that hold the text and the label, or rename them in the file.',
        },
        columnsFound: ['subject', 'body', 'class'],
      },
    ],
  },
  ready: { connect: CONNECT, files: DATA },
  objection: until([
    { kind: 'objection', problem: { code: 'POLICY_REFUSED', message: 'epsilon 3 is above this site’s 1 for a plan' } },
  ]),
  live: until(LIVE, { pause: [{ kind: 'paused' }] }),
  lost: until([...LIVE, session({ kind: 'connection', state: 'lost', detail: 'transport close' })]),
  missed: until([...LIVE, session({ kind: 'roundEnded', round: 5, outcome: 'released', reason: null })]),
  cohortTooSmall: until([
    ...LIVE,
    session({ kind: 'roundEnded', round: 5, outcome: 'aborted', reason: 'COHORT_TOO_SMALL: 3 uploads, 4 are needed' }),
  ]),
  budgetExhausted: until([
    session({
      kind: 'failed',
      code: 'BUDGET_EXCEEDED',
      message: 'the budget of mail has ε 0.2 left, the plan needs 3',
    }),
  ]),
  noWebgl: {
    connect: [
      CONNECT[0] as FromWorker,
      {
        kind: 'engines',
        tried: [
          { name: 'tfjs webgl', state: 'missing', reason: 'this browser has no WebGL 2', milliseconds: undefined },
          { name: 'tfjs wasm', state: 'used', reason: 'gradients are right; 88.0 ms a step', milliseconds: 88 },
        ],
      },
      session({
        kind: 'engine',
        name: 'tfjs wasm',
        reason: 'gradients are right; 88.0 ms a step',
        secondsPerExample: 0.022,
      }),
      ...CONNECT.slice(3),
    ],
  },
  tabOpen: {
    connect: [
      {
        kind: 'workerFailed',
        problem: { code: 'TAB_OPEN', message: 'another tab of this browser takes part already' },
      },
    ],
  },
  otherCoordinator: {
    connect: [
      ...CONNECT.slice(0, 4),
      session({
        kind: 'failed',
        code: 'COORDINATOR_UNKNOWN',
        message: 'the coordinator’s key is 0000-0000-0000-0000, the join code names another',
      }),
    ],
  },
  finished: until(
    [
      ...LIVE,
      session({ kind: 'finished', run: fixtures.run({ state: 'finished', phase: null, round: 68 }) }),
      { kind: 'account', account: ACCOUNT },
    ],
    { forget: [{ kind: 'forgotten' }], exportAccount: [{ kind: 'accountFile', zip: [80, 75, 5, 6] as never }] },
  ),
} satisfies Record<string, Script>;
