import type { Clock } from '../core/clock.ts';
import type { Signer } from '../core/signing.ts';
import type { Store } from '../store/port.ts';
import { openLedger, rotationOf } from './log.ts';
import { LedgerReader } from './reader.ts';

/** Where a ledger's secret keys lie: files, or a browser's storage. */
export interface KeySlots {
  /** The key in force. */
  current(): Promise<Signer>;
  /** The key that comes next, from before it is in the ledger until it has taken the other's place. */
  next(): Promise<Signer | undefined>;
  /** Makes the next key, durably. */
  makeNext(): Promise<Signer>;
  /** The next key takes the other's place, which is gone: one step, so there is always exactly one key in force. */
  promote(): Promise<void>;
}

/** A ledger whose key changes. */
export interface KeyedLedger {
  readonly store: Store;
  readonly stream: string;
  readonly origin: string;
  readonly slots: KeySlots;
  readonly clock: Clock;
}

/**
 * A new key for a ledger: made, durable, put into the ledger with both signatures, and only then in the old one's place, which is
 * gone afterwards. Run again after a crash, it goes on where it stood.
 * @returns index of the key.rotate entry
 * @throws LEDGER_KEY_UNKNOWN; what the slots throw
 */
export async function rotateLedgerKey(place: KeyedLedger, reason: string): Promise<number> {
  const finished = await finishRotation(place);
  if (finished !== undefined) return finished;
  const { store, stream, origin, clock, slots } = place;
  const ledger = await openLedger({ store, stream, origin, clock, signer: await slots.current() });
  await ledger.rotateKey((await slots.next()) ?? (await slots.makeNext()), reason);
  return (await finishRotation(place)) as number;
}

/**
 * The next key takes its place once the ledger names it.
 * @returns index of the key.rotate entry, undefined when there was nothing to finish
 */
export async function finishRotation({ store, stream, origin, slots }: KeyedLedger): Promise<number | undefined> {
  const next = await slots.next();
  if (next === undefined) return undefined;
  const reader = await LedgerReader.openReader({ store, stream, origin });
  const index = reader.operation(rotationOf(next.publicKey));
  if (index !== undefined) await slots.promote();
  return index;
}
