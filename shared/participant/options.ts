import type { Clock } from '../core/clock.ts';
import type { Rng } from '../core/rng.ts';
import type { Signer } from '../core/signing.ts';
import type { Terms } from '../protocol/terms.ts';
import type { Store } from '../store/port.ts';
import type { TextRecord } from '../text/record.ts';
import type { ParticipantEvent } from './events.ts';
import type { Policy } from './policy.ts';
import type { TrainerFactory } from './trainer.ts';
import type { ParticipantTransport } from './transport.ts';

/** What a site says to a plan. */
export interface SiteAnswer {
  /** Its own rules; undefined means that it has none, and absent means refuse. */
  readonly policy: Policy | undefined;
  /** Its own records. They stay with the trainer. */
  readonly records: readonly TextRecord[];
}

export type Invitation = Extract<ParticipantEvent, { kind: 'invitation' }>;

/** What else a site may want to know before it answers. */
export interface AnswerContext {
  readonly terms: Terms;
  /** It consented to this plan in an earlier life of the process: only the records are needed again. */
  readonly consentedBefore: boolean;
  /** ε that its own ledger shows as spent or set aside on this data in this period. */
  readonly spentEpsilon: number;
}

export interface ParticipantOptions {
  /** The join link. */
  readonly link: string;
  readonly organisation: string;
  /** Asked once the plan on offer was found in the ledger and its promise recomputed; null declines. The policy is then enforced. */
  answer(invitation: Invitation, context: AnswerContext): Promise<SiteAnswer | null>;
  /** Takes a consent back instead of taking part, and says why; the session ends as soon as the coordinator has it in its ledger. */
  readonly withdraw?: string;
  readonly createTrainer: TrainerFactory;
  readonly engineName: string;
  /** Own identity; its private half never leaves this process. */
  readonly signer: Signer;
  /** Own durable state: memory, and the site's own ledger. */
  readonly store: Store;
  readonly rng: Rng;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** For tests and other wires; socket.io and HTTP otherwise. */
  readonly transport?: (url: string) => ParticipantTransport;
}
