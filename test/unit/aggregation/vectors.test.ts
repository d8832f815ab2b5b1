import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { krum, trimmedMean } from '../../../shared/aggregation/robust.ts';
import { createServerOptimizer } from '../../../shared/aggregation/server-optimizers.ts';
import { type AggregationVectors, checkAggregation } from '../../conformance/aggregation.ts';
import { failed } from '../../conformance/findings.ts';

const vectors = JSON.parse(readFileSync('test/vectors/aggregation.json', 'utf8')) as AggregationVectors;

test('server optimizers, FedProx and robust merging equal the vectors', () => {
  const findings = checkAggregation(vectors);
  expect(findings.filter(failed)).toEqual([]);
  expect(findings.length).toBeGreaterThan(60);
});

test('a wrong expectation is noticed', () => {
  const [first, ...others] = vectors.clientDeltas as [number[][], ...number[][][]];
  const wrong = { ...vectors, clientDeltas: [first.map((row) => row.map((x) => x * (1 + 1e-6))), ...others] };
  expect(checkAggregation(wrong).filter(failed).length).toBeGreaterThan(0);
});

test('state of another optimizer is refused', () => {
  const adam = createServerOptimizer({ optimizer: 'adam', learningRate: 1 });
  adam.step(new Float64Array(2), new Float64Array(2));
  expect(() => createServerOptimizer({ optimizer: 'sgd', learningRate: 1 }, adam.state())).toThrow(
    expect.objectContaining({ code: 'AGGREGATION_STATE' }),
  );
  expect(() => adam.step(new Float64Array(3), new Float64Array(3))).toThrow(
    expect.objectContaining({ code: 'AGGREGATION_INPUT' }),
  );
  expect(() => createServerOptimizer({ optimizer: 'sgd', learningRate: 0 })).toThrow(
    expect.objectContaining({ code: 'AGGREGATION_OPTION' }),
  );
});

test('trims and faulty clients that leave nothing are refused', () => {
  const updates = [1, 2, 3, 4].map((x) => Float64Array.of(x));
  expect(() => trimmedMean(updates, 2)).toThrow(expect.objectContaining({ code: 'AGGREGATION_OPTION' }));
  expect(() => krum(updates, 2)).toThrow(expect.objectContaining({ code: 'AGGREGATION_OPTION' }));
});
