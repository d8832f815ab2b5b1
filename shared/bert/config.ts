import { TacitError } from '../core/errors.ts';
import type { BertErrorCode } from './errors.ts';

/** `gelu`: x·Φ(x); `tanh gelu` and `quick gelu`: its usual approximations. */
export type HiddenActivation = 'gelu' | 'tanh gelu' | 'quick gelu' | 'relu';

/** The parts of a Hugging Face `config.json` that decide what is computed; the rest is kept in `raw` for writing back. */
export interface BertConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediateSize: number;
  readonly maxPositions: number;
  readonly typeVocabSize: number;
  readonly layerNormEps: number;
  readonly hiddenAct: HiddenActivation;
  readonly initializerRange: number;
  readonly hiddenDropout: number;
  readonly attentionDropout: number;
  /** Before the classifier; `hidden_dropout_prob` where the file gives none. */
  readonly classifierDropout: number;
  readonly padTokenId: number | undefined;
  /** Class names in order of class number, when the file has `id2label`. */
  readonly labelNames: readonly string[] | undefined;
  /** `{head:'mean', layers}` of a Tacit mean head. Layer 0 is the embedding layer's output, i the i-th block's. */
  readonly meanLayers: readonly number[] | undefined;
  /** The file as read; unknown keys survive a round trip. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** transformers' names (activations.py) and what they compute. */
const activations: ReadonlyMap<unknown, HiddenActivation> = new Map([
  ['gelu', 'gelu'],
  ['gelu_python', 'gelu'],
  ['gelu_new', 'tanh gelu'],
  ['gelu_fast', 'tanh gelu'],
  ['gelu_accurate', 'tanh gelu'],
  ['gelu_pytorch_tanh', 'tanh gelu'],
  ['gelu_python_tanh', 'tanh gelu'],
  ['quick_gelu', 'quick gelu'],
  ['relu', 'relu'],
]);
const maxDimension = 1 << 20;

/**
 * Reads a Hugging Face BERT `config.json`, given as parsed JSON.
 * @throws BERT_CONFIG_INVALID for a missing or impossible value, BERT_UNSUPPORTED for an architecture or option that
 * would be computed differently.
 */
export function parseBertConfig(json: unknown, where = 'config.json'): BertConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw invalid(where, 'is not a JSON object');
  const raw = json as Record<string, unknown>;
  refuseUnsupported(raw, where);
  const hiddenSize = count(raw, 'hidden_size', where);
  const heads = count(raw, 'num_attention_heads', where);
  if (hiddenSize % heads !== 0) {
    throw invalid(where, `hidden_size ${hiddenSize} is not a multiple of num_attention_heads ${heads}`);
  }
  return {
    vocabSize: count(raw, 'vocab_size', where),
    hiddenSize,
    layers: count(raw, 'num_hidden_layers', where),
    heads,
    intermediateSize: count(raw, 'intermediate_size', where),
    maxPositions: count(raw, 'max_position_embeddings', where, 512),
    typeVocabSize: count(raw, 'type_vocab_size', where, 2),
    layerNormEps: fraction(raw, 'layer_norm_eps', where, 1e-12),
    hiddenAct: activations.get(raw['hidden_act'] ?? 'gelu') as HiddenActivation,
    initializerRange: fraction(raw, 'initializer_range', where, 0.02),
    hiddenDropout: fraction(raw, 'hidden_dropout_prob', where, 0.1),
    classifierDropout: fraction(raw, 'classifier_dropout', where, fraction(raw, 'hidden_dropout_prob', where, 0.1)),
    attentionDropout: fraction(raw, 'attention_probs_dropout_prob', where, 0.1),
    padTokenId: typeof raw['pad_token_id'] === 'number' ? raw['pad_token_id'] : undefined,
    labelNames: labelNames(raw['id2label']),
    meanLayers: meanLayers(raw, where),
    raw,
  };
}

/** What is needed to describe a new model; see {@link newBertConfig}. */
export interface NewBertConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediateSize: number;
  readonly maxPositions: number;
}

/** Config of a fresh BERT in Hugging Face's spelling. @throws BERT_CONFIG_INVALID */
export function newBertConfig(size: NewBertConfig, more: Readonly<Record<string, unknown>> = {}): BertConfig {
  return parseBertConfig({
    model_type: 'bert',
    architectures: ['BertModel'],
    vocab_size: size.vocabSize,
    hidden_size: size.hiddenSize,
    num_hidden_layers: size.layers,
    num_attention_heads: size.heads,
    intermediate_size: size.intermediateSize,
    max_position_embeddings: size.maxPositions,
    type_vocab_size: 2,
    hidden_act: 'gelu',
    layer_norm_eps: 1e-12,
    initializer_range: 0.02,
    hidden_dropout_prob: 0.1,
    attention_probs_dropout_prob: 0.1,
    pad_token_id: 0,
    position_embedding_type: 'absolute',
    ...more,
  });
}

function refuseUnsupported(raw: Record<string, unknown>, where: string): void {
  const refuse = (key: string, value: unknown, fix: string): never => {
    throw new TacitError<BertErrorCode>('BERT_UNSUPPORTED', `${key} ${JSON.stringify(value)} is not supported`, {
      where,
      fix,
    });
  };
  const type = raw['model_type'];
  if (type !== 'bert') refuse('model_type', type ?? null, 'Use a checkpoint of model_type "bert".');
  const position = raw['position_embedding_type'] ?? 'absolute';
  if (position !== 'absolute') refuse('position_embedding_type', position, 'Only "absolute" is computed.');
  const act = raw['hidden_act'] ?? 'gelu';
  if (!activations.has(act)) refuse('hidden_act', act, `Known: ${[...activations.keys()].join(', ')}.`);
  if (raw['is_decoder'] === true) refuse('is_decoder', true, 'Use an encoder.');
  if (raw['add_cross_attention'] === true) refuse('add_cross_attention', true, 'Use an encoder.');
  if ('quantization_config' in raw)
    refuse('quantization_config', raw['quantization_config'], 'Use the unquantised checkpoint.');
}

function count(raw: Record<string, unknown>, key: string, where: string, fallback?: number): number {
  const value = raw[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > maxDimension) {
    throw invalid(
      where,
      `${key} must be a whole number from 1 to ${maxDimension}, not ${JSON.stringify(value ?? null)}`,
    );
  }
  return value;
}

function fraction(raw: Record<string, unknown>, key: string, where: string, fallback: number): number {
  const value = raw[key] ?? fallback;
  if (typeof value !== 'number' || !(value >= 0) || value >= 1) {
    throw invalid(where, `${key} must be a number in [0, 1), not ${JSON.stringify(value)}`);
  }
  return value;
}

function labelNames(id2label: unknown): readonly string[] | undefined {
  if (typeof id2label !== 'object' || id2label === null) return undefined;
  const entries = Object.entries(id2label).sort(([a], [b]) => Number(a) - Number(b));
  if (!entries.every(([id, name], i) => Number(id) === i && typeof name === 'string')) return undefined;
  return entries.map(([, name]) => name as string);
}

function meanLayers(raw: Record<string, unknown>, where: string): readonly number[] | undefined {
  const tacit = raw['tacit'];
  if (typeof tacit !== 'object' || tacit === null || (tacit as Record<string, unknown>)['head'] !== 'mean')
    return undefined;
  const layers = (tacit as Record<string, unknown>)['layers'];
  const highest = count(raw, 'num_hidden_layers', where);
  const ok = (n: unknown): boolean => typeof n === 'number' && Number.isInteger(n) && n >= 0 && n <= highest;
  if (!Array.isArray(layers) || layers.length === 0 || !layers.every(ok) || new Set(layers).size !== layers.length) {
    throw invalid(where, `tacit.layers must be different layer numbers from 0 to ${highest}`);
  }
  return layers as number[];
}

function invalid(where: string, what: string): TacitError<BertErrorCode> {
  return new TacitError<BertErrorCode>('BERT_CONFIG_INVALID', what, {
    where,
    fix: 'Use a Hugging Face BERT config.json.',
  });
}
