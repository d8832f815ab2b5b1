import { systemRng } from '../../shared/core/rng.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import type { CoordinatorConfig } from '../config.ts';
import { passphraseFromEnvironment } from '../keys/identity.ts';
import { openOwnLedger } from '../keys/key-rotation.ts';
import { DataDirInUse, withWritableStore } from '../store/data-dir-lock.ts';
import { remoteOf } from './remote.ts';

/** What the coordinator answers to a decision. */
export interface Written {
  readonly ledgerIndex: number;
}

interface RunningCoordinator {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: unknown): Promise<T>;
}

/**
 * A decision for the ledger of this data directory: written to the store when nobody else writes, otherwise asked of the
 * coordinator that runs on it, so that there is never a second writer. @throws DATA_DIR_IN_USE while another command writes
 */
export async function writing<T>(
  config: CoordinatorConfig,
  ways: {
    readonly offline: (ledger: Ledger) => Promise<T>;
    readonly online: (coordinator: RunningCoordinator) => Promise<T>;
  },
): Promise<T> {
  try {
    return await withWritableStore(config, async (store) => {
      const passphrase = passphraseFromEnvironment();
      const { ledger } = await openOwnLedger({ config, store, passphrase, rng: systemRng });
      return ways.offline(ledger);
    });
  } catch (error) {
    if (!(error instanceof DataDirInUse) || error.address === undefined) throw error;
    const { get, post } = remoteOf({ coordinator: error.address, dataDir: config.dataDir });
    return ways.online({ get, post: (path, body) => post(path, JSON.stringify(body), 'application/json') });
  }
}
