import { rename } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import type { Rng } from '../core/rng.ts';
import { type Signer, signerFromSeed } from '../core/signing.ts';
import { openLedger, rotationOf } from '../ledger/log.ts';
import { LedgerReader } from '../ledger/reader.ts';
import type { Store } from '../store/port.ts';
import { openKeystore } from './keystore.ts';
import { readIfThere } from './secret-file.ts';

/** A ledger whose key lies in a file. */
export interface KeyedLedger {
  readonly store: Store;
  readonly stream: string;
  readonly origin: string;
  /** The key in force. */
  readonly keyFile: string;
  /** The key that comes next, from before it is in the ledger until it has taken the other's place. */
  readonly nextFile: string;
  readonly passphrase: string | undefined;
  readonly rng: Rng;
  readonly clock: Clock;
}

export interface Rotated {
  /** Of the key.rotate entry. */
  readonly index: number;
}

/**
 * A new key for a ledger: made, written to disk, put into the ledger with both signatures, and only then in the old one's
 * place, which is gone afterwards. Run again after a crash, it goes on where it stood.
 * @throws KEYSTORE_LOCKED, KEYSTORE_INVALID, LEDGER_KEY_UNKNOWN
 */
export async function rotateLedgerKey(place: KeyedLedger, reason: string): Promise<Rotated> {
  const finished = await finishRotation(place);
  if (finished !== undefined) return { index: finished };
  const { store, stream, origin, clock } = place;
  const ledger = await openLedger({ store, stream, origin, clock, signer: await signerIn(place.keyFile, place) });
  await ledger.rotateKey(await signerIn(place.nextFile, place), reason);
  return { index: (await finishRotation(place)) as number };
}

/**
 * The next key takes its place once the ledger names it: one rename, so there is always exactly one key.
 * @returns index of the key.rotate entry, undefined when there was nothing to finish
 */
export async function finishRotation(place: KeyedLedger): Promise<number | undefined> {
  const { store, stream, origin, keyFile, nextFile } = place;
  if ((await readIfThere(nextFile)) === undefined) return undefined;
  const { publicKey } = await signerIn(nextFile, place);
  const index = (await LedgerReader.openReader({ store, stream, origin })).operation(rotationOf(publicKey));
  if (index !== undefined) await rename(nextFile, keyFile);
  return index;
}

async function signerIn(file: string, { passphrase, rng }: KeyedLedger): Promise<Signer> {
  return signerFromSeed((await openKeystore(file, { passphrase, rng })).seed);
}
