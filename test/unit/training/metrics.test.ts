import { expect, test } from 'vitest';
import { classificationMetrics } from '../../../shared/training/metrics.ts';

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
