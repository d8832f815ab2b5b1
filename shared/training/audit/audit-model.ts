import { newBertConfig } from '../../bert/config.ts';
import { type Bert, createBert } from '../../bert/model.ts';
import { encoderSpecs, fillGaussian, initialTensors, poolerSpecs } from '../../bert/parameters.ts';
import { type Rng, uniformInt } from '../../core/rng.ts';
import type { Engine } from '../../engine/engine.ts';
import type { EncodedExample } from '../../text/encode.ts';

const SIZE = { vocabSize: 64, hiddenSize: 16, layers: 1, heads: 2, intermediateSize: 32, maxPositions: 12 };
/** Batch shape of the audited model. */
export const AUDIT_SHAPE = { batch: 8, tokens: 8 } as const;

/** A small BERT with random weights and a two-label head on `width` features: one for every canary. */
export function auditModel(engine: Engine, width: number, rng: Rng): Promise<Bert> {
  const config = newBertConfig(SIZE, { tacit: { head: 'mean', layers: [0, 1] } });
  const weights = initialTensors([...encoderSpecs(config), ...poolerSpecs(config)], config, rng);
  const dense = new Float32Array(width * 2 * SIZE.hiddenSize);
  fillGaussian(dense, 1 / Math.sqrt(width), rng);
  weights.set('head.dense.weight', { name: 'head.dense.weight', shape: [width, 2 * SIZE.hiddenSize], data: dense });
  weights.set('head.dense.bias', { name: 'head.dense.bias', shape: [width], data: new Float32Array(width) });
  return createBert({
    engine,
    config,
    weights,
    rng,
    head: 'mean',
    labels: 2,
    task: 'single_label',
    trainable: 'head',
    shape: AUDIT_SHAPE,
  });
}

/** Made-up records that the audited model trains on beside the canaries. */
export function auditRecords(count: number, rng: Rng): EncodedExample[] {
  return Array.from({ length: count }, () => {
    const label = uniformInt(rng, 2);
    const words = Array.from({ length: 1 + uniformInt(rng, 5) }, () => 10 + uniformInt(rng, 50));
    return { ids: Int32Array.of(2, ...words, 4 + label, 3), label };
  });
}
