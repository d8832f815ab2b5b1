import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createOptimizer } from '../../../shared/training/optimizers.ts';
import { failed } from '../../conformance/findings.ts';
import { checkOptimizers, type OptimizerVectors } from '../../conformance/optimizers.ts';

const vectors = JSON.parse(readFileSync('test/vectors/optim.json', 'utf8')) as OptimizerVectors;

test('optimizers equal torch.optim and schedules transformers', () => {
  const findings = checkOptimizers(vectors);
  expect(findings.filter(failed)).toEqual([]);
  expect(findings.length).toBeGreaterThan(95);
});

test('a wrong expectation is noticed', () => {
  const [first, ...others] = vectors.gradients as [number[], ...number[][]];
  const wrong = { ...vectors, gradients: [first.map((g) => g * (1 + 1e-6)), ...others] };
  expect(checkOptimizers(wrong).filter(failed).length).toBeGreaterThan(0);
});

test('decay is left out where the mask is 0', () => {
  const p = Float64Array.of(1, 1);
  createOptimizer({ kind: 'adamw', weightDecay: 0.5 }).step(p, new Float64Array(2), 0.1, Uint8Array.of(1, 0));
  expect([...p]).toEqual([0.95, 1]);
});
test('wrong options and shapes are refused', () => {
  expect(() => createOptimizer({ kind: 'sgd', momentum: 1 })).toThrow(
    expect.objectContaining({ code: 'TRAINING_OPTION' }),
  );
  expect(() => createOptimizer({ kind: 'sgd' }).step(new Float32Array(2), new Float32Array(3), 1)).toThrow(
    expect.objectContaining({ code: 'TRAINING_SHAPE' }),
  );
});
