import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, TacitError } from '../../shared/core/errors.ts';
import { type DocumentErrorCode, readTextFile } from '../../shared/node/documents.ts';

/** Public, so that an export needs neither the signing key nor its passphrase. */
export async function writeVkey(dataDir: string, vkey: string): Promise<void> {
  await writeFile(join(dataDir, 'log.vkey'), `${vkey}\n`);
}

/** The log's verifier key of this data directory. @throws FILE_MISSING before the coordinator's first start */
export async function readVkey(dataDir: string): Promise<string> {
  try {
    return (await readTextFile(join(dataDir, 'log.vkey'), 4096)).trim();
  } catch (cause) {
    if (errorCode(cause) !== 'FILE_MISSING') throw cause;
    throw new TacitError<DocumentErrorCode>('FILE_MISSING', 'no coordinator has run on this data directory', {
      where: dataDir,
      fix: 'Name its directory with --data-dir; a participant’s own ledger is exported with --site.',
      cause,
    });
  }
}
