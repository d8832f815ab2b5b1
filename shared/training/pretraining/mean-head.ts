import { type BertConfig, parseBertConfig } from '../../bert/config.ts';
import { createBert } from '../../bert/model.ts';
import type { Rng } from '../../core/rng.ts';
import type { Engine } from '../../engine/engine.ts';
import type { NamedTensor, Weights } from '../../tensor/named.ts';
import type { EncodedCorpus } from './corpus.ts';
import { segmentBatch } from './segments.ts';
import { fitWhitening } from './whitening.ts';

export interface MeanHeadOptions {
  readonly engine: Engine;
  readonly config: BertConfig;
  readonly weights: Weights;
  /** Public text, encoded with the model's own vocabulary. */
  readonly corpus: EncodedCorpus;
  /** Layers whose token vectors are averaged: 0 is the embedding layer's output, i the i-th block's. */
  readonly layers: readonly number[];
  /** T, the longest segment. */
  readonly tokens: number;
  /** Segments the statistics are taken from, rounded up to whole batches. Default 8,192. */
  readonly segments?: number;
  /** Share of the covariance that is replaced by a multiple of the identity. Default 0.03. */
  readonly shrinkage?: number;
  readonly rng: Rng;
}

const BATCH = 32;

/**
 * Adds the mean head's fixed public part to a model: `head.dense`, which centres and whitens the concatenated means of
 * the chosen layers by statistics of public text, and `tacit: {head: 'mean', layers}` in the config.
 */
export async function fitMeanHead(options: MeanHeadOptions): Promise<{ config: BertConfig; weights: Weights }> {
  const config = parseBertConfig({ ...options.config.raw, tacit: { head: 'mean', layers: options.layers } });
  const width = options.layers.length * config.hiddenSize;
  const { weight, bias } = fitWhitening(await publicMeans(options, config, width), width, options.shrinkage ?? 0.03);
  return { config, weights: withDense(options.weights, width, width, weight, bias) };
}

/** Means of the chosen layers over segments of the corpus, n × width. */
async function publicMeans(options: MeanHeadOptions, config: BertConfig, width: number): Promise<Float32Array> {
  const { engine, corpus, tokens, segments = 8192, rng } = options;
  // A head that passes the means on and adds one constant: after scaling to unit length the constant tells the scale.
  const identity = new Float32Array((width + 1) * width);
  for (let i = 0; i < width; i++) identity[i * width + i] = 1;
  const one = new Float32Array(width + 1);
  one[width] = 1;
  const weights = withDense(options.weights, width + 1, width, identity, one);
  const shape = { batch: BATCH, tokens };
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
  const batches = Math.ceil(segments / BATCH);
  const means = new Float32Array(batches * BATCH * width);
  for (let n = 0; n < batches; n++) {
    const features = await bert.features(segmentBatch(corpus, BATCH, tokens, rng));
    for (let row = 0; row < BATCH; row++) {
      const scale = features[row * (width + 1) + width] as number;
      for (let i = 0; i < width; i++) {
        means[(n * BATCH + row) * width + i] = (features[row * (width + 1) + i] as number) / scale;
      }
    }
  }
  await bert.dispose();
  return means;
}

function withDense(
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
