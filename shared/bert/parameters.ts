import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import { elements, type NamedTensor, type TensorSpec, type Weights } from '../tensor/named.ts';
import type { BertConfig } from './config.ts';
import type { BertErrorCode } from './errors.ts';
import type { Head } from './types.ts';

/** Parameters of the embedding layer, Hugging Face names and shapes. */
export function embeddingSpecs(config: BertConfig): TensorSpec[] {
  const h = config.hiddenSize;
  return [
    { name: 'bert.embeddings.word_embeddings.weight', shape: [config.vocabSize, h] },
    { name: 'bert.embeddings.position_embeddings.weight', shape: [config.maxPositions, h] },
    { name: 'bert.embeddings.token_type_embeddings.weight', shape: [config.typeVocabSize, h] },
    { name: 'bert.embeddings.LayerNorm.weight', shape: [h] },
    { name: 'bert.embeddings.LayerNorm.bias', shape: [h] },
  ];
}

/** Parameters of encoder block `layer` (0-based). */
export function blockSpecs(config: BertConfig, layer: number): TensorSpec[] {
  const h = config.hiddenSize;
  const at = `bert.encoder.layer.${layer}`;
  return [
    ...['query', 'key', 'value'].flatMap((part) => linearSpecs(`${at}.attention.self.${part}`, h, h)),
    ...linearSpecs(`${at}.attention.output.dense`, h, h),
    ...normSpecs(`${at}.attention.output.LayerNorm`, h),
    ...linearSpecs(`${at}.intermediate.dense`, config.intermediateSize, h),
    ...linearSpecs(`${at}.output.dense`, h, config.intermediateSize),
    ...normSpecs(`${at}.output.LayerNorm`, h),
  ];
}

/** Embeddings and the first `layers` blocks. */
export function encoderSpecs(config: BertConfig, layers = config.layers): TensorSpec[] {
  return [...embeddingSpecs(config), ...Array.from({ length: layers }, (_, i) => blockSpecs(config, i)).flat()];
}

export function poolerSpecs(config: BertConfig): TensorSpec[] {
  return linearSpecs('bert.pooler.dense', config.hiddenSize, config.hiddenSize);
}

/** The masked-LM and next-sentence heads of `BertForPreTraining`; the decoder's weight is the word embedding. */
export function pretrainingSpecs(config: BertConfig): TensorSpec[] {
  return [
    ...linearSpecs('cls.predictions.transform.dense', config.hiddenSize, config.hiddenSize),
    ...normSpecs('cls.predictions.transform.LayerNorm', config.hiddenSize),
    { name: 'cls.predictions.bias', shape: [config.vocabSize] },
    ...linearSpecs('cls.seq_relationship', 2, config.hiddenSize),
  ];
}

export function classifierSpecs(labels: number, width: number): TensorSpec[] {
  return linearSpecs('classifier', labels, width);
}

/** Blocks that the head reads: all of them for `pooler`, up to the highest chosen layer for `mean`. */
export function blocksUsed(config: BertConfig, head: Head): number {
  return head === 'mean' ? Math.max(...meanLayersOf(config)) : config.layers;
}

/** @throws BERT_CONFIG_INVALID when the config describes no mean head. */
export function meanLayersOf(config: BertConfig): readonly number[] {
  if (config.meanLayers !== undefined) return config.meanLayers;
  throw new TacitError<BertErrorCode>('BERT_CONFIG_INVALID', 'the config describes no mean head', {
    fix: 'Add "tacit": {"head": "mean", "layers": […]} to config.json and head.dense.weight to the weights.',
  });
}

/** Output width, input width. */
export function linearSpecs(module: string, outputs: number, inputs: number): TensorSpec[] {
  return [
    { name: `${module}.weight`, shape: [outputs, inputs] },
    { name: `${module}.bias`, shape: [outputs] },
  ];
}

function normSpecs(module: string, width: number): TensorSpec[] {
  return [
    { name: `${module}.weight`, shape: [width] },
    { name: `${module}.bias`, shape: [width] },
  ];
}

/** The tensor, checked. @throws BERT_WEIGHTS_MISSING, BERT_WEIGHTS_SHAPE naming file, tensor and what was expected */
export function requireTensor(weights: Weights, spec: TensorSpec, where = 'model.safetensors'): NamedTensor {
  const tensor = weights.get(spec.name);
  if (tensor === undefined) {
    throw new TacitError<BertErrorCode>('BERT_WEIGHTS_MISSING', `the checkpoint has no tensor ${spec.name}`, {
      where,
      fix: `Expected shape [${spec.shape}].`,
    });
  }
  if (tensor.shape.join() !== spec.shape.join() || tensor.data.length !== elements(spec.shape)) {
    throw new TacitError<BertErrorCode>('BERT_WEIGHTS_SHAPE', `${spec.name} has shape [${tensor.shape}]`, {
      where,
      fix: `Expected shape [${spec.shape}].`,
    });
  }
  return tensor;
}

/**
 * Fresh values as `transformers` draws them: weights N(0, initializer_range²), biases 0, layer norms 1 and 0, the
 * [PAD] row 0. These are public start weights: no privacy rests on this generator.
 */
export function initialTensors(specs: readonly TensorSpec[], config: BertConfig, rng: Rng): Map<string, NamedTensor> {
  const out = new Map<string, NamedTensor>();
  for (const spec of specs) {
    const data = new Float32Array(elements(spec.shape));
    if (spec.name.endsWith('LayerNorm.weight')) data.fill(1);
    else if (spec.name.endsWith('.weight')) fillGaussian(data, config.initializerRange, rng);
    if (spec.name === 'bert.embeddings.word_embeddings.weight' && config.padTokenId !== undefined) {
      data.fill(0, config.padTokenId * config.hiddenSize, (config.padTokenId + 1) * config.hiddenSize);
    }
    out.set(spec.name, { ...spec, data });
  }
  return out;
}

/** Box–Muller over blocks of random bytes. */
export function fillGaussian(data: Float32Array, deviation: number, rng: Rng): void {
  fill(data, rng, (u, v) => {
    const radius = deviation * Math.sqrt(-2 * Math.log(u));
    return [radius * Math.cos(2 * Math.PI * v), radius * Math.sin(2 * Math.PI * v)];
  });
}

/** Uniform in (−bound, bound). */
export function fillUniform(data: Float32Array, bound: number, rng: Rng): void {
  fill(data, rng, (u, v) => [bound * (2 * u - 1), bound * (2 * v - 1)]);
}

/** Two numbers at a time from two uniform ones in (0, 1). */
function fill(data: Float32Array, rng: Rng, pair: (u: number, v: number) => readonly [number, number]): void {
  const block = 8192;
  for (let at = 0; at < data.length; at += block) {
    const n = Math.min(block, data.length - at);
    const bytes = rng.bytes(8 * Math.ceil(n / 2));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < n; i += 2) {
      const [x, y] = pair(
        (view.getUint32(4 * i, true) + 0.5) / 2 ** 32,
        (view.getUint32(4 * i + 4, true) + 0.5) / 2 ** 32,
      );
      data[at + i] = x;
      if (i + 1 < n) data[at + i + 1] = y;
    }
  }
}
