import { type BertConfig, newBertConfig } from '../../shared/bert/config.ts';
import { type Bert, createBert, type Trainable } from '../../shared/bert/model.ts';
import { encoderSpecs, poolerSpecs } from '../../shared/bert/parameters.ts';
import { seededRng } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { elements, type NamedTensor, type Weights } from '../../shared/tensor/named.ts';
import type { EncodedExample } from '../../shared/text/encode.ts';
import { clippedGradientSum } from '../../shared/training/dp-fedsgd.ts';
import { createFeatureCache } from '../../shared/training/features.ts';
import { createOptimizer } from '../../shared/training/optimizers.ts';
import { trainingSpace } from '../../shared/training/vectors.ts';

/** A model and a batch of full rows. */
export interface Shape {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly batch: number;
  readonly tokens: number;
  /** Measured steps of each kind. */
  readonly repeats: number;
}

export const shapes: Readonly<Record<string, Shape>> = {
  tiny: { layers: 2, hiddenSize: 128, heads: 2, batch: 16, tokens: 64, repeats: 20 },
  minilm: { layers: 6, hiddenSize: 384, heads: 12, batch: 8, tokens: 128, repeats: 7 },
  base: { layers: 12, hiddenSize: 768, heads: 12, batch: 4, tokens: 128, repeats: 8 },
};
export const vocabSize = 30_522;
export const l2Clip = 0.5;
const adapters = { rank: 8, alpha: 16, targets: ['query', 'value'] };
export const lora: Trainable = { lora: adapters };
export const lastBlock = ({ layers }: Shape): Trainable => ({ layers: [layers - 1] });
export const loraLastBlock = ({ layers }: Shape): Trainable => ({ lora: { ...adapters, layers: [layers - 1] } });

export function configOf({ layers, hiddenSize, heads }: Shape): BertConfig {
  const sizes = { vocabSize, hiddenSize, layers, heads, intermediateSize: 4 * hiddenSize, maxPositions: 512 };
  return newBertConfig(sizes);
}

/** Uniform with BERT's standard deviation, from a generator fast enough for 110 million numbers. */
export function weightsOf(config: BertConfig): Weights {
  let state = 1;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state / 2 ** 31) * 0.02 * Math.sqrt(3);
  };
  return new Map(
    [...encoderSpecs(config), ...poolerSpecs(config)].map((spec): [string, NamedTensor] => {
      const data = new Float32Array(elements(spec.shape));
      const norm = spec.name.endsWith('LayerNorm.weight');
      for (let i = 0; i < data.length; i++) data[i] = norm ? 1 : next();
      return [spec.name, { ...spec, data }];
    }),
  );
}

/** The same tokens as bench/peers/torch_steps.py, no row shorter than the shape. */
export function examplesOf({ batch, tokens }: Shape): EncodedExample[] {
  return Array.from({ length: batch }, (_, b) => ({
    ids: Int32Array.from({ length: tokens }, (_, t) => 5 + (((b * tokens + t) * 7919) % (vocabSize - 5))),
    label: b % 2,
  }));
}

export function openModel(
  engine: Engine,
  { batch, tokens }: Shape,
  config: BertConfig,
  weights: Weights,
  trainable: Trainable,
): Promise<Bert> {
  return createBert({
    engine,
    config,
    weights,
    head: 'pooler',
    labels: 2,
    task: 'single_label',
    trainable,
    shape: { batch, tokens },
    rng: seededRng('bench'),
  });
}

/** Whole training steps on one model: clipped gradient sum, Adam, new weights into the engine. */
export interface Trainee {
  /** @param clip Infinity: a plain step */
  step(clip: number): Promise<void>;
  /** A step of a head-only model whose features are in the cache already. */
  cachedStep(): Promise<void>;
  dispose(): Promise<void>;
}

export async function openTrainee(
  engine: Engine,
  shape: Shape,
  config: BertConfig,
  weights: Weights,
  trainable: Trainable,
): Promise<Trainee> {
  const bert = await openModel(engine, shape, config, weights, trainable);
  const examples = examplesOf(shape);
  const indices = [...examples.keys()];
  const spec = { kind: 'adam' } as const;
  const { space, weights: flat, gradient } = trainingSpace(bert.trainableLayout.length, spec);
  bert.keepIn(flat);
  const optimizer = createOptimizer(spec, undefined, space);
  const cache = trainable === 'head' ? createFeatureCache(bert, examples, shape) : undefined;
  const step = async (clip: number, features?: typeof cache): Promise<void> => {
    const request = { bert, examples, indices, l2Clip: clip, shape, into: gradient };
    const { sum } = await clippedGradientSum(features === undefined ? request : { ...request, features });
    optimizer.step(flat, sum, 1e-5, undefined, 1 / shape.batch);
    bert.setTrainable(flat);
  };
  return {
    step: (clip) => step(clip),
    cachedStep: () => step(l2Clip, cache),
    dispose: () => bert.dispose(),
  };
}
