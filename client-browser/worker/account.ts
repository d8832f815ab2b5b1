import { zipSync } from 'fflate';
import { exportBundle } from '../../shared/ledger/bundle.ts';
import { ALGORITHM, formatVkey, verifierKey } from '../../shared/ledger/keys.ts';
import { LedgerReader } from '../../shared/ledger/reader.ts';
import { type OwnAccount, ownAccount } from '../../shared/participant/own-account.ts';
import { OWN_LEDGER_STREAM, ownOrigin } from '../../shared/participant/own-ledger.ts';
import type { Store } from '../../shared/store/port.ts';

/** This browser's own ledger, as it lies in its storage. Read only: a session may be writing to it. */
async function reader(store: Store, publicKey: Uint8Array): Promise<LedgerReader> {
  return LedgerReader.openReader({ store, stream: OWN_LEDGER_STREAM, origin: await ownOrigin(store, publicKey) });
}

/** What it says; undefined while nothing was signed in it. */
export async function accountOf(store: Store, publicKey: Uint8Array): Promise<OwnAccount | undefined> {
  const ledger = await reader(store, publicKey);
  if (ledger.signedSize <= 0) return undefined;
  return ownAccount((await ledger.entries(0, ledger.signedSize)).map(({ entry }) => entry));
}

/** A .zip as `tacit ledger export` writes it. @throws LEDGER_RANGE while nothing was signed */
export async function accountZip(store: Store, publicKey: Uint8Array): Promise<Uint8Array> {
  const ledger = await reader(store, publicKey);
  const vkey = formatVkey(verifierKey(ledger.origin, ALGORITHM.ed25519, publicKey));
  return zipSync(Object.fromEntries(await exportBundle(ledger, { vkey })));
}
