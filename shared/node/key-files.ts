import { rename } from 'node:fs/promises';
import type { Rng } from '../core/rng.ts';
import { type Signer, signerFromSeed } from '../core/signing.ts';
import type { KeySlots } from '../ledger/key-change.ts';
import { openKeystore } from './keystore.ts';
import { readIfThere } from './secret-file.ts';

/** A ledger's keys in two files, each as `openKeystore` keeps it. @throws KEYSTORE_LOCKED, KEYSTORE_INVALID */
export function keyFiles(files: {
  /** Of the key in force; made at first use. */
  readonly current: string;
  readonly next: string;
  readonly passphrase: string | undefined;
  readonly rng: Rng;
}): KeySlots {
  const signerIn = async (path: string): Promise<Signer> => signerFromSeed((await openKeystore(path, files)).seed);
  return {
    current: () => signerIn(files.current),
    next: async () => ((await readIfThere(files.next)) === undefined ? undefined : signerIn(files.next)),
    makeNext: () => signerIn(files.next),
    promote: () => rename(files.next, files.current),
  };
}
