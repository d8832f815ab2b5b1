import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readTextFile } from '../../shared/node/documents.ts';

/** Public, so that an export needs neither the signing key nor its passphrase. */
export async function writeVkey(dataDir: string, vkey: string): Promise<void> {
  await writeFile(join(dataDir, 'log.vkey'), `${vkey}\n`);
}

/** The log's verifier key of this data directory. @throws FILE_MISSING before the coordinator's first start */
export async function readVkey(dataDir: string): Promise<string> {
  return (await readTextFile(join(dataDir, 'log.vkey'), 4096)).trim();
}
