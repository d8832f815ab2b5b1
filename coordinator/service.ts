import type { EntryInput } from '../shared/ledger/entries.ts';
import type { Ledger } from '../shared/ledger/log.ts';
import type {
  AboutView,
  BudgetView,
  CoordinatorEvent,
  ModelView,
  RoundView,
  RunView,
} from '../shared/protocol/views.ts';
import type { Store } from '../shared/store/port.ts';
import type { PolicyDesk } from './budgets/policy-desk.ts';

/** What a model says of one text. */
export interface Prediction {
  /** The label; of a model that fills masks, the likeliest piece for each, joined by spaces. */
  readonly label: string;
  /** Probabilities by label; of a model that fills masks, of the likeliest pieces for the first. */
  readonly scores: Readonly<Record<string, number>>;
  /** Masks filled: for each in order its likeliest pieces. */
  readonly masks?: readonly Readonly<Record<string, number>>[];
}

export interface InvitationRequest {
  /** Seat is for this organisation; absent = the client names itself. */
  readonly organisation?: string;
  /** How many different clients may enrol with it (1 = one-time). */
  readonly uses: number;
  readonly expiresAt: number;
  /** The client that lost its key: its seat is the invitation's, its key ended in the ledger. */
  readonly replaces?: { readonly clientId: string; readonly reason: string };
}

/** JSON Lines with the plan's text and label fields. */
export interface HeldOut {
  /** Chooses the best round. */
  readonly validation: Uint8Array;
  /** Reported at the end, never chosen on. */
  readonly test: Uint8Array;
}

export interface TestScore {
  /** Null for regression. */
  readonly accuracy: number | null;
  readonly f1: number | null;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface TestReport {
  readonly examples: number;
  readonly before: TestScore;
  readonly stages: readonly (TestScore & { readonly stage: number; readonly train: string; readonly round: number })[];
  /** The published model. */
  readonly after: TestScore;
}

/** What HTTP, the CLI and `tacit start` may ask of the coordinator. All reads are projections of the store. */
export interface CoordinatorService {
  readonly store: Store;
  readonly ledger: Ledger;
  about(): AboutView;
  runs(): readonly RunView[];
  run(id: string): RunView | undefined;
  rounds(runId: string): readonly RoundView[];
  models(): readonly ModelView[];
  budgets(): readonly BudgetView[];
  /** With two approvals by different people who may approve. @throws BUDGET_UNAPPROVED, BUDGET_STATE */
  openBudget(entry: EntryInput<'budget.open'>): Promise<{ readonly index: number }>;
  /** Proposed openings, their signatures, and who may sign. */
  readonly policy: PolicyDesk;
  /** At once, by the operator alone. @throws BUDGET_UNKNOWN, BUDGET_STATE */
  lowerBudget(entry: EntryInput<'budget.lower'>): Promise<{ readonly index: number }>;
  /**
   * Validates, computes σ, logs the plan and reserves its budget. @throws PLAN_INVALID, BUDGET_EXCEEDED, …
   * @param heldOut - the coordinator's own labelled texts; kept in its store, never sent to anyone
   */
  createRun(planText: string, where: string, heldOut: HeldOut): Promise<RunView>;
  /**
   * The finished run on the test set, which nothing was chosen on: before training, the best of each stage, and what was
   * published. @throws RUN_NOT_FINISHED
   */
  evaluateTest(runId: string): Promise<TestReport>;
  /** The join link (`<publicUrl>/#join=<token>.<fingerprint>`) of a new invitation. */
  invite(runId: string, request: InvitationRequest): Promise<{ readonly code: string }>;
  stopRun(runId: string, reason: string): Promise<RunView>;
  /** Makes a model the one served as `current`. */
  promote(modelId: string): Promise<ModelView>;
  /** Bytes of one file of a published model's Hugging Face directory. */
  modelFile(modelId: string, name: string): Promise<Uint8Array>;
  /** @param modelId - a model's id, or `current` */
  predict(modelId: string, texts: readonly string[]): Promise<readonly Prediction[]>;
  /** Who holds this session token (issued over the socket after the signed hello), or undefined. */
  authorise(token: string): { readonly clientId: string; readonly runId: string } | undefined;
  /** Bytes of a blob that a participant of `runId` may download (weights, model files). @throws NOT_FOUND */
  participantBlob(
    runId: string,
    sha256: string,
  ): Promise<{ readonly sizeBytes: number; read(start: number, end: number): Promise<Uint8Array> }>;
  /** Durably keeps chunk `index` of a masked upload; resolves after it reached stable storage. */
  acceptChunk(upload: {
    readonly runId: string;
    readonly round: number;
    readonly attempt: number;
    readonly clientId: string;
    readonly index: number;
    readonly bytes: Uint8Array;
  }): Promise<{ readonly sha256: string }>;
  /** SHA-256 of the chunk that is kept of a client's upload; undefined when there is none. @throws ROUND_CLOSED */
  heldChunk(place: {
    readonly runId: string;
    readonly round: number;
    readonly attempt: number;
    readonly clientId: string;
    readonly index: number;
  }): string | undefined;
  /** Calls `listener` on every event until the returned function is called. */
  subscribe(listener: (event: CoordinatorEvent) => void): () => void;
  close(): Promise<void>;
}
