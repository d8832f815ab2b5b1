import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { blobCorrupt, blobMissing, checkBlobName, checkRange } from '../../store/names.ts';
import type { Store } from '../../store/port.ts';

type Blobs = Pick<Store, 'putBlob' | 'getBlob' | 'blobSize' | 'deleteBlob'>;

/**
 * Content-addressed files `<dir>/<first two digits>/<sha256>`. A file appears under its name only when all its bytes
 * are on the disk (temporary file, fsync, rename, fsync of the directory), so a power cut leaves a blob or none.
 */
export function createBlobFiles(dir: string): Blobs {
  const pathOf = (sha256: string): string => join(dir, sha256.slice(0, 2), sha256);
  /** Made and synced once a process: another writer may have made the directory and not synced it yet. */
  const directories = new Map<string, Promise<void>>();
  const ready = (path: string): Promise<void> => {
    const known = directories.get(path) ?? mkdirDurable(path).then(() => syncDirectory(dirname(path)));
    directories.set(path, known);
    known.catch(() => directories.delete(path));
    return known;
  };
  return {
    async putBlob(bytes) {
      const key = createHash('sha256').update(bytes).digest('hex');
      const path = pathOf(key);
      if ((await sizeOf(path)) === bytes.length) return key;
      await ready(dirname(path));
      await writeDurable(path, bytes);
      return key;
    },
    async getBlob(sha256, range) {
      checkBlobName(sha256);
      const file = await open(pathOf(sha256), 'r').catch((error) => {
        if (isMissing(error)) throw blobMissing(sha256);
        throw error;
      });
      try {
        const { start, end } = checkRange(sha256, (await file.stat()).size, range);
        const bytes = new Uint8Array(end - start);
        for (let at = 0; at < bytes.length; ) {
          const { bytesRead } = await file.read(bytes, at, bytes.length - at, start + at);
          if (bytesRead === 0) throw blobCorrupt(sha256);
          at += bytesRead;
        }
        if (range === undefined && createHash('sha256').update(bytes).digest('hex') !== sha256)
          throw blobCorrupt(sha256);
        return bytes;
      } finally {
        await file.close();
      }
    },
    async blobSize(sha256) {
      checkBlobName(sha256);
      return sizeOf(pathOf(sha256));
    },
    async deleteBlob(sha256) {
      checkBlobName(sha256);
      await rm(pathOf(sha256), { force: true });
    },
  };
}

/** Writes `path` whole or not at all, also across a power cut. */
export async function writeDurable(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.tmp-${randomBytes(12).toString('hex')}`);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Makes the directory and the names of all its new parents durable. */
export async function mkdirDurable(dir: string): Promise<void> {
  const first = await mkdir(dir, { recursive: true });
  if (first === undefined) return;
  for (let at = dir; ; at = dirname(at)) {
    await syncDirectory(dirname(at));
    if (at === first || at === dirname(at)) return;
  }
}

/** A rename survives a power cut only once its directory is synced. Windows has no such call and needs none. */
async function syncDirectory(dir: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (s) => s.size,
    (error) => {
      if (isMissing(error)) return undefined;
      throw error;
    },
  );
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
