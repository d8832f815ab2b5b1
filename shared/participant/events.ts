import type { AboutView, GuaranteeView, RoundPhase, RunView } from '../protocol/views.ts';

/** What a participant's session tells its surface (terminal progress or page). The session itself runs in a worker in browsers. */
export type ParticipantEvent =
  | {
      readonly kind: 'connection';
      readonly state: 'connecting' | 'connected' | 'lost' | 'closed';
      readonly detail?: string;
    }
  /** After hello: who runs this, what is asked, what my policy says. */
  | {
      readonly kind: 'invitation';
      readonly about: AboutView;
      readonly run: RunView;
      readonly items: readonly SentItem[];
    }
  | { readonly kind: 'engine'; readonly name: string; readonly reason: string; readonly secondsPerExample: number }
  | { readonly kind: 'consented'; readonly receipt: unknown }
  | { readonly kind: 'refused'; readonly run: string; readonly code: string; readonly reason: string }
  | {
      readonly kind: 'phase';
      readonly round: number;
      readonly rounds: number;
      readonly stage: number;
      readonly phase: RoundPhase;
    }
  /** Loss is the mean over this client's own sampled examples; it never leaves the device. */
  | {
      readonly kind: 'trained';
      readonly round: number;
      readonly examples: number;
      readonly loss: number;
      readonly seconds: number;
      /** Examples left out because their loss or gradient was not finite; absent: none. The noise is added all the same. */
      readonly dropped?: number;
    }
  | {
      readonly kind: 'uploaded';
      readonly round: number;
      readonly bytes: number;
      /** Over the SHA-256 of every chunk, in order. */
      readonly sha256: string;
      readonly firstBytes: string;
    }
  | {
      readonly kind: 'charged';
      readonly round: number;
      readonly guarantee: GuaranteeView;
      readonly budgetEpsilon: number;
      readonly spentEpsilon: number;
    }
  | { readonly kind: 'ledger'; readonly size: number; readonly root: string; readonly verified: boolean }
  | {
      readonly kind: 'roundEnded';
      readonly round: number;
      readonly outcome: 'released' | 'aborted';
      readonly reason: string | null;
    }
  | { readonly kind: 'finished'; readonly run: RunView }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string; readonly fix?: string };

/** A row of "what will be sent". */
export interface SentItem {
  readonly what: string;
  readonly form: string;
  readonly sizeBytes: number;
  readonly when: string;
}
