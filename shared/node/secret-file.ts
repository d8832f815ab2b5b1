import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Bytes of a secret kept beside the data, made once. Only its owner may read it (mode 0600), and two processes that
 * start together agree on one: creation is exclusive, the loser reads the winner's.
 */
export async function readOrCreateSecret(
  path: string,
  make: () => Uint8Array,
): Promise<{ bytes: Uint8Array; created: boolean }> {
  const existing = await readIfThere(path);
  if (existing !== undefined) return { bytes: existing, created: false };
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  try {
    const bytes = make();
    await createPrivate(path, bytes);
    return { bytes, created: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return { bytes: await readFile(path), created: false };
  }
}

/** Writes a new file of mode 0600 and waits until it is on the disk. @throws EEXIST */
export async function createPrivate(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

export async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
