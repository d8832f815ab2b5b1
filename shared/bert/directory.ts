import { fromUtf8, utf8 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { NamedTensor, Weights } from '../tensor/named.ts';
import { readWeights, writeSafetensors } from '../tensor/safetensors.ts';
import { type BertConfig, parseBertConfig } from './config.ts';
import type { BertErrorCode } from './errors.ts';
import type { BertTask, Head } from './types.ts';

/** Files of a model directory by path relative to it. */
export type ModelFiles = ReadonlyMap<string, Uint8Array>;

export interface ModelDirectory {
  readonly config: BertConfig;
  /** Under the names of `BertForSequenceClassification` (`bert.` in front), whatever class saved the file. */
  readonly weights: Weights;
  /** `mean` when the config describes a mean head. */
  readonly head: Head;
  /** vocab.txt, tokenizer.json and their settings, as they are. */
  readonly tokenizer: ModelFiles;
  /** What stood before the parameter names on disk: `` for a bare `BertModel`, else `bert.`. */
  readonly namesOnDisk: '' | 'bert.';
}

/** vocab.txt, tokenizer.json and their settings. */
export const TOKENIZER_FILES: readonly string[] = [
  'vocab.txt',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
];
const oneFile = 'model.safetensors';
const indexFile = 'model.safetensors.index.json';

/**
 * Reads a Hugging Face BERT directory: `config.json`, `model.safetensors` (or its shards and index), tokenizer files.
 * @throws BERT_DIRECTORY_INVALID, BERT_CONFIG_INVALID, BERT_UNSUPPORTED, SAFETENSORS_INVALID
 */
export function readModelDirectory(files: ModelFiles): ModelDirectory {
  const config = parseBertConfig(readJson(files, 'config.json'), 'config.json');
  const stored = files.has(oneFile) ? readWeights(requireFile(files, oneFile), oneFile) : readShards(files);
  const namesOnDisk = stored.has('embeddings.word_embeddings.weight') ? '' : 'bert.';
  const named = [...stored.values()].map((t) => [loadedName(t.name, namesOnDisk), t] as const);
  return {
    config,
    weights: new Map(named.map(([name, t]): [string, NamedTensor] => [name, { ...t, name }])),
    head: config.meanLayers === undefined ? 'pooler' : 'mean',
    tokenizer: new Map([...files].filter(([path]) => TOKENIZER_FILES.includes(path))),
    namesOnDisk,
  };
}

export interface WriteModelDirectory {
  readonly config: BertConfig;
  readonly weights: Weights;
  readonly tokenizer: ModelFiles;
  readonly namesOnDisk?: '' | 'bert.';
  readonly dtype?: 'F32' | 'F16';
  /** Class names, written as `id2label`. */
  readonly labelNames?: readonly string[];
  /** Written as `problem_type`, by which transformers chooses the loss. */
  readonly task?: BertTask;
  /** Written as `BertForPreTraining`, or without a next-sentence head as `BertForMaskedLM`. */
  readonly pretraining?: boolean;
  /** `pooler`: a mean head that the model also has is left out. Default: what the config describes. */
  readonly head?: Head;
  /** Weights above this go into several files with an index, as transformers writes them. Default: one file. */
  readonly maxShardBytes?: number;
}

/** The directory that `transformers` opens with no conversion: `BertForSequenceClassification` when there is a classifier. */
export function writeModelDirectory(given: WriteModelDirectory): Map<string, Uint8Array> {
  const tied = given.pretraining === true ? withoutDecoder(given) : given;
  const model = tied.head === 'pooler' ? withoutMeanHead(tied) : tied;
  const prefix = model.namesOnDisk ?? 'bert.';
  const stored = [...model.weights.values()].map((t): [string, NamedTensor] => {
    const name = prefix === '' && t.name.startsWith('bert.') ? t.name.slice(5) : t.name;
    return [name, { ...t, name }];
  });
  return new Map([
    ['config.json', json(configJson(model))],
    ...weightFiles(new Map(stored), model),
    ...model.tokenizer,
  ]);
}

/** `model.safetensors`, or shards of at most `maxShardBytes` (a larger tensor has one to itself) and their index. */
function weightFiles(weights: Weights, { dtype = 'F32', maxShardBytes = Infinity }: WriteModelDirectory) {
  const size = (t: NamedTensor): number => t.data.length * (dtype === 'F16' ? 2 : 4);
  const shards: Map<string, NamedTensor>[] = [];
  let room = 0;
  for (const [name, tensor] of weights) {
    if (shards.length === 0 || size(tensor) > room) {
      shards.push(new Map());
      room = maxShardBytes;
    }
    shards.at(-1)?.set(name, tensor);
    room -= size(tensor);
  }
  if (shards.length <= 1) return [[oneFile, writeSafetensors(weights, { dtype })]] as const;
  const number = (n: number): string => String(n).padStart(5, '0');
  const names = shards.map((_, i) => `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`);
  const map = Object.fromEntries(shards.flatMap((shard, i) => [...shard.keys()].map((name) => [name, names[i]])));
  const total = [...weights.values()].reduce((n, t) => n + size(t), 0);
  return [
    ...shards.map((shard, i) => [names[i] as string, writeSafetensors(shard, { dtype })] as const),
    [indexFile, json({ metadata: { total_size: total }, weight_map: map })] as const,
  ];
}

/** Some checkpoints have the tied decoder's weights twice; the copy would be what they were before training. */
function withoutDecoder(model: WriteModelDirectory): WriteModelDirectory {
  const weights = new Map([...model.weights].filter(([name]) => !name.startsWith('cls.predictions.decoder.')));
  return { ...model, weights };
}

/** True for a checkpoint that says that it fills masks. */
export function isPretraining({ config, weights }: Pick<ModelDirectory, 'config' | 'weights'>): boolean {
  const classes = config.raw['architectures'];
  const named = Array.isArray(classes) && /^BertFor(PreTraining|MaskedLM)$/.test(String(classes[0]));
  return named && weights.has('cls.predictions.transform.dense.weight');
}

function withoutMeanHead(model: WriteModelDirectory): WriteModelDirectory {
  const { tacit: _tacit, ...raw } = model.config.raw;
  const weights = new Map([...model.weights].filter(([name]) => !name.startsWith('head.dense.')));
  return { ...model, config: { ...model.config, meanLayers: undefined, raw }, weights };
}

function configJson({
  config,
  weights,
  dtype,
  labelNames,
  task,
  pretraining,
}: WriteModelDirectory): Record<string, unknown> {
  const names = labelNames ?? config.labelNames;
  const labels =
    names === undefined
      ? {}
      : {
          id2label: Object.fromEntries(names.map((name, i) => [String(i), name])),
          label2id: Object.fromEntries(names.map((name, i) => [name, i])),
        };
  const architecture = architectureOf(weights, config, pretraining === true);
  return {
    ...config.raw,
    ...(architecture === undefined ? {} : { architectures: [architecture] }),
    ...labels,
    ...(task === undefined ? {} : { problem_type: `${task}${task === 'regression' ? '' : '_classification'}` }),
    dtype: dtype === 'F16' ? 'float16' : 'float32',
  };
}

/** The class that opens the weights; undefined: as the config has it. */
function architectureOf(weights: Weights, { meanLayers }: BertConfig, pretraining: boolean): string | undefined {
  if (pretraining) return weights.has('cls.seq_relationship.weight') ? 'BertForPreTraining' : 'BertForMaskedLM';
  if (!weights.has('classifier.weight')) return undefined;
  // No class of transformers has a mean head; heads that an earlier training left behind are not what it is for.
  return meanLayers === undefined ? 'BertForSequenceClassification' : 'BertModel';
}

function readShards(files: ModelFiles): Map<string, NamedTensor> {
  if (!files.has(indexFile)) {
    const pickled = files.has('pytorch_model.bin') || files.has('tf_model.h5');
    const save = 'Only safetensors are read: in Python, from_pretrained(DIR).save_pretrained(NEW) writes them.';
    throw invalid(oneFile, 'is missing', pickled ? save : 'Give a directory with it, or with its shards and index.');
  }
  const index = readJson(files, indexFile) as { weight_map?: unknown };
  if (typeof index.weight_map !== 'object' || index.weight_map === null) throw invalid(indexFile, 'has no weight_map');
  const places = Object.entries(index.weight_map as Record<string, unknown>);
  const shards = new Map<string, Map<string, NamedTensor>>();
  for (const shard of new Set(places.map(([, shard]) => shard))) {
    if (typeof shard !== 'string') throw invalid(indexFile, 'names a shard that is not text');
    shards.set(shard, readWeights(requireFile(files, shard), shard));
  }
  const out = new Map<string, NamedTensor>();
  for (const [name, shard] of places) {
    const tensor = shards.get(shard as string)?.get(name);
    if (tensor === undefined) throw invalid(shard as string, `has no tensor ${name}, which ${indexFile} places there`);
    out.set(name, tensor);
  }
  return out;
}

/** `bert.` in front, and the layer norms' names of checkpoints converted from TensorFlow (gamma, beta). */
function loadedName(name: string, namesOnDisk: '' | 'bert.'): string {
  const modern = name.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias');
  return namesOnDisk === '' && /^(embeddings|encoder|pooler)\./.test(modern) ? `bert.${modern}` : modern;
}

function readJson(files: ModelFiles, path: string): unknown {
  try {
    return JSON.parse(fromUtf8(requireFile(files, path)));
  } catch (cause) {
    if (cause instanceof TacitError && cause.code === 'BERT_DIRECTORY_INVALID') throw cause;
    throw invalid(path, 'is not JSON in UTF-8', 'Fetch the file again.', cause);
  }
}

function requireFile(files: ModelFiles, path: string): Uint8Array {
  const bytes = files.get(path);
  if (bytes === undefined) throw invalid(path, 'is missing', 'Give a whole Hugging Face model directory.');
  return bytes;
}

function json(value: unknown): Uint8Array {
  return utf8(`${JSON.stringify(value, null, 2)}\n`);
}

function invalid(path: string, what: string, fix?: string, cause?: unknown): TacitError<BertErrorCode> {
  return new TacitError<BertErrorCode>('BERT_DIRECTORY_INVALID', `${path} ${what}`, {
    where: path,
    ...(fix === undefined ? {} : { fix }),
    ...(cause === undefined ? {} : { cause }),
  });
}
