import { join } from 'node:path';
import { openSqliteStore } from '../shared/node/store/sqlite.ts';
import type { Store } from '../shared/store/port.ts';
import type { CoordinatorConfig } from './config.ts';
import { openMongoStore } from './store/mongo/store.ts';

/** Stream of the coordinator's ledger in its store. */
export const LEDGER_STREAM = 'ledger';

/** The store that the configuration names. @throws STORE_UNAVAILABLE, STORE_INVALID */
export function openConfiguredStore(config: Pick<CoordinatorConfig, 'store' | 'dataDir'>): Promise<Store> {
  return config.store === 'sqlite' ? openSqliteStore(join(config.dataDir, 'store')) : openMongoStore(config.store);
}
