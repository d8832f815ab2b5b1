import { join } from 'node:path';
import type { Store } from '../../shared/store/port.ts';
import type { CoordinatorConfig } from '../config.ts';
import type { LeaseOptions } from './mongo/lease.ts';

/** Stream of the coordinator's ledger in its store. */
export const LEDGER_STREAM = 'ledger';

/**
 * The store that the configuration names; only its own driver is loaded. With a `writer` no other process writes to the same
 * MongoDB database (an embedded store has its data directory's lock for that). @throws STORE_UNAVAILABLE, STORE_INVALID, STORE_IN_USE
 */
export async function openConfiguredStore(
  config: Pick<CoordinatorConfig, 'store' | 'dataDir'>,
  writer?: LeaseOptions,
): Promise<Store> {
  if (config.store === 'sqlite') {
    const { openSqliteStore } = await import('../../shared/node/store/sqlite.ts');
    return openSqliteStore(join(config.dataDir, 'store'));
  }
  const { openMongoStore } = await import('./mongo/store.ts');
  return openMongoStore(config.store, writer === undefined ? {} : { lease: writer });
}
