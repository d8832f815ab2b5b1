import { join } from 'node:path';
import { systemRng } from '../shared/core/rng.ts';
import { finishRotation, type KeyedLedger, rotateLedgerKey } from '../shared/ledger/key-change.ts';
import { keyFiles } from '../shared/node/key-files.ts';
import { type OpenKeystore, openKeystore } from '../shared/node/keystore.ts';
import { openSqliteStore } from '../shared/node/store/sqlite.ts';
import { OWN_LEDGER_STREAM, ownOrigin } from '../shared/participant/own-ledger.ts';
import type { Store } from '../shared/store/port.ts';

/** A site's state folder: its key, memory and own ledger. */
export interface Site {
  readonly store: Store;
  readonly identity: OpenKeystore;
}

/** Opens the folder, made at the first time; a change of key that a crash cut short is finished. The caller closes the store. */
export async function openSite(state: string, passphrase: string | undefined): Promise<Site> {
  const store = await openSqliteStore(join(state, 'store'));
  try {
    await finishRotation(await keyed(state, store, passphrase));
    return { store, identity: await openKeystore(keyFile(state), { passphrase, rng: systemRng }) };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Gives the site another key. It stays the same client: coordinators are shown the change at the next hello. */
export async function changeSiteKey(
  state: string,
  passphrase: string | undefined,
  reason: string,
): Promise<{ readonly index: number; readonly clientId: string }> {
  const { store } = await openSite(state, passphrase);
  try {
    const place = await keyed(state, store, passphrase);
    const index = await rotateLedgerKey(place, reason);
    return { index, clientId: place.origin.replace(/^tacit\.client\//, '') };
  } finally {
    await store.close();
  }
}

const keyFile = (state: string): string => join(state, 'identity.json');

async function keyed(state: string, store: Store, passphrase: string | undefined): Promise<KeyedLedger> {
  const next = join(state, 'identity-next.json');
  const slots = keyFiles({ current: keyFile(state), next, passphrase, rng: systemRng });
  const origin = await ownOrigin(store, (await slots.current()).publicKey);
  return { store, stream: OWN_LEDGER_STREAM, origin, slots, clock: Date };
}
