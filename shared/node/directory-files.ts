import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { unzipSync, zipSync } from 'fflate';
import { TacitError } from '../core/errors.ts';
import type { DocumentErrorCode } from './documents.ts';

/**
 * Every file below `dir` by its path with forward slashes.
 * @throws FILE_MISSING, FILE_UNREADABLE, FILE_TOO_LARGE when all together are over `maxBytes`
 */
export async function readDirectoryFiles(dir: string, maxBytes: number): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  let total = 0;
  for (const path of await pathsBelow(dir)) {
    total += (await stat(path)).size;
    if (total > maxBytes) {
      throw tooLarge(dir, maxBytes);
    }
    files.set(relative(dir, path).split(sep).join('/'), new Uint8Array(await readFile(path)));
  }
  return files;
}

/** Writes files by their relative paths into a new or empty directory. @throws FILE_EXISTS */
export async function writeDirectoryFiles(dir: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await mkdir(dir, { recursive: true });
  if ((await readdir(dir)).length > 0) {
    throw new TacitError('FILE_EXISTS', 'the directory is not empty', { where: dir, fix: 'Name a new one.' });
  }
  for (const [path, bytes] of files) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), bytes);
  }
}

async function pathsBelow(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { recursive: true, withFileTypes: true });
    return entries
      .filter((e) => e.isFile())
      .map((e) => join(e.parentPath, e.name))
      .sort();
  } catch (cause) {
    const gone = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new TacitError<DocumentErrorCode>(
      gone ? 'FILE_MISSING' : 'FILE_UNREADABLE',
      gone ? 'there is no such directory' : 'the directory cannot be read',
      {
        where: dir,
        fix: 'Name a directory.',
        cause,
      },
    );
  }
}

/**
 * Files by path out of a directory, or out of a .zip of the same.
 * @throws FILE_MISSING, FILE_UNREADABLE, FILE_TOO_LARGE, DOCUMENT_INVALID for something that is no zip
 */
export async function readBundle(path: string, maxBytes: number): Promise<Map<string, Uint8Array>> {
  if (!path.endsWith('.zip')) return readDirectoryFiles(path, maxBytes);
  const archive = await readZip(path);
  let total = 0;
  const filter = ({ originalSize }: { originalSize: number }): boolean => {
    total += originalSize;
    return total <= maxBytes;
  };
  let files: Record<string, Uint8Array>;
  try {
    files = unzipSync(archive, { filter });
  } catch (cause) {
    throw new TacitError<DocumentErrorCode>('DOCUMENT_INVALID', 'this is not a zip archive', { where: path, cause });
  }
  if (total > maxBytes) throw tooLarge(path, maxBytes);
  return new Map(Object.entries(files).filter(([name]) => !name.endsWith('/')));
}

/** Files into a new directory, or into a new .zip of the same. @throws FILE_EXISTS */
export async function writeBundle(path: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  if (!path.endsWith('.zip')) return writeDirectoryFiles(path, files);
  try {
    await writeFile(path, zipSync(Object.fromEntries(files)), { flag: 'wx' });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new TacitError('FILE_EXISTS', 'there is such a file already', { where: path, fix: 'Name a new one.', cause });
  }
}

async function readZip(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    const gone = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new TacitError<DocumentErrorCode>(
      gone ? 'FILE_MISSING' : 'FILE_UNREADABLE',
      gone ? 'there is no such file' : 'the file cannot be read',
      {
        where: path,
        fix: 'Check the path.',
        cause,
      },
    );
  }
}

function tooLarge(where: string, maxBytes: number): TacitError<DocumentErrorCode> {
  return new TacitError<DocumentErrorCode>('FILE_TOO_LARGE', `its files have more than ${maxBytes} bytes together`, {
    where,
  });
}
