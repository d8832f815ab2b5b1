import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { mergeAdapter, readAdapterDirectory } from '../../../shared/bert/adapter.ts';
import {
  isPretraining,
  type ModelDirectory,
  type ModelFiles,
  readModelDirectory,
  writeModelDirectory,
} from '../../../shared/bert/directory.ts';
import type { BertErrorCode } from '../../../shared/bert/errors.ts';
import { exportOnnx } from '../../../shared/bert/onnx-export.ts';
import { blocksUsed, encoderSpecs, poolerSpecs, requireTensor } from '../../../shared/bert/parameters.ts';
import { writeSentenceTransformers } from '../../../shared/bert/sentence-transformers.ts';
import { TacitError } from '../../../shared/core/errors.ts';
import { type CommandLineErrorCode, command, openTerminal } from '../../../shared/node/command-line.ts';
import { writeDirectoryFiles } from '../../../shared/node/directory-files.ts';
import { formatBytes, table } from '../../../shared/node/format.ts';
import { isHubName } from '../../../shared/node/hub.ts';
import { openTokenizer } from '../../../shared/protocol/stage-model.ts';
import { sparsityReport } from '../../../shared/training/pruning.ts';
import { requireClassifier, taskOf } from '../../models/local-model.ts';
import { readModelFiles } from '../../models/model-files.ts';

/** A directory or a name on the hub; anything else is a model that a coordinator published. */
export function isLocalModel(model: string): boolean {
  return isHubName(model) || existsSync(model);
}

export function inspectCommand(): Command {
  return command('inspect', 'what a model is, every tensor checked', 'tacit model inspect models/tacit-mini')
    .argument('<model>', 'a Hugging Face directory or hf:org/name[@revision]')
    .option('--json', 'one JSON object')
    .action(async (from: string, options: { json?: boolean }) => {
      const model = readModelDirectory(await readModelFiles(from));
      checkTensors(model);
      const { config, weights, head, tokenizer } = model;
      const { parameters, sparsity } = sparsityReport(weights, 4);
      const about = {
        model: from,
        layers: config.layers,
        hiddenSize: config.hiddenSize,
        heads: config.heads,
        intermediateSize: config.intermediateSize,
        vocabulary: config.vocabSize,
        positions: config.maxPositions,
        activation: String(config.raw['hidden_act'] ?? config.hiddenAct),
        head: head === 'mean' ? `mean of layers ${(config.meanLayers ?? []).join(', ')}` : 'pooler',
        labels: weights.has('classifier.weight') ? (config.labelNames ?? []).join(', ') : '(no classifier)',
        task: isPretraining(model) ? 'fills in [MASK]' : weights.has('classifier.weight') ? taskOf(model) : '(none)',
        tokenizer: tokenizer.size === 0 ? '(none)' : `${openTokenizer(tokenizer).vocabularySize} pieces`,
        parameters,
        float32: formatBytes(4 * parameters),
        sparsity: Number(sparsity.toFixed(4)),
      };
      const terminal = openTerminal(options.json === true);
      terminal.emit(about);
      for (const line of table([
        ['', from],
        ...Object.entries(about)
          .slice(1)
          .map(([k, v]) => [k, String(v)]),
      ]))
        terminal.say(line);
    });
}

/** @throws BERT_WEIGHTS_MISSING, BERT_WEIGHTS_SHAPE naming the tensor and the shape that it should have, BERT_NOT_FINITE */
function checkTensors({ config, weights, head }: ModelDirectory): void {
  const broken = [...weights.values()].find(({ data }) => !data.every(Number.isFinite));
  if (broken !== undefined) {
    throw new TacitError<BertErrorCode>('BERT_NOT_FINITE', `${broken.name} has a number that is not finite`, {
      where: 'model.safetensors',
      fix: 'The training that made it broke: use an earlier checkpoint.',
    });
  }
  const pooler = head === 'pooler' && weights.has('bert.pooler.dense.weight') ? poolerSpecs(config) : [];
  for (const spec of [...encoderSpecs(config, blocksUsed(config, head)), ...pooler]) requireTensor(weights, spec);
}

export function importCommand(): Command {
  return command(
    'import',
    'check a model and write it as a directory, so that it can be carried to where there is no network',
    'tacit model import hf:google/bert_uncased_L-2_H-128_A-2 --out bert-tiny',
  )
    .argument('<model>', 'a Hugging Face directory or hf:org/name[@revision]')
    .requiredOption('--out <dir>', 'a new directory')
    .option('--dtype <type>', 'float32 or float16', 'float32')
    .option('--max-shard-size <MB>', 'split larger weights into files of at most so many megabytes')
    .option('--json', 'one JSON object')
    .action(async (from: string, options: ConvertOptions) => {
      await write(options, rewrite(readModelDirectory(await readModelFiles(from)), options));
    });
}

export interface ConvertOptions {
  readonly out: string;
  readonly dtype?: string;
  readonly format?: string;
  readonly maxShardSize?: string;
  readonly json?: boolean;
}

/** A model's files in another form. @throws USAGE, BERT_* */
export function convert(files: ModelFiles, options: ConvertOptions, where: string): ReadonlyMap<string, Uint8Array> {
  const model = readModelDirectory(files);
  switch (options.format ?? 'huggingface') {
    case 'huggingface':
      return rewrite(model, options);
    case 'sentence-transformers':
      return writeSentenceTransformers(model);
    case 'onnx': {
      requireClassifier(model, where);
      checkTensors(model);
      const onnx = exportOnnx(model.config, model.weights, model.head);
      const config = files.get('config.json') as Uint8Array;
      return new Map([['model.onnx', onnx], ['config.json', config], ...model.tokenizer]);
    }
    default:
      throw usage('--format', `"${options.format}" is none of huggingface, onnx, sentence-transformers`);
  }
}

function rewrite(model: ModelDirectory, { dtype = 'float32', maxShardSize }: ConvertOptions): Map<string, Uint8Array> {
  if (dtype !== 'float32' && dtype !== 'float16') throw usage('--dtype', `"${dtype}" is neither float32 nor float16`);
  checkTensors(model);
  const megabytes = maxShardSize === undefined ? undefined : Number(maxShardSize);
  if (megabytes !== undefined && !(megabytes > 0)) throw usage('--max-shard-size', `"${maxShardSize}" is not a size`);
  return writeModelDirectory({
    ...model,
    dtype: dtype === 'float16' ? 'F16' : 'F32',
    ...(megabytes === undefined ? {} : { maxShardBytes: megabytes * 1e6 }),
  });
}

export async function write({ out, json }: ConvertOptions, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await writeDirectoryFiles(out, files);
  const sizeBytes = [...files.values()].reduce((n, b) => n + b.length, 0);
  const terminal = openTerminal(json === true);
  terminal.emit({ written: out, files: files.size, sizeBytes });
  terminal.say(`${files.size} files, ${formatBytes(sizeBytes)}: ${out}`);
}

export function mergeCommand(): Command {
  return command(
    'merge',
    'put a LoRA adapter (peft format) into its base model',
    'tacit model merge bert-base my-model/adapter --out merged',
  )
    .argument('<base>', 'a Hugging Face directory or hf:org/name[@revision]')
    .argument('<adapter>', 'a peft adapter directory or hf:org/name[@revision]')
    .requiredOption('--out <dir>', 'a new directory')
    .option('--dtype <type>', 'float32 or float16', 'float32')
    .option('--json', 'one JSON object')
    .action(async (from: string, adapterFrom: string, options: ConvertOptions) => {
      const base = readModelDirectory(await readModelFiles(from));
      const adapter = readAdapterDirectory(await readModelFiles(adapterFrom));
      await write(options, rewrite({ ...base, weights: mergeAdapter(base, adapter) }, options));
    });
}

function usage(where: string, what: string): TacitError<CommandLineErrorCode> {
  return new TacitError<CommandLineErrorCode>('USAGE', what, { where });
}
