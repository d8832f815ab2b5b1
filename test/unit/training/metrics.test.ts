import { expect, test } from 'vitest';
import { classificationMetrics } from '../../../shared/training/metrics.ts';
import { taskMetrics } from '../../../shared/training/task-metrics.ts';

test('binary: counted by hand', () => {
  const logits = [2, 0, 0, 2, 0, 2, 2, 0, 0, 2];
  const m = classificationMetrics(logits, [0, 0, 1, 1, 1], 2);
  expect(m.confusion).toEqual([
    [1, 1],
    [1, 2],
  ]);
  expect(m.accuracy).toBeCloseTo(0.6);
  expect(m.precision).toBeCloseTo(2 / 3);
  expect(m.recall).toBeCloseTo(2 / 3);
  expect(m.f1).toBeCloseTo(2 / 3);
  expect(m.macroF1).toBeCloseTo((1 / 2 + 2 / 3) / 2);
  const right = Math.log(1 + Math.exp(-2));
  expect(m.loss).toBeCloseTo((3 * right + 2 * (right + 2)) / 5);
});

test('three classes are averaged, an absent class counts 0, large logits stay finite', () => {
  const m = classificationMetrics([1000, 0, 0, 0, 1000, 0, 1000, 0, 0], [0, 1, 2], 3);
  expect(m.accuracy).toBeCloseTo(2 / 3);
  expect(m.macroF1).toBeCloseTo((2 / 3 + 1 + 0) / 3);
  expect(m.f1).toBe(m.macroF1);
  expect(m.loss).toBeCloseTo(1000 / 3);
});

test('regression: errors, R² and rank correlation with ties', () => {
  const truth = [5, 6, 7, 8, 7];
  const examples = truth.map((y) => ({ ids: new Int32Array(2), label: 0, values: Float32Array.of(y) }));
  const { loss, meanAbsoluteError, r2, spearman } = taskMetrics(
    'regression',
    Float32Array.of(1, 2, 3, 4, 5),
    examples,
    1,
  );
  expect(loss).toBeCloseTo((16 * 4 + 4) / 5, 6);
  expect(meanAbsoluteError).toBeCloseTo(18 / 5, 6);
  expect(r2).toBeCloseTo(1 - 68 / 5.2, 6);
  // By hand: ranks 1, 2, 3.5, 5, 3.5 against 1 … 5, Pearson's 8 / √(10 · 9.5).
  expect(spearman).toBeCloseTo(8 / Math.sqrt(95), 12);
});

test('regression: what does not vary correlates with nothing', () => {
  const examples = [1, 2].map((y) => ({ ids: new Int32Array(2), label: 0, values: Float32Array.of(y) }));
  expect(taskMetrics('regression', Float32Array.of(3, 3), examples, 1)['spearman']).toBe(0);
});
