import { describe, expect, it } from 'vitest';
import type { Bert, LabelledBatch } from '../../../shared/bert/model.ts';
import { fillGaussian } from '../../../shared/bert/parameters.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { onnxCpuEngine } from '../../../shared/node/engines.ts';
import { distance, dot, norm, only, type TinyOptions, tinyBatch, tinyBert } from '../../support/tiny-bert.ts';

const engine = onnxCpuEngine();
const batch = tinyBatch(seededRng('batch'));
const lora = { rank: 2, alpha: 6, targets: ['query', 'output.dense', 'intermediate.dense'] };
const plain = { l2Clip: Number.POSITIVE_INFINITY };

const variants: [string, TinyOptions][] = [
  ['mean head, all', {}],
  ['mean head, LoRA', { trainable: { lora } }],
  ['mean head, LoRA with A frozen, upper layer', { trainable: { lora: { ...lora, freezeA: true, layers: [1] } } }],
  ['mean head of the first layer alone', { config: { tacit: { head: 'mean', layers: [1] } }, change: narrowHead }],
  ['mean head, upper layer', { trainable: { layers: [1] } }],
  ['pooler, lower layer', { head: 'pooler', trainable: { layers: [0] } }],
  ['pooler, all', { head: 'pooler' }],
  ['pooler, head', { head: 'pooler', trainable: 'head' }],
  ['gelu_new', { config: { hidden_act: 'gelu_new' } }],
  ['quick_gelu', { config: { hidden_act: 'quick_gelu' } }],
  ['relu', { config: { hidden_act: 'relu' } }],
];

function narrowHead(weights: Parameters<NonNullable<TinyOptions['change']>>[0]): void {
  const data = new Float32Array(10 * 16);
  fillGaussian(data, 0.3, seededRng('narrow'));
  weights.set('head.dense.weight', { name: 'head.dense.weight', shape: [10, 16], data });
}

describe.each(variants)('%s', (_, options) => {
  const open = async (): Promise<Bert> => {
    const bert = await tinyBert(engine, options);
    // peft starts with B = 0, where A has no gradient: move everything a little.
    const moved = bert.trainable();
    const shift = new Float32Array(moved.length);
    fillGaussian(shift, 0.05, seededRng('shift'));
    bert.setTrainable(moved.map((x, i) => x + (shift[i] as number)));
    return bert;
  };

  it('plain gradient is the slope of the loss in random directions', async () => {
    const bert = await open();
    const { clippedSum } = await bert.gradients(batch, plain);
    for (const seed of ['a', 'b', 'c']) {
      // Along the gradient as well as at random, so that the slope is not all cancellation.
      const direction = new Float32Array(clippedSum.length);
      fillGaussian(direction, norm(clippedSum) / Math.sqrt(clippedSum.length), seededRng(seed));
      for (let i = 0; i < direction.length; i++) direction[i] = (direction[i] as number) + (clippedSum[i] as number);
      expect(await slope(bert, batch, direction)).toBeCloseTo(dot(clippedSum, direction) / norm(direction), 2);
    }
    await bert.dispose();
  });

  it('norms, clipping and weights are those of the examples one by one', async () => {
    const bert = await open();
    const singles: Float32Array[] = [];
    for (const b of batch.weights.keys()) singles.push((await bert.gradients(only(batch, [b]), plain)).clippedSum);
    const clip = norm(singles[1] as Float32Array) * 1.0001;
    const weights = Float32Array.of(1, 0.5, 2, 0);
    const { norms, clippedSum } = await bert.gradients({ ...batch, weights }, { l2Clip: clip });
    const expected = new Float64Array(clippedSum.length);
    for (const [b, g] of singles.entries()) {
      // A padding example's label is not read, so its norm has no meaning.
      if (weights[b] !== 0) expect((norms[b] as number) / norm(g)).toBeCloseTo(1, 5);
      const factor = (weights[b] as number) * Math.min(1, clip / norm(g));
      g.forEach((x, i) => {
        expected[i] = (expected[i] as number) + factor * x;
      });
    }
    expect(distance(clippedSum, expected)).toBeLessThan(1e-5);
    await bert.dispose();
  });
});

it('a person of several records is one unit', async () => {
  const bert = await tinyBert(engine, { shape: { batch: 4, tokens: 8, recordsPerUnit: 2 } });
  const weights = Float32Array.of(1, 1, 1, 0);
  const { norms, clippedSum } = await bert.gradients({ ...batch, weights }, { l2Clip: 1e-3 });
  const first = (await bert.gradients(only(batch, [0, 1]), plain)).clippedSum;
  const second = (await bert.gradients(only(batch, [2]), plain)).clippedSum;
  expect((norms[0] as number) / norm(first)).toBeCloseTo(1, 5);
  expect((norms[1] as number) / norm(second)).toBeCloseTo(1, 5);
  const expected = Array.from(first, (x, i) => 1e-3 * (x / norm(first) + (second[i] as number) / norm(second)));
  expect(distance(clippedSum, expected)).toBeLessThan(1e-5);
  await bert.dispose();
});

it('micro-batches filled up with padding add up to the big batch', async () => {
  const bert = await tinyBert(engine);
  const big = tinyBatch(seededRng('big'), 6);
  const whole = await bert.gradients(big, { l2Clip: 0.7 });
  const sum = new Float64Array(whole.clippedSum.length);
  for (const start of [0, 4]) {
    const part = microBatch(big, start, 4);
    const { clippedSum } = await bert.gradients(part, { l2Clip: 0.7 });
    clippedSum.forEach((x, i) => {
      sum[i] = (sum[i] as number) + x;
    });
  }
  expect(distance(whole.clippedSum, sum)).toBeLessThan(1e-5);
  await bert.dispose();
});

it('an empty Poisson batch gives exactly zero', async () => {
  const bert = await tinyBert(engine);
  const empty = {
    ...batch,
    inputIds: batch.inputIds.map(() => 0),
    attentionMask: batch.attentionMask.map(() => 0),
    weights: new Float32Array(4),
  };
  const { clippedSum, dropped } = await bert.gradients(empty, { l2Clip: 1 });
  expect(clippedSum.every((x) => x === 0)).toBe(true);
  expect(dropped).toEqual([]);
  await bert.dispose();
});

it('leaves out an example whose gradient is not finite, and says so', async () => {
  const bert = await tinyBert(engine, {
    change: (weights) => weights.get('bert.embeddings.word_embeddings.weight')?.data.fill(Number.NaN, 40 * 16, 41 * 16),
  });
  const poisoned = { ...batch, inputIds: batch.inputIds.with(8, 40) };
  for (const options of [{ l2Clip: 0.5 }, plain]) {
    const { clippedSum, dropped } = await bert.gradients(poisoned, options);
    expect(dropped).toEqual([1]);
    expect(distance(clippedSum, (await bert.gradients(only(batch, [0, 2, 3]), options)).clippedSum)).toBeLessThan(1e-5);
  }
  bert.setTrainable(bert.trainable().fill(Number.NaN));
  await expect(bert.gradients(batch, plain)).rejects.toMatchObject({ code: 'BERT_NOT_FINITE' });
  await bert.dispose();
});

it('computes the head alone from features as the engine does from texts', async () => {
  const all = await tinyBert(engine);
  const head = await tinyBert(engine, { trainable: 'head' });
  const features = await head.features(batch);
  const inside = head.headLogits(features);
  expect(distance(inside, await head.logits(batch))).toBeLessThan(1e-6);
  const { losses, clippedSum } = head.headGradients(features, batch.labels, batch.weights, plain);
  const whole = await all.gradients(batch, plain);
  expect(distance(losses, whole.losses)).toBeLessThan(1e-5);
  expect(distance(clippedSum, whole.clippedSum.subarray(-clippedSum.length))).toBeLessThan(1e-5);
  await Promise.all([all.dispose(), head.dispose()]);
});

/** (L(w + e·d) − L(w − e·d)) / 2e along the unit direction. */
async function slope(bert: Bert, examples: LabelledBatch, direction: Float32Array): Promise<number> {
  const start = bert.trainable();
  const step = 5e-3 / norm(direction);
  const losses: number[] = [];
  for (const sign of [1, -1]) {
    bert.setTrainable(start.map((x, i) => x + sign * step * (direction[i] as number)));
    const result = await bert.gradients(examples, plain);
    losses.push(result.losses.reduce((sum, x) => sum + x, 0));
  }
  bert.setTrainable(start);
  return ((losses[0] as number) - (losses[1] as number)) / (2 * 5e-3);
}

function microBatch(big: LabelledBatch, start: number, size: number, tokens = 8): LabelledBatch {
  const part = (x: Int32Array, width: number): Int32Array => {
    const out = new Int32Array(size * width);
    out.set(x.subarray(start * width, (start + size) * width));
    return out;
  };
  const weights = new Float32Array(size);
  weights.set(big.weights.subarray(start, start + size));
  return {
    inputIds: part(big.inputIds, tokens),
    attentionMask: part(big.attentionMask, tokens),
    tokenTypeIds: part(big.tokenTypeIds, tokens),
    labels: part(big.labels as Int32Array, 1),
    weights,
  };
}

it('layers trains exactly those blocks and the head above them', async () => {
  const bert = await tinyBert(engine, { head: 'pooler', trainable: { layers: [1] } });
  const names = bert.trainableLayout.entries.map((e) => e.name);
  expect(names.filter((n) => !n.startsWith('bert.encoder.layer.1.'))).toEqual([
    'bert.pooler.dense.weight',
    'bert.pooler.dense.bias',
    'classifier.weight',
    'classifier.bias',
  ]);
  expect(names).toHaveLength(20);
  await bert.dispose();
  for (const layers of [[2], [-1], [0.5], [], [1, 1]])
    await expect(tinyBert(engine, { trainable: { layers } })).rejects.toMatchObject({ code: 'BERT_UNSUPPORTED' });
});
