import { TacitError } from '../core/errors.ts';
import type { Entry, EntryKind } from './entries.ts';
import type { LedgerErrorCode } from './errors.ts';

declare const durable: unique symbol;

/**
 * An entry that has reached stable storage. Only a ledger makes one, after the append; whatever must not happen before
 * its entry is durable (publishing a model, sending weights out) takes one as a parameter.
 */
export interface Durable<K extends EntryKind = EntryKind> {
  readonly [durable]: true;
  /** Position in the ledger. */
  readonly index: number;
  readonly entry: Entry<K>;
  /** RFC 6962 leaf hash of the stored bytes. */
  readonly leafHash: Uint8Array;
}

const made = new WeakSet<object>();

/** For the ledger alone: importing this elsewhere is what code review refuses. */
export function markDurable<K extends EntryKind>(fields: {
  readonly index: number;
  readonly entry: Entry<K>;
  readonly leafHash: Uint8Array;
}): Durable<K> {
  const value = Object.freeze({ ...fields }) as Durable<K>;
  made.add(value);
  return value;
}

/** The type's promise checked at run time as well, where a model or weights go out. @throws LEDGER_ENTRY_INVALID */
export function assertDurable<K extends EntryKind>(value: Durable<K>, kind: K): void {
  if (made.has(value) && value.entry.kind === kind) return;
  throw new TacitError<LedgerErrorCode>('LEDGER_ENTRY_INVALID', `this needs a durable ${kind} entry of the ledger`);
}
