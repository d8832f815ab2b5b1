import { type BertConfig, parseBertConfig } from '../../bert/config.ts';
import { createBert } from '../../bert/model.ts';
import type { Rng } from '../../core/rng.ts';
import type { Engine } from '../../engine/engine.ts';
import type { NamedTensor, Weights } from '../../tensor/named.ts';
import type { SegmentBatch } from './segments.ts';

export interface LayerMeansOptions {
  readonly engine: Engine;
  readonly config: BertConfig;
  readonly weights: Weights;
  /** Layers whose token vectors are averaged: 0 is the embedding layer's output, i the i-th block's. */
  readonly layers: readonly number[];
  readonly shape: { readonly batch: number; readonly tokens: number };
  readonly rng: Rng;
}

/** Means of a BERT's token vectors over each text. */
export interface LayerMeans {
  /** Layers × hidden size. */
  readonly width: number;
  /** [B × width]: for each text the means of the chosen layers, one after another. */
  of(batch: SegmentBatch): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** @throws BERT_CONFIG_INVALID for a layer that there is not, BERT_WEIGHTS_MISSING, BERT_WEIGHTS_SHAPE, ENGINE_COMPILE */
export async function createLayerMeans(options: LayerMeansOptions): Promise<LayerMeans> {
  const { layers, engine, shape, rng } = options;
  const config = parseBertConfig({ ...options.config.raw, tacit: { head: 'mean', layers } });
  const width = layers.length * config.hiddenSize;
  // A head that passes the means on and adds one constant: after scaling to unit length the constant tells the scale.
  const identity = new Float32Array((width + 1) * width);
  for (let i = 0; i < width; i++) identity[i * width + i] = 1;
  const one = new Float32Array(width + 1);
  one[width] = 1;
  const weights = withDense(options.weights, width + 1, width, identity, one);
  const bert = await createBert({
    engine,
    config,
    weights,
    head: 'mean',
    labels: 1,
    task: 'regression',
    trainable: 'head',
    shape,
    rng,
  });
  return {
    width,
    of: async (batch) => unscaled(await bert.features(batch), width),
    dispose: () => bert.dispose(),
  };
}

function unscaled(features: Float32Array, width: number): Float32Array {
  const rows = features.length / (width + 1);
  const means = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const from = row * (width + 1);
    const scale = features[from + width] as number;
    for (let i = 0; i < width; i++) means[row * width + i] = (features[from + i] as number) / scale;
  }
  return means;
}

/** The weights with `head.dense` [outputs, inputs]. */
export function withDense(
  weights: Weights,
  outputs: number,
  inputs: number,
  weight: Float32Array,
  bias: Float32Array,
): Weights {
  return new Map<string, NamedTensor>([
    ...weights,
    ['head.dense.weight', { name: 'head.dense.weight', shape: [outputs, inputs], data: weight }],
    ['head.dense.bias', { name: 'head.dense.bias', shape: [outputs], data: bias }],
  ]);
}
