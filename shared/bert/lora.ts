import type { Rng } from '../core/rng.ts';
import type { NamedTensor, TensorSpec, Weights } from '../tensor/named.ts';
import type { BertConfig } from './config.ts';
import { fillUniform, requireTensor } from './parameters.ts';
import type { Head, LoraSpec } from './types.ts';

/** One adapted linear module. `a`, `b`: names of A [rank, d] and B [p, rank], as peft writes them. */
export interface LoraModule {
  readonly module: string;
  readonly a: string;
  readonly b: string;
  /** alpha / rank, or alpha / √rank */
  readonly scale: number;
  readonly specs: readonly [TensorSpec, TensorSpec];
}

const prefix = 'base_model.model.';
const POOLER = 'bert.pooler.dense';

/** The name under which peft stores a tensor of the model that trains in full beside the adapters. */
export function peftName(name: string): string {
  return `${prefix}${name}`;
}

/**
 * The linear modules of the first `blocks` blocks, and of the pooler where the head has one, that the adapter applies to.
 * As in peft: targets match whole name parts at the end, so `dense` is the pooler's too; a choice of layers leaves it out.
 */
export function loraModules(config: BertConfig, spec: LoraSpec, blocks: number, head: Head): LoraModule[] {
  const h = config.hiddenSize;
  const out: LoraModule[] = [];
  const isTarget = (module: string): boolean => spec.targets.some((t) => module === t || module.endsWith(`.${t}`));
  for (let layer = 0; layer < blocks; layer++) {
    if (spec.layers !== undefined && !spec.layers.includes(layer)) continue;
    const at = `bert.encoder.layer.${layer}`;
    const candidates: [string, number, number][] = [
      ...['query', 'key', 'value'].map((part): [string, number, number] => [`${at}.attention.self.${part}`, h, h]),
      [`${at}.attention.output.dense`, h, h],
      [`${at}.intermediate.dense`, config.intermediateSize, h],
      [`${at}.output.dense`, h, config.intermediateSize],
    ];
    for (const [module, p, d] of candidates) if (isTarget(module)) out.push(loraModule(module, p, d, spec));
  }
  if (head === 'pooler' && spec.layers === undefined && isTarget(POOLER)) out.push(loraModule(POOLER, h, h, spec));
  return out;
}

function loraModule(module: string, p: number, d: number, spec: LoraSpec): LoraModule {
  const a = `${prefix}${module}.lora_A.weight`;
  const b = `${prefix}${module}.lora_B.weight`;
  const specs: [TensorSpec, TensorSpec] = [
    { name: a, shape: [spec.rank, d] },
    { name: b, shape: [p, spec.rank] },
  ];
  return { module, a, b, scale: spec.alpha / (spec.rankStabilised === true ? Math.sqrt(spec.rank) : spec.rank), specs };
}

/** peft's start: A uniform within 1/√d (Kaiming with a = √5), B zero, so that training starts from the base model. */
export function initialLora(modules: readonly LoraModule[], rng: Rng): Map<string, NamedTensor> {
  const out = new Map<string, NamedTensor>();
  for (const { specs } of modules) {
    const [a, b] = specs;
    const [rank, d] = a.shape as [number, number];
    const drawn = new Float32Array(rank * d);
    fillUniform(drawn, 1 / Math.sqrt(d), rng);
    out.set(a.name, { ...a, data: drawn });
    out.set(b.name, { ...b, data: new Float32Array((b.shape[0] as number) * rank) });
  }
  return out;
}

/** The base with W + (alpha / rank)·B·A in place of each adapted W. New arrays for those; the rest is shared. */
export function mergeLora(
  weights: Weights,
  modules: readonly LoraModule[],
  adapter: Weights,
): Map<string, NamedTensor> {
  const out = new Map(weights);
  for (const module of modules) {
    const name = `${module.module}.weight`;
    const a = requireTensor(adapter, module.specs[0], 'adapter_model.safetensors');
    const b = requireTensor(adapter, module.specs[1], 'adapter_model.safetensors');
    const base = requireTensor(weights, { name, shape: [b.shape[0] as number, a.shape[1] as number] });
    out.set(name, { ...base, data: addProduct(base.data, a, b, module.scale) });
  }
  return out;
}

function addProduct(base: Float32Array, a: NamedTensor, b: NamedTensor, scale: number): Float32Array {
  const [rank, d] = a.shape as [number, number];
  const p = b.shape[0] as number;
  const out = new Float32Array(base.length);
  for (let i = 0; i < p; i++) {
    for (let j = 0; j < d; j++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += (b.data[i * rank + r] as number) * (a.data[r * d + j] as number);
      out[i * d + j] = (base[i * d + j] as number) + scale * sum;
    }
  }
  return out;
}
