import type { EngineRow } from '../../shared/engine/select.ts';
import type { ParticipantEvent, SentItem } from '../../shared/participant/events.ts';
import type { OwnAccount } from '../../shared/participant/own-account.ts';
import type { AboutView, GuaranteeView, RoundPhase, RunView } from '../../shared/protocol/views.ts';
import type { DataReport } from '../../shared/text/report.ts';
import type { FromWorker, PreviewRow, Problem, TaskView } from '../worker/messages.ts';

/** One round as this device lived it. */
export interface MyRound {
  readonly round: number;
  readonly loss: number | null;
  readonly examples: number | null;
  readonly seconds: number | null;
  readonly upload: { readonly bytes: number; readonly sha256: string; readonly firstBytes: string } | null;
  readonly outcome: 'running' | 'released' | 'aborted';
  readonly reason: string | null;
}

/** Something that the person asked of the worker. */
export type Asked = 'none' | 'sending' | 'done' | Problem;

export type DataState =
  | { readonly status: 'none' }
  | { readonly status: 'reading'; readonly files: number }
  | {
      readonly status: 'ready';
      readonly report: DataReport;
      readonly preview: readonly PreviewRow[];
      readonly files: readonly string[];
    }
  | { readonly status: 'problem'; readonly problem: Problem; readonly columnsFound: readonly string[] };

/** All that the participant page draws. A fold over what the worker says and the person does. */
export interface ParticipantState {
  readonly link: string | null;
  readonly about: AboutView | null;
  readonly run: RunView | null;
  readonly connection: {
    readonly state: 'none' | 'connecting' | 'connected' | 'lost' | 'closed';
    readonly detail: string;
  };
  readonly identity: { readonly clientId: string; readonly sealed: boolean } | null;
  readonly task: TaskView | null;
  readonly items: readonly SentItem[];
  readonly engine: { readonly name: string; readonly reason: string; readonly secondsPerExample: number } | null;
  readonly engines: readonly EngineRow[];
  readonly data: DataState;
  readonly consent: 'none' | 'sending' | 'given';
  readonly receipt: unknown;
  readonly objection: Problem | null;
  readonly withdrawal: Asked;
  readonly keyChange: Asked;
  readonly stopped: {
    readonly code: string;
    readonly message: string;
    readonly fix: string;
    readonly how: 'refused' | 'failed';
  } | null;
  readonly phase: {
    readonly round: number;
    readonly rounds: number;
    readonly stage: number;
    readonly phase: RoundPhase;
  } | null;
  readonly rounds: readonly MyRound[];
  /** Clock readings at the starts of rounds, for the estimate of what remains. */
  readonly roundStarts: readonly { readonly round: number; readonly at: number }[];
  readonly charge: {
    readonly guarantee: GuaranteeView;
    readonly budgetEpsilon: number;
    readonly spentEpsilon: number;
  } | null;
  readonly ledger: { readonly size: number; readonly root: string; readonly verified: boolean } | null;
  /** This browser's own ledger. */
  readonly account: OwnAccount | null;
  /** The training worker died and another one goes on. */
  readonly restarted: { readonly reason: string; readonly engine: string | null } | null;
  readonly paused: boolean;
  readonly finished: RunView | null;
  readonly left: boolean;
  readonly forgotten: boolean;
}

export const START: ParticipantState = {
  link: null,
  about: null,
  run: null,
  connection: { state: 'none', detail: '' },
  identity: null,
  task: null,
  items: [],
  engine: null,
  engines: [],
  data: { status: 'none' },
  consent: 'none',
  receipt: null,
  objection: null,
  withdrawal: 'none',
  keyChange: 'none',
  stopped: null,
  phase: null,
  rounds: [],
  roundStarts: [],
  charge: null,
  ledger: null,
  account: null,
  restarted: null,
  paused: false,
  finished: null,
  left: false,
  forgotten: false,
};

/** The state after a message of the worker. @param now - milliseconds, any origin */
export function afterMessage(state: ParticipantState, message: FromWorker, now: number): ParticipantState {
  switch (message.kind) {
    case 'session':
      return afterEvent(state, message.event, now);
    case 'alive':
      return state;
    case 'workerRestarted':
      return { ...state, restarted: message, connection: { state: 'connecting', detail: '' } };
    case 'identity':
      return { ...state, identity: message };
    case 'task':
      return { ...state, task: message.task };
    case 'engines':
      return { ...state, engines: message.tried };
    case 'reading':
      return { ...state, data: { status: 'reading', files: message.files } };
    case 'data':
      return {
        ...state,
        data: { status: 'ready', report: message.report, preview: message.preview, files: message.files },
      };
    case 'dataProblem':
      return { ...state, data: { status: 'problem', problem: message.problem, columnsFound: message.columnsFound } };
    case 'objection':
      return { ...state, objection: message.problem, consent: 'none' };
    case 'account':
      return { ...state, account: message.account };
    case 'accountFile':
      return state;
    case 'withdrawal':
    case 'keyChange':
      return { ...state, [message.kind]: message.state };
    case 'paused':
      return { ...state, paused: true };
    case 'forgotten':
      return { ...state, forgotten: true };
    case 'workerFailed':
      return { ...state, stopped: { ...message.problem, fix: message.problem.fix ?? '', how: 'failed' } };
  }
}

function afterEvent(state: ParticipantState, event: ParticipantEvent, now: number): ParticipantState {
  switch (event.kind) {
    case 'connection':
      return { ...state, connection: { state: event.state, detail: event.detail ?? '' } };
    case 'invitation':
      return { ...state, about: event.about, run: event.run, items: event.items };
    case 'engine':
      return { ...state, engine: event };
    case 'consented':
      return { ...state, consent: 'given', receipt: event.receipt };
    case 'refused':
      return { ...state, stopped: { code: event.code, message: event.reason, fix: '', how: 'refused' } };
    case 'failed':
      return { ...state, stopped: { code: event.code, message: event.message, fix: event.fix ?? '', how: 'failed' } };
    case 'phase':
      return afterPhase(state, event, now);
    case 'trained':
      return putRound(state, event.round, { loss: event.loss, examples: event.examples, seconds: event.seconds });
    case 'uploaded':
      return putRound(state, event.round, {
        upload: { bytes: event.bytes, sha256: event.sha256, firstBytes: event.firstBytes },
      });
    case 'charged':
      return { ...state, charge: event };
    case 'ledger':
      return { ...state, ledger: event };
    case 'roundEnded':
      return putRound(state, event.round, { outcome: event.outcome, reason: event.reason });
    case 'finished':
      return { ...state, finished: event.run, run: event.run };
  }
}

function afterPhase(
  state: ParticipantState,
  event: Extract<ParticipantEvent, { kind: 'phase' }>,
  now: number,
): ParticipantState {
  const started = state.roundStarts.some((s) => s.round === event.round);
  return {
    ...state,
    consent: 'given',
    phase: event,
    roundStarts: started ? state.roundStarts : [...state.roundStarts, { round: event.round, at: now }],
  };
}

const FRESH: Omit<MyRound, 'round'> = {
  loss: null,
  examples: null,
  seconds: null,
  upload: null,
  outcome: 'running',
  reason: null,
};

function putRound(state: ParticipantState, round: number, change: Partial<MyRound>): ParticipantState {
  const before = state.rounds.find((r) => r.round === round) ?? { ...FRESH, round };
  const others = state.rounds.filter((r) => r.round !== round);
  const rounds = [...others, { ...before, ...change }].sort((a, b) => a.round - b.round);
  return { ...state, rounds };
}

export type StepId = 'who' | 'task' | 'data' | 'sent' | 'consent' | 'live' | 'done';
export const STEP_IDS: readonly StepId[] = ['who', 'task', 'data', 'sent', 'consent', 'live', 'done'];

/** Where the person is. The steps before it are done, those after it lie ahead. */
export function currentStep(state: ParticipantState): StepId {
  if (state.finished !== null || state.left || state.forgotten) return 'done';
  if (state.task === null && state.run === null) return 'who';
  if (state.phase !== null || (state.consent === 'given' && state.data.status === 'ready')) return 'live';
  if (state.task === null) return 'who';
  if (state.data.status !== 'ready') return 'data';
  return 'consent';
}

/** A consent that stands and can be taken back: the run is not over. */
export function canWithdraw(state: ParticipantState): boolean {
  const consented = state.consent === 'given' || state.task?.consentedBefore === true;
  return consented && state.finished === null && !state.forgotten && state.withdrawal !== 'done';
}

/** Seconds that the remaining rounds will take at the pace of those seen, or null before the second one. */
export function secondsLeft(state: ParticipantState): number | null {
  const starts = state.roundStarts;
  const [first, last] = [starts[0], starts.at(-1)];
  if (state.phase === null || first === undefined || last === undefined || last.round === first.round) return null;
  const perRound = (last.at - first.at) / (last.round - first.round) / 1000;
  return perRound * (state.phase.rounds - last.round + 1);
}

/** The rounds that closed while this device had sent nothing, newest first. */
export function missedRounds(state: ParticipantState): readonly MyRound[] {
  return state.rounds.filter((r) => r.outcome === 'released' && r.upload === null).reverse();
}
