import { fromUtf8, utf8 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { NamedTensor, Weights } from '../tensor/named.ts';
import { readWeights, writeSafetensors } from '../tensor/safetensors.ts';
import type { ModelDirectory, ModelFiles } from './directory.ts';
import type { BertErrorCode } from './errors.ts';
import { loraModules, mergeLora, peftName } from './lora.ts';
import { blocksUsed } from './parameters.ts';
import type { LoraSpec } from './types.ts';

const configFile = 'adapter_config.json';
const weightsFile = 'adapter_model.safetensors';
/** Options of peft that would change what is computed, with the values that do not. */
const neutral: Readonly<Record<string, readonly unknown[]>> = {
  use_dora: [false],
  use_qalora: [false],
  lora_bias: [false],
  fan_in_fan_out: [false],
  bias: ['none'],
  rank_pattern: [],
  alpha_pattern: [],
  layer_replication: [null],
  target_parameters: [null],
  trainable_token_indices: [null],
  exclude_modules: [null],
  layers_pattern: [null],
};

/** A LoRA adapter in peft's format. */
export interface Adapter {
  readonly spec: LoraSpec;
  /** `lora_A`/`lora_B` under peft's names; modules saved in full (the classifier) under Hugging Face's. */
  readonly weights: Weights;
}

/** @throws BERT_ADAPTER_INVALID, SAFETENSORS_INVALID */
export function readAdapterDirectory(files: ModelFiles): Adapter {
  const config = files.get(configFile);
  const tensors = files.get(weightsFile);
  if (config === undefined) throw invalid(`${configFile} is missing`);
  if (tensors === undefined) throw invalid(`${weightsFile} is missing`);
  let json: unknown;
  try {
    json = JSON.parse(fromUtf8(config));
  } catch (cause) {
    throw invalid(`${configFile} is not JSON in UTF-8`, cause);
  }
  return { spec: loraFromConfig(json), weights: modelNames(readWeights(tensors, weightsFile)) };
}

/** The directory that `PeftModel.from_pretrained` opens. `weights`: as `Bert.adapterNow()` gives them. */
export function writeAdapterDirectory(spec: LoraSpec, weights: Weights, base: string): Map<string, Uint8Array> {
  const config = {
    peft_type: 'LORA',
    task_type: 'SEQ_CLS',
    base_model_name_or_path: base,
    r: spec.rank,
    lora_alpha: spec.alpha,
    lora_dropout: 0,
    target_modules: spec.targets,
    layers_to_transform: spec.layers ?? null,
    modules_to_save: (['pooler', 'classifier'] as const).filter((module) => weights.has(inFullName[module])),
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    use_rslora: spec.rankStabilised ?? false,
    use_dora: false,
  };
  return new Map([
    [configFile, utf8(`${JSON.stringify(config, null, 2)}\n`)],
    [weightsFile, writeSafetensors(weights)],
  ]);
}

const inFullName = {
  pooler: peftName('bert.pooler.dense.weight'),
  classifier: peftName('classifier.weight'),
};

/** Rank, alpha and targets of a parsed `adapter_config.json`. @throws BERT_ADAPTER_INVALID naming an unsupported option */
export function loraFromConfig(json: unknown): LoraSpec {
  if (typeof json !== 'object' || json === null) throw invalid(`${configFile} is not an object`);
  const raw = json as Record<string, unknown>;
  if (raw['peft_type'] !== 'LORA') throw invalid(`peft_type ${JSON.stringify(raw['peft_type'] ?? null)} is not LORA`);
  for (const [key, allowed] of Object.entries(neutral)) {
    if (!isNeutral(raw[key], allowed)) throw invalid(`${key} ${JSON.stringify(raw[key])} is not supported`);
  }
  const { r, lora_alpha: alpha, target_modules: targets, layers_to_transform: layers } = raw;
  if (typeof r !== 'number' || !Number.isInteger(r) || r < 1) throw invalid('r must be a whole number of at least 1');
  if (typeof alpha !== 'number' || !Number.isFinite(alpha)) throw invalid('lora_alpha must be a number');
  if (!isTexts(targets)) throw invalid('target_modules must be a list of module names');
  const layerList = typeof layers === 'number' ? [layers] : layers;
  return {
    rank: r,
    alpha,
    targets,
    ...(isNumbers(layerList) ? { layers: layerList } : {}),
    ...(raw['use_rslora'] === true ? { rankStabilised: true } : {}),
    inFull: savedModules(raw['modules_to_save']),
  };
}

/** peft lists `score` too, which a BERT does not have; it saves a module that is trained in full under its last name. */
function savedModules(value: unknown): ('classifier' | 'pooler')[] {
  const names = value ?? [];
  if (!Array.isArray(names)) throw invalid('modules_to_save must be a list of module names');
  const known = names.map((name) => (name === 'bert.pooler' ? 'pooler' : name));
  const other = known.find((name) => !['classifier', 'pooler', 'score'].includes(name as string));
  if (other !== undefined) throw invalid(`modules_to_save ${JSON.stringify(other)} is not supported`);
  return (['pooler', 'classifier'] as const).filter((name) => known.includes(name));
}

/**
 * A base with an adapter put into it: W + scale·B·A for what was adapted, and what was saved in full in place of the base's.
 * @throws BERT_ADAPTER_INVALID naming a tensor that would be left out, BERT_WEIGHTS_MISSING, BERT_WEIGHTS_SHAPE
 */
export function mergeAdapter(
  { config, weights, head }: Pick<ModelDirectory, 'config' | 'weights' | 'head'>,
  adapter: Adapter,
): Map<string, NamedTensor> {
  // What a mean head does not read was not adapted here; an adapter made elsewhere may have it all the same.
  const read = loraModules(config, adapter.spec, blocksUsed(config, head), head).map((m) => m.module);
  const modules = loraModules(config, adapter.spec, config.layers, 'pooler').filter(
    ({ module, a }) => read.includes(module) || adapter.weights.has(a),
  );
  const inFull = [...adapter.weights].filter(([name]) =>
    /^(classifier|bert\.pooler\.dense)\.(weight|bias)$/.test(name),
  );
  const used = new Set([...modules.flatMap(({ a, b }) => [a, b]), ...inFull.map(([name]) => name)]);
  const left = [...adapter.weights.keys()].find((name) => !used.has(name));
  if (left !== undefined) throw invalid(`the tensor ${left} is of no module that can be adapted here`);
  return new Map([...mergeLora(weights, modules, adapter.weights), ...inFull]);
}

function isNeutral(value: unknown, allowed: readonly unknown[]): boolean {
  if (value === undefined || value === null || allowed.includes(value)) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function modelNames(stored: Weights): Map<string, NamedTensor> {
  const prefix = peftName('');
  const out = new Map<string, NamedTensor>();
  for (const [name, tensor] of stored) {
    const here = name.includes('.lora_') || !name.startsWith(prefix) ? name : name.slice(prefix.length);
    out.set(here, { ...tensor, name: here });
  }
  return out;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((v) => typeof v === 'string');
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((v) => typeof v === 'number');
}

function invalid(what: string, cause?: unknown): TacitError<BertErrorCode> {
  return new TacitError<BertErrorCode>('BERT_ADAPTER_INVALID', what, {
    where: 'adapter',
    fix: 'Give a peft LoRA adapter directory.',
    ...(cause === undefined ? {} : { cause }),
  });
}
