import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ModelFiles } from '../shared/bert/directory.ts';
import { readDirectoryFiles } from '../shared/node/directory-files.ts';
import { packageRoot } from '../shared/node/package-root.ts';

/** BERT-large in float32 with room. */
const MODEL_BYTES = 2 ** 31;

/**
 * A plan's `model.from`: a directory relative to where the command runs, else one that came with this package.
 * @throws FILE_MISSING, FILE_UNREADABLE, FILE_TOO_LARGE
 */
export function readModelFiles(from: string): Promise<ModelFiles> {
  const here = resolve(from);
  return readDirectoryFiles(existsSync(here) ? here : join(packageRoot, from), MODEL_BYTES);
}
