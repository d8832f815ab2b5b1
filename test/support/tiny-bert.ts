import { newBertConfig } from '../../shared/bert/config.ts';
import { type Bert, type CreateBert, createBert, type LabelledBatch } from '../../shared/bert/model.ts';
import { encoderSpecs, fillGaussian, initialTensors, poolerSpecs } from '../../shared/bert/parameters.ts';
import { type Rng, seededRng, uniformInt } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { NamedTensor } from '../../shared/tensor/named.ts';

export interface TinyOptions
  extends Partial<Pick<CreateBert, 'head' | 'labels' | 'task' | 'trainable' | 'shape' | 'frozenBytes'>> {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly change?: (weights: Map<string, NamedTensor>) => void;
}

const size = { vocabSize: 50, hiddenSize: 16, layers: 2, heads: 2, intermediateSize: 24, maxPositions: 12 };

/** A small random model with weights large enough that every path matters; mean head of layers 0, 1 and 2. */
export async function tinyBert(engine: Engine, options: TinyOptions = {}): Promise<Bert> {
  const rng = seededRng('tiny');
  const config = newBertConfig(size, {
    initializer_range: 0.3,
    tacit: { head: 'mean', layers: [0, 1, 2] },
    ...options.config,
  });
  const weights = initialTensors([...encoderSpecs(config), ...poolerSpecs(config)], config, rng);
  const dense = new Float32Array(10 * 48);
  fillGaussian(dense, 0.3, rng);
  weights.set('head.dense.weight', { name: 'head.dense.weight', shape: [10, 48], data: dense });
  weights.set('head.dense.bias', { name: 'head.dense.bias', shape: [10], data: new Float32Array(10).fill(0.1) });
  for (const { name, data } of weights.values()) {
    if (name.endsWith('.bias') || name.includes('LayerNorm'))
      for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) + 0.1 * Math.sin(i + name.length);
  }
  options.change?.(weights);
  return createBert({
    engine,
    config,
    weights,
    rng,
    head: 'mean',
    labels: 3,
    task: 'single_label',
    trainable: 'all',
    shape: { batch: 4, tokens: 8 },
    ...pick(options),
  });
}

function pick({ config: _config, change: _change, ...rest }: TinyOptions): Partial<CreateBert> {
  return rest;
}

/** A batch with padding and two token types. */
export function tinyBatch(rng: Rng, batch = 4, tokens = 8): LabelledBatch {
  const lengths = Array.from({ length: batch }, () => 3 + uniformInt(rng, tokens - 2));
  const inside = (n: number): boolean => n % tokens < (lengths[Math.floor(n / tokens)] as number);
  const each = (value: (n: number) => number): Int32Array =>
    Int32Array.from({ length: batch * tokens }, (_, n) => (inside(n) ? value(n) : 0));
  return {
    inputIds: each(() => 1 + uniformInt(rng, 15)),
    attentionMask: each(() => 1),
    tokenTypeIds: each((n) => (n % tokens > 2 ? 1 : 0)),
    labels: Int32Array.from({ length: batch }, () => uniformInt(rng, 3)),
    weights: new Float32Array(batch).fill(1),
  };
}

/** The same batch with only these examples counting. */
export function only(batch: LabelledBatch, examples: readonly number[]): LabelledBatch {
  return { ...batch, weights: batch.weights.map((w, b) => (examples.includes(b) ? w : 0)) };
}

export function norm(x: ArrayLike<number>): number {
  return Math.sqrt(dot(x, x));
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** ‖a − b‖ / ‖b‖ */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return norm(Array.from(a, (x, i) => x - (b[i] as number))) / norm(b);
}
