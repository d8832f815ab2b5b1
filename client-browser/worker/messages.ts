import type { EngineRow } from '../../shared/engine/select.ts';
import type { ParticipantEvent } from '../../shared/participant/events.ts';
import type { OwnAccount } from '../../shared/participant/own-account.ts';
import type { DataReport } from '../../shared/text/report.ts';

/**
 * What the page and its worker say to each other. Texts, gradients and keys live in the worker; the page sees what
 * it draws, and of the data only the few rows of the preview.
 */
export type ToWorker =
  /** Starts, or after `pause` goes on with, the session that this link opens. */
  | {
      readonly kind: 'connect';
      readonly link: string;
      readonly organisation: string;
      /** Engines in use when a worker before this one died: to be tried last. */
      readonly avoid?: readonly string[];
    }
  | { readonly kind: 'files'; readonly files: readonly DroppedFile[]; readonly columns: ChosenColumns | null }
  | { readonly kind: 'consent'; readonly limits: Limits }
  | { readonly kind: 'decline' }
  | { readonly kind: 'pause' }
  | { readonly kind: 'leave' }
  /** Ends the session and takes the consent to the run of this link back. */
  | { readonly kind: 'withdraw'; readonly link: string }
  /** Ends the session and gives this browser another key. */
  | { readonly kind: 'changeKey' }
  /** Asks for this browser's own ledger as a file. */
  | { readonly kind: 'exportAccount' }
  /** Ends the session and deletes identity, memory and ledger of this browser. */
  | { readonly kind: 'forget' };

/** A file with its path below the dropped folder: the folder's name is the label of a .txt or .eml file. */
export interface DroppedFile {
  readonly path: string;
  readonly blob: Blob;
}

export interface ChosenColumns {
  readonly text: string;
  readonly label: string;
}

/** The person's own rules for this training: a policy in the words of the page. */
export interface Limits {
  readonly maximumEpsilon: number;
  readonly maximumRounds: number;
  readonly minimumCohort: number;
}

export type FromWorker =
  /** First of all, where the browser has locks: the worker holds the one that bears its name, for as long as it lives. */
  | { readonly kind: 'alive' }
  /** Said by the page's own side (training-worker.ts): the worker died and another one goes on. */
  | { readonly kind: 'workerRestarted'; readonly reason: string; readonly engine: string | null }
  | { readonly kind: 'session'; readonly event: ParticipantEvent }
  | { readonly kind: 'identity'; readonly clientId: string; readonly sealed: boolean }
  /** The session waits for data: the plan's task, and the rules that the person may tighten. */
  | { readonly kind: 'task'; readonly task: TaskView }
  | { readonly kind: 'engines'; readonly tried: readonly EngineRow[] }
  | { readonly kind: 'reading'; readonly files: number }
  | {
      readonly kind: 'data';
      readonly report: DataReport;
      readonly preview: readonly PreviewRow[];
      readonly files: readonly string[];
    }
  | { readonly kind: 'dataProblem'; readonly problem: Problem; readonly columnsFound: readonly string[] }
  | { readonly kind: 'objection'; readonly problem: Problem }
  /** What this browser's own ledger says, whenever that changed. */
  | { readonly kind: 'account'; readonly account: OwnAccount }
  /** It as a .zip. */
  | { readonly kind: 'accountFile'; readonly zip: Uint8Array }
  /** How what was asked for went. */
  | { readonly kind: 'withdrawal' | 'keyChange'; readonly state: 'done' | Problem }
  | { readonly kind: 'paused' }
  | { readonly kind: 'forgotten' }
  | { readonly kind: 'workerFailed'; readonly problem: Problem };

export interface TaskView {
  readonly run: string;
  readonly text: string;
  /** Column of the label; null where texts have none. */
  readonly label: string | null;
  readonly kind: 'classification' | 'multi-label' | 'regression' | 'pretraining';
  readonly labels: readonly string[];
  /** Training goes on as soon as the same data is chosen again. */
  readonly consentedBefore: boolean;
}

export interface PreviewRow {
  readonly place: string;
  readonly label: string;
  readonly text: string;
}

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly fix?: string;
}
