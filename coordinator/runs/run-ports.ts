import type { Logger } from 'pino';
import type { Clock } from '../../shared/core/clock.ts';
import type { Rng } from '../../shared/core/rng.ts';
import type { Signer } from '../../shared/core/signing.ts';
import type { BudgetBook } from '../../shared/ledger/budget-book.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import type { RoundView } from '../../shared/protocol/views.ts';
import type { Store } from '../../shared/store/port.ts';

/** What a run asks of the rest of the coordinator. */
export interface RunPorts {
  readonly store: Store;
  readonly ledger: Ledger;
  /** Appends an entry that spends or settles budget; the budgets shown are those after it. */
  readonly charge: BudgetBook['append'];
  readonly clock: Clock;
  readonly rng: Rng;
  readonly signer: Signer;
  readonly log: Logger;
  /** Participants of this run whose connection is open. */
  connected(): ReadonlySet<string>;
  send(clientId: string, name: string, payload: unknown): void;
  /** Tells everyone connected that a round ended, with the proof of entry `index`. */
  announceRound(ended: {
    readonly round: number;
    readonly attempt: number;
    readonly outcome: 'released' | 'aborted';
    readonly reason: string | null;
    readonly index: number;
  }): Promise<void>;
  /** Makes the roster of everyone who consented an entry when it is news, and sends it to those who have not seen it. Its hash. */
  announceRoster(): Promise<string>;
  /** Tells everyone connected that the run is over, with the proof of its last entry. */
  announceEnd(index: number): Promise<void>;
  /** Participants of this run may download this blob from now on. */
  allowDownload(sha256: string): void;
  changed(round?: RoundView): void;
}
