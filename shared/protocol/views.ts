import type { ApproverChange, BudgetOpening } from '../ledger/entries.ts';

/**
 * The JSON twins: what `/api/v1` serves, what the pages draw and what `tacit … --json` prints. Read-only projections
 * of the store; nothing here is trusted by a participant.
 */

/** A privacy claim as it is shown: never a bare ε. Decimal numbers, not strings. */
export interface GuaranteeView {
  readonly epsilon: number;
  readonly delta: number;
  /** e.g. `record`, `person`, `client`. */
  readonly unit: string;
  readonly neighbouringRelation: string;
  readonly mechanism: string;
  readonly accountant: string;
  /** `coordinator`, `coordinator + 1 colluder`, `everyone but you`. */
  readonly adversary: string;
  readonly assumptions: readonly string[];
  /** The guarantee in odds, computed: "someone who knows everything else … is right at most 95 times in 100". */
  readonly odds: string;
}

/** GET /api/v1/about */
export interface AboutView {
  readonly name: string;
  readonly version: string;
  /** e.g. `tacit/1`. */
  readonly protocol: string;
  /** Origin of the ledger; also the name in its checkpoints. */
  readonly origin: string;
  /** The ledger's verifier key (C2SP signed-note vkey). */
  readonly vkey: string;
  /** SHA-256 of the coordinator's public key, first 16 hex digits in groups of four. */
  readonly fingerprint: string;
}

export type RunState = 'waiting' | 'running' | 'finished' | 'stopped' | 'failed';

export interface EvaluationView {
  readonly round: number;
  readonly stage: number;
  readonly loss: number;
  /** Texts with the right label; multi-label: with exactly the right labels; null for regression. */
  readonly accuracy: number | null;
  /** Of the last of two labels, else macro; multi-label: micro; null for regression. */
  readonly f1: number | null;
  /** Everything that was measured, by name: e.g. `microF1`, `macroF1`, `meanAbsoluteError`, `r2`, `spearman`. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Examples of the validation set. */
  readonly examples: number;
}

export interface StageView {
  readonly index: number;
  readonly algorithm: string;
  /** In words, e.g. `head`, `lora r4 on query, value`. */
  readonly train: string;
  readonly rounds: number;
  readonly roundsDone: number;
  readonly samplingProbability: number;
  readonly noiseMultiplier: number;
  readonly l2Clip: number;
  /** Numbers in one update. */
  readonly updateElements: number;
  /** Bytes that each client sends in a round. */
  readonly updateBytes: number;
}

export interface ParticipantView {
  readonly clientId: string;
  readonly organisation: string;
  readonly state: 'invited' | 'consented' | 'refused' | 'withdrawn' | 'left';
  readonly connected: boolean;
  /** e.g. `onnx cpu`, `tfjs webgl`; as told by the client. */
  readonly engine: string;
  /** Declared number of records (public by consent); null before a consent, and where the client is the unit of privacy. */
  readonly records: number | null;
}

/** GET /api/v1/runs (list) and GET /api/v1/runs/{id} */
export interface RunView {
  readonly id: string;
  readonly name: string;
  readonly state: RunState;
  /** Why, when failed or stopped: `CODE: sentence`; while waiting for participants, for how many and until when. */
  readonly reason: string | null;
  readonly planHash: string;
  /** The plan document as committed to the ledger. */
  readonly plan: unknown;
  readonly createdAt: string;
  readonly stages: readonly StageView[];
  /** 1-based number of the round in progress or last finished; counts over all stages. */
  readonly round: number;
  readonly rounds: number;
  readonly phase: RoundPhase | null;
  readonly participants: readonly ParticipantView[];
  readonly guarantees: readonly GuaranteeView[];
  readonly evaluations: readonly EvaluationView[];
  /** Id of the published model: the best evaluated one. */
  readonly model: string | null;
  readonly labels: readonly string[];
  /** Purpose in a sentence. */
  readonly purpose: string;
}

export type RoundPhase =
  | 'training'
  | 'advertise'
  | 'shares'
  | 'upload'
  | 'consistency'
  | 'unmask'
  | 'merge'
  | 'done'
  | 'aborted';

/** GET /api/v1/runs/{id}/rounds */
export interface RoundView {
  readonly round: number;
  readonly stage: number;
  /** 1 for the first try; a retry after an abort is a new session with fresh noise. */
  readonly attempt: number;
  readonly phase: RoundPhase;
  readonly reason: string | null;
  readonly funnel: {
    readonly invited: number;
    readonly advertised: number;
    readonly shared: number;
    readonly uploaded: number;
    readonly survived: number;
    readonly unmasked: number;
  };
  /** Seconds spent in each phase. */
  readonly seconds: Readonly<Partial<Record<RoundPhase, number>>>;
  /** Bytes of one client's masked upload. */
  readonly bytesUpPerClient: number;
  readonly bytesDownPerClient: number;
  readonly modelHash: string | null;
  /** Index of the release entry in the ledger. */
  readonly ledgerIndex: number | null;
}

/** GET /api/v1/models */
export interface ModelView {
  readonly id: string;
  readonly run: string;
  readonly round: number;
  readonly createdAt: string;
  readonly accuracy: number | null;
  readonly f1: number | null;
  readonly ledgerIndex: number;
  /** The model that `/api/v1/models/current/predict` serves. */
  readonly promoted: boolean;
  /** Files of its Hugging Face directory, below /api/v1/models/{id}/files/. */
  readonly files: readonly { readonly name: string; readonly sizeBytes: number; readonly sha256: string }[];
}

/** GET /api/v1/budgets */
export interface BudgetView {
  readonly scope: string;
  readonly unit: string;
  readonly period: string;
  /** Whole budget, for the coordinator as adversary. */
  readonly epsilon: number;
  readonly delta: number;
  readonly spent: number;
  readonly reserved: number;
  readonly left: number;
  readonly guarantee: GuaranteeView | null;
  /** Cumulative ε after each release, refusals included. */
  readonly timeline: readonly {
    readonly index: number;
    readonly at: string;
    readonly kind: string;
    readonly epsilon: number;
    readonly note: string;
  }[];
}

/** GET /api/v1/budgets/proposals: the two-person policy */
export interface PolicyView {
  /** In office; while nobody is, any two different keys count and the operator's token is needed beside them. */
  readonly approvers: readonly { readonly name: string; readonly publicKey: string }[];
  /** Of that list: what the next change of it must name. */
  readonly revision: number;
  /** Newest first. */
  readonly proposals: readonly ProposalView[];
}

/** What approvers sign: an opening or raising of a budget, or a new list of approvers. The kind is signed as well. */
export type ProposedDocument =
  | { readonly kind: 'budget.open'; readonly document: BudgetOpening }
  | { readonly kind: 'approvers'; readonly document: ApproverChange };

/** A document that waits for signatures, or did. */
export type ProposalView = ProposedDocument & {
  /** Hex SHA-256 of the RFC 8785 text of `document`: what the signatures cover. */
  readonly id: string;
  readonly proposedAt: string;
  readonly expiresAt: string;
  /** `outdated`: the budget or the list was decided otherwise in the meantime; `expired`: nobody completed it in time. */
  readonly state: 'waiting' | 'accepted' | 'outdated' | 'expired';
  /** Number of signatures by different approvers in office that put it in force. */
  readonly needed: number;
  readonly approvals: readonly {
    readonly approver: string;
    readonly publicKey: string;
    readonly signature: string;
    /** False once its signer is no longer in office. */
    readonly counts: boolean;
  }[];
  /** Of the entry that put it in force. */
  readonly ledgerIndex: number | null;
};

/** GET /api/v1/ledger/entries?from=0&limit=100 */
export interface LedgerEntriesView {
  readonly size: number;
  readonly entries: readonly { readonly index: number; readonly leafHash: string; readonly entry: unknown }[];
}

/** GET /api/v1/events?run={id} — server-sent events; `event:` is the kind, `data:` this JSON. */
export type CoordinatorEvent =
  | { readonly kind: 'run'; readonly run: RunView }
  | { readonly kind: 'round'; readonly run: string; readonly round: RoundView }
  | { readonly kind: 'log'; readonly at: string; readonly level: 'info' | 'warn' | 'error'; readonly text: string };
