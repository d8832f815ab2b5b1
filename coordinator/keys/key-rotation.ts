import { join } from 'node:path';
import type { Rng } from '../../shared/core/rng.ts';
import { finishRotation, type KeyedLedger, rotateLedgerKey } from '../../shared/ledger/key-change.ts';
import { type Ledger, openLedger } from '../../shared/ledger/log.ts';
import { keyFiles } from '../../shared/node/key-files.ts';
import type { Store } from '../../shared/store/port.ts';
import type { CoordinatorConfig } from '../config.ts';
import { LEDGER_STREAM } from '../store/open-store.ts';
import { type CoordinatorIdentity, openIdentity } from './identity.ts';
import { writeVkey } from './vkey.ts';

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
  await finishRotation(keyed(place));
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

/** A new key for the coordinator. @returns the index of the key.rotate entry, and the present verifier key of the log */
export async function rotateKey(
  place: Place,
  reason: string,
): Promise<{ readonly index: number; readonly vkey: string }> {
  const index = await rotateLedgerKey(keyed(place), reason);
  const { ledger } = await openOwnLedger(place);
  return { index, vkey: ledger.vkey };
}

function keyed({ config, store, passphrase, rng }: Place): KeyedLedger {
  const keys = join(config.dataDir, 'keys');
  const files = { current: join(keys, 'coordinator.json'), next: join(keys, 'coordinator-next.json') };
  const slots = keyFiles({ ...files, passphrase, rng });
  return { store, stream: LEDGER_STREAM, origin: config.origin, slots, clock: Date };
}
