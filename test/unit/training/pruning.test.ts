import { expect, test } from 'vitest';
import type { NamedTensor } from '../../../shared/tensor/named.ts';
import { prunable, pruneByMagnitude, sparsityAt, sparsityReport } from '../../../shared/training/pruning.ts';

const tensor = (name: string, ...data: number[]): [string, NamedTensor] => [
  name,
  { name, shape: [2, data.length / 2], data: Float32Array.from(data) },
];
const query = 'bert.encoder.layer.0.attention.self.query.weight';
const wide = 'bert.encoder.layer.0.intermediate.dense.weight';
const words = 'bert.embeddings.word_embeddings.weight';
const weights = new Map([tensor(query, 1, -0.1, 0.2, 3), tensor(wide, 0.15, -2, 0.3, 0.3), tensor(words, 0.01, 0.01)]);

test('the smallest numbers of all linear layers together become zero, and nothing else', () => {
  const half = pruneByMagnitude(weights, 0.5);
  expect([...(half.get(query)?.data ?? [])]).toEqual([1, 0, 0, 3].map(Math.fround));
  // 0.3 occurs twice and only one of them is among the four smallest.
  expect([...(half.get(wide)?.data ?? [])]).toEqual([0, -2, 0, 0.3].map(Math.fround));
  expect(half.get(words)).toBe(weights.get(words));
  expect(weights.get(query)?.data[1]).toBe(Math.fround(-0.1));
  expect(pruneByMagnitude(weights, 0).get(query)?.data).toEqual(weights.get(query)?.data);
  for (const sparsity of [1, -0.1, Number.NaN])
    expect(() => pruneByMagnitude(weights, sparsity)).toThrow(expect.objectContaining({ code: 'TRAINING_OPTION' }));
});

test('which tensors may be pruned', () => {
  expect(prunable('bert.encoder.layer.11.output.dense.weight')).toBe(true);
  expect(prunable('bert.pooler.dense.weight')).toBe(true);
  for (const name of ['classifier.weight', 'head.dense.weight', 'bert.encoder.layer.0.output.dense.bias', words])
    expect(prunable(name)).toBe(false);
});

test('schedules end at the wanted sparsity; the cubic one takes most at first', () => {
  for (const schedule of ['cubic', 'linear'] as const) expect(sparsityAt(schedule, 0.8, 4, 4)).toBe(0.8);
  expect(sparsityAt('linear', 0.8, 1, 4)).toBeCloseTo(0.2, 12);
  expect(sparsityAt('cubic', 0.8, 1, 4)).toBeCloseTo(0.8 * (1 - 0.75 ** 3), 12);
});

test('a pruned file is not smaller, and the report says so', () => {
  const before = sparsityReport(weights, 4);
  const after = sparsityReport(pruneByMagnitude(weights, 0.5), 4);
  expect(after).toMatchObject({ parameters: 10, zeros: 4, prunable: 8, sparsity: 0.5, denseBytes: before.denseBytes });
  const many = new Map([tensor(query, ...new Array<number>(64).fill(1).map((_, i) => i + 1))]);
  expect(sparsityReport(many, 4).sparseBytes).toBe(256);
  expect(sparsityReport(pruneByMagnitude(many, 0.75), 4).sparseBytes).toBe(16 * 6 + 8);
});
