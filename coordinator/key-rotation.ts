import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rng } from '../shared/core/rng.ts';
import { type Signer, signerFromSeed } from '../shared/core/signing.ts';
import { type Ledger, openLedger, rotationOf } from '../shared/ledger/log.ts';
import { LedgerReader } from '../shared/ledger/reader.ts';
import { openKeystore } from '../shared/node/keystore.ts';
import { readIfThere } from '../shared/node/secret-file.ts';
import type { Store } from '../shared/store/port.ts';
import type { CoordinatorConfig } from './config.ts';
import { type CoordinatorIdentity, openIdentity } from './identity.ts';
import { LEDGER_STREAM } from './open-store.ts';
import { writeVkey } from './vkey.ts';

const KEY = 'coordinator.json';
/** The key that comes next, from before it is in the ledger until it has taken the other's place. */
const NEXT_KEY = 'coordinator-next.json';

export interface OpenedLedger {
  readonly identity: CoordinatorIdentity;
  readonly ledger: Ledger;
}

interface Place {
  readonly config: Pick<CoordinatorConfig, 'dataDir' | 'origin'>;
  readonly store: Store;
  readonly passphrase: string | undefined;
  readonly rng: Rng;
}

/** The coordinator's ledger under the key in force: a rotation that a crash cut short is finished first. */
export async function openOwnLedger(place: Place): Promise<OpenedLedger> {
  const { config, store, passphrase, rng } = place;
  await finishRotation(place);
  const identity = await openIdentity(config.dataDir, passphrase, rng);
  const ledger = await openLedger({
    store,
    stream: LEDGER_STREAM,
    origin: config.origin,
    signer: identity.signer,
    clock: Date,
  });
  await writeVkey(config.dataDir, ledger.vkey);
  return { identity, ledger };
}

export interface Rotated {
  /** Of the key.rotate entry. */
  readonly index: number;
  /** The present verifier key of the log. */
  readonly vkey: string;
}

/**
 * A new key for the coordinator: made, written to disk, put into the ledger with both signatures, and only then in the old
 * one's place, which is gone afterwards. Run again after a crash, it goes on where it stood.
 */
export async function rotateKey(place: Place, reason: string): Promise<Rotated> {
  const finished = await finishRotation(place);
  let { ledger } = await openOwnLedger(place);
  if (finished !== undefined) return { index: finished, vkey: ledger.vkey };
  const { index } = await ledger.rotateKey(await nextSigner(place), reason);
  ledger = (await openOwnLedger(place)).ledger;
  return { index, vkey: ledger.vkey };
}

async function nextSigner({ config, passphrase, rng }: Place): Promise<Signer> {
  const { seed } = await openKeystore(join(config.dataDir, 'keys', NEXT_KEY), { passphrase, rng });
  return signerFromSeed(seed);
}

/**
 * The next key takes its place once the ledger names it: one rename, so there is always exactly one key.
 * @returns index of the key.rotate entry, undefined when there was nothing to finish
 */
async function finishRotation(place: Place): Promise<number | undefined> {
  const { config, store } = place;
  const keys = join(config.dataDir, 'keys');
  if ((await readIfThere(join(keys, NEXT_KEY))) === undefined) return undefined;
  const { publicKey } = await nextSigner(place);
  const reader = await LedgerReader.openReader({ store, stream: LEDGER_STREAM, origin: config.origin });
  const index = reader.operation(rotationOf(publicKey));
  if (index === undefined) return undefined;
  await rename(join(keys, NEXT_KEY), join(keys, KEY));
  return index;
}
