import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { TacitError } from '../../../shared/core/errors.ts';
import type { LedgerReader } from '../../../shared/ledger/reader.ts';
import type { DocumentErrorCode } from '../../../shared/node/documents.ts';
import { openSqliteStore } from '../../../shared/node/store/sqlite.ts';
import { openOwnReader } from '../../../shared/participant/own-bundle.ts';

/** Whether `dir` is the state folder of a `tacit client`. */
export function isSite(dir: string): boolean {
  return existsSync(join(dir, 'store'));
}

/** A site's own ledger out of its state folder, read only and without its key; undefined while nothing was signed in it. @throws FILE_MISSING */
export async function withSiteLedger<T>(
  dir: string,
  use: (reader: LedgerReader | undefined) => Promise<T>,
): Promise<T> {
  if (!isSite(dir)) {
    throw new TacitError<DocumentErrorCode>('FILE_MISSING', 'this is not the state folder of a client', {
      where: dir,
      fix: 'Name the folder that was given to "tacit client --state" (without it: .tacit in the home directory).',
    });
  }
  const store = await openSqliteStore(join(dir, 'store'));
  try {
    return await use(await openOwnReader(store));
  } finally {
    await store.close();
  }
}
