import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { newBertConfig } from '../../shared/bert/config.ts';
import { type ModelFiles, writeModelDirectory } from '../../shared/bert/directory.ts';
import { encoderSpecs, initialTensors, poolerSpecs } from '../../shared/bert/parameters.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { readDirectoryFiles } from '../../shared/node/directory-files.ts';
import { isHubName, readHubModel } from '../../shared/node/hub.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import type { Plan } from '../../shared/protocol/plan.ts';
import { openTokenizer, tokenizerFilesOf } from '../../shared/protocol/stage-model.ts';

/** BERT-large in float32 with room. */
const MODEL_BYTES = 2 ** 31;

type From = Plan['model']['from'];

/**
 * A plan's `model.from`: a directory relative to where the command runs, else one that came with this package;
 * `hf:org/name[@revision]` from the hub or its cache; or a new model, drawn here once: participants get the same files
 * as from a directory.
 * @throws FILE_MISSING, FILE_UNREADABLE, FILE_TOO_LARGE; HUB_*; TOKENIZER_INVALID, BERT_CONFIG_INVALID for a new model
 */
export async function readModelFiles(from: From): Promise<ModelFiles> {
  if (typeof from !== 'string') return freshModelFiles(from);
  if (isHubName(from)) return readHubModel(from, MODEL_BYTES);
  const here = resolve(from);
  return readDirectoryFiles(existsSync(here) ? here : join(packageRoot, from), MODEL_BYTES);
}

const FRESH_POSITIONS = 512;

async function freshModelFiles({ fresh, vocabulary }: Exclude<From, string>): Promise<ModelFiles> {
  const tokenizer = tokenizerFilesOf(await readModelFiles(vocabulary));
  const vocabSize = openTokenizer(tokenizer).vocabularySize;
  const config = newBertConfig({ ...fresh, vocabSize, maxPositions: FRESH_POSITIONS });
  const weights = initialTensors([...encoderSpecs(config), ...poolerSpecs(config)], config, systemRng);
  return writeModelDirectory({ config, weights, tokenizer });
}
