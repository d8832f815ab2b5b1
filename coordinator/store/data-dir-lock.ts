import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import Database from 'libsql';
import { TacitError } from '../../shared/core/errors.ts';
import type { Store } from '../../shared/store/port.ts';
import type { CoordinatorConfig } from '../config.ts';
import { openConfiguredStore } from './open-store.ts';

export type DataDirErrorCode = 'DATA_DIR_IN_USE';

/** Who else writes with the keys of this directory. */
export class DataDirInUse extends TacitError<DataDirErrorCode> {
  /** Of the coordinator that runs on it; undefined while another command writes. */
  readonly address: string | undefined;

  constructor(dataDir: string, address: string | undefined) {
    super(
      'DATA_DIR_IN_USE',
      `${address === undefined ? 'another command' : 'a coordinator'} is using this data directory`,
      {
        where: address === undefined ? dataDir : `${dataDir}, ${address}`,
        fix:
          address === undefined
            ? 'Wait until it has ended.'
            : 'Ask the running coordinator (docs/HTTP.md: POST /api/v1/budgets, /budgets/proposals, /approvers), or stop it first.',
      },
    );
    this.address = address;
  }
}

const LOCK = 'coordinator.lock';
const ADDRESS = 'coordinator.address';

/**
 * One writer at a time on a data directory, whose keys sign the ledger. The lock is an exclusive SQLite transaction on a file
 * of its own: the system gives it back when the process ends in whatever way, so it never has to be taken by force.
 * @param address - of the coordinator, for commands that then ask it instead
 * @returns gives the lock back
 * @throws DATA_DIR_IN_USE
 */
export async function lockDataDir(dataDir: string, address?: string): Promise<() => Promise<void>> {
  const dir = resolve(dataDir);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const db = new Database(join(dir, LOCK));
  try {
    db.pragma('busy_timeout = 0');
    db.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    db.close();
    if ((cause as { code?: string }).code !== 'SQLITE_BUSY') throw cause;
    throw new DataDirInUse(dataDir, await addressOf(dir));
  }
  // One that a killed coordinator left would be taken for this writer's.
  await rm(join(dir, ADDRESS), { force: true });
  if (address !== undefined) await writeFile(join(dir, ADDRESS), address, { mode: 0o600 });
  return async () => {
    if (address !== undefined) await rm(join(dir, ADDRESS), { force: true });
    // The driver may close later than it says; the end of the transaction is what gives the lock back.
    db.exec('ROLLBACK');
    db.close();
  };
}

async function addressOf(dir: string): Promise<string | undefined> {
  return readFile(join(dir, ADDRESS), 'utf8').catch(() => undefined);
}

/** The configured store for a command that writes to it. @throws DATA_DIR_IN_USE, STORE_* (STORE_IN_USE) */
export async function withWritableStore<T>(
  config: Pick<CoordinatorConfig, 'store' | 'dataDir'>,
  use: (store: Store) => Promise<T>,
): Promise<T> {
  const release = await lockDataDir(config.dataDir);
  try {
    const store = await openConfiguredStore(config, { owner: `a command (process ${process.pid} on ${hostname()})` });
    try {
      return await use(store);
    } finally {
      await store.close();
    }
  } finally {
    await release();
  }
}
