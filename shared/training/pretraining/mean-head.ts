import { type BertConfig, parseBertConfig } from '../../bert/config.ts';
import type { Rng } from '../../core/rng.ts';
import type { Engine } from '../../engine/engine.ts';
import type { Weights } from '../../tensor/named.ts';
import type { EncodedCorpus } from './corpus.ts';
import { createLayerMeans, withDense } from './layer-means.ts';
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
  const { weight, bias } = fitWhitening(await publicMeans(options), width, options.shrinkage ?? 0.03);
  return { config, weights: withDense(options.weights, width, width, weight, bias) };
}

/** Means of the chosen layers over segments of the corpus, n × width. */
async function publicMeans(options: MeanHeadOptions): Promise<Float32Array> {
  const { corpus, tokens, segments = 8192, rng } = options;
  const means = await createLayerMeans({ ...options, shape: { batch: BATCH, tokens } });
  const batches = Math.ceil(segments / BATCH);
  const out = new Float32Array(batches * BATCH * means.width);
  for (let n = 0; n < batches; n++) {
    out.set(await means.of(segmentBatch(corpus, BATCH, tokens, rng)), n * BATCH * means.width);
  }
  await means.dispose();
  return out;
}
