import { fromUtf8, utf8 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { NamedTensor, Weights } from '../tensor/named.ts';
import { readWeights, writeSafetensors } from '../tensor/safetensors.ts';
import type { ModelFiles } from './directory.ts';
import type { BertErrorCode } from './errors.ts';
import { peftName } from './lora.ts';
import type { LoraSpec } from './types.ts';

const configFile = 'adapter_config.json';
const weightsFile = 'adapter_model.safetensors';
/** Options of peft that would change what is computed, with the values that do not. */
const neutral: Readonly<Record<string, readonly unknown[]>> = {
  use_rslora: [false],
  use_dora: [false],
  use_qalora: [false],
  lora_bias: [false],
  fan_in_fan_out: [false],
  bias: ['none'],
  modules_to_save: [null],
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
    modules_to_save: ['classifier'],
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    use_rslora: false,
    use_dora: false,
  };
  return new Map([
    [configFile, utf8(`${JSON.stringify(config, null, 2)}\n`)],
    [weightsFile, writeSafetensors(weights)],
  ]);
}

/** Rank, alpha and targets of a parsed `adapter_config.json`. @throws BERT_ADAPTER_INVALID naming an unsupported option */
export function loraFromConfig(json: unknown): LoraSpec {
  if (typeof json !== 'object' || json === null) throw invalid(`${configFile} is not an object`);
  const raw = json as Record<string, unknown>;
  if (raw['peft_type'] !== 'LORA') throw invalid(`peft_type ${JSON.stringify(raw['peft_type'] ?? null)} is not LORA`);
  for (const [key, allowed] of Object.entries(neutral)) {
    if (key !== 'modules_to_save' && !isNeutral(raw[key], allowed)) {
      throw invalid(`${key} ${JSON.stringify(raw[key])} is not supported`);
    }
  }
  const { r, lora_alpha: alpha, target_modules: targets, layers_to_transform: layers } = raw;
  if (typeof r !== 'number' || !Number.isInteger(r) || r < 1) throw invalid('r must be a whole number of at least 1');
  if (typeof alpha !== 'number' || !Number.isFinite(alpha)) throw invalid('lora_alpha must be a number');
  if (!isTexts(targets)) throw invalid('target_modules must be a list of module names');
  const layerList = typeof layers === 'number' ? [layers] : layers;
  return { rank: r, alpha, targets, ...(isNumbers(layerList) ? { layers: layerList } : {}) };
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
