import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { TacitError } from '../../core/errors.ts';
import type { BundleFiles } from '../../ledger/bundle.ts';

export type BundleErrorCode = 'BUNDLE_UNREADABLE' | 'BUNDLE_EXISTS';

/** A bundle is read whole; an auditor's laptop holds this, a disk full of something else is refused. */
const MAX_BUNDLE_BYTES = 2 ** 31;

/** Writes an export bundle as a directory. @throws BUNDLE_EXISTS when `dir` is there and not empty */
export async function writeBundle(dir: string, files: BundleFiles): Promise<void> {
  const present = await readdir(dir).catch(() => []);
  if (present.length > 0) {
    throw new TacitError<BundleErrorCode>('BUNDLE_EXISTS', 'the directory is not empty', {
      where: dir,
      fix: 'Name a new directory.',
    });
  }
  for (const [path, bytes] of files) {
    const target = join(dir, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, bytes);
  }
}

/** Reads an export bundle from a directory. @throws BUNDLE_UNREADABLE */
export async function readBundle(dir: string): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  let total = 0;
  try {
    for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      total += (await stat(path)).size;
      if (total > MAX_BUNDLE_BYTES) throw new Error(`it holds over ${MAX_BUNDLE_BYTES} bytes`);
      files.set(relative(dir, path).split(sep).join('/'), new Uint8Array(await readFile(path)));
    }
  } catch (cause) {
    throw unreadable(dir, (cause as Error).message, cause);
  }
  if (!files.has('checkpoint')) throw unreadable(dir, 'it has no file named checkpoint');
  return files;
}

function unreadable(dir: string, why: string, cause?: unknown): TacitError<BundleErrorCode> {
  return new TacitError<BundleErrorCode>('BUNDLE_UNREADABLE', `no export bundle can be read there: ${why}`, {
    where: dir,
    fix: 'Give the directory that `tacit ledger export` wrote.',
    cause,
  });
}
