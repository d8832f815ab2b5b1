import { zipSync } from 'fflate';
import { TacitError } from '../../shared/core/errors.ts';
import { type OwnAccount, ownAccount } from '../../shared/participant/own-account.ts';
import { exportOwnLedger, openOwnReader } from '../../shared/participant/own-bundle.ts';
import type { Store } from '../../shared/store/port.ts';

/** What this browser's own ledger says; undefined while nothing was signed in it. Read only: a session may be writing to it. */
export async function accountOf(store: Store): Promise<OwnAccount | undefined> {
  const ledger = await openOwnReader(store);
  if (ledger === undefined) return undefined;
  return ownAccount((await ledger.entries(0, ledger.signedSize)).map(({ entry }) => entry));
}

/** A .zip as `tacit ledger export` writes it. @throws LEDGER_RANGE while nothing was signed */
export async function accountZip(store: Store): Promise<Uint8Array> {
  const ledger = await openOwnReader(store);
  if (ledger === undefined) throw new TacitError('LEDGER_RANGE', 'nothing was signed in this browser’s own ledger yet');
  return zipSync(Object.fromEntries((await exportOwnLedger(ledger)).files));
}
