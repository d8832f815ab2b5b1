import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { addProximal, weightedMean } from '../../../shared/aggregation/fedavg.ts';
import { coordinateMedian, krum, trimmedMean } from '../../../shared/aggregation/robust.ts';
import { createServerOptimizer, type ServerOptimizerSpec } from '../../../shared/aggregation/server-optimizers.ts';

interface Hyper {
  serverLearningRate: number;
  momentum?: number;
  beta1?: number;
  beta2?: number;
  tau?: number;
}
const vectors = JSON.parse(readFileSync(new URL('../../vectors/aggregation.json', import.meta.url), 'utf8'));
const f64 = (rows: number[][]): Float64Array[] => rows.map((r) => Float64Array.from(r));

function expectClose(actual: ArrayLike<number>, expected: number[], relative: number): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i] as number;
    expect(Math.abs((actual[i] as number) - e), `element ${i}`).toBeLessThanOrEqual(
      relative * Math.max(1e-3, Math.abs(e)),
    );
  }
}

function specOf(name: string, hyper: Hyper): ServerOptimizerSpec {
  const learningRate = hyper.serverLearningRate;
  if (name === 'fedavg' || name === 'fedavgm') return { optimizer: 'sgd', learningRate, momentum: hyper.momentum ?? 0 };
  const optimizer = name.slice(3) as 'adagrad' | 'adam' | 'yogi';
  return {
    optimizer,
    learningRate,
    ...(hyper.beta1 === undefined ? {} : { momentum: hyper.beta1 }),
    ...(hyper.beta2 === undefined ? {} : { beta2: hyper.beta2 }),
    ...(hyper.tau === undefined ? {} : { tau: hyper.tau }),
  };
}

describe('server optimizers equal the vectors', () => {
  for (const c of vectors.serverOptimizers) {
    test(`${c.name}, ${c.weighting}, restored from its state before every round`, () => {
      const weights = c.weighting === 'weighted' ? vectors.clientWeights : vectors.clientWeights.map(() => 1);
      let x = Float64Array.from(vectors.initialParameters);
      let x32 = Float32Array.from(vectors.initialParameters);
      let optimizer = createServerOptimizer(specOf(c.name, c.hyper));
      const single = createServerOptimizer(specOf(c.name, c.hyper));
      for (const [round, expected] of c.rounds.entries()) {
        const mean = weightedMean(f64(vectors.clientDeltas[round]), weights);
        optimizer = createServerOptimizer(specOf(c.name, c.hyper), round === 0 ? undefined : optimizer.state());
        x = optimizer.step(x, mean);
        x32 = single.step(x32, mean);
        expectClose(x, expected.parameters, 1e-12);
        expectClose(x32, expected.parameters, 1e-5);
        if (expected.momentum !== undefined) expectClose(optimizer.state().momentum, expected.momentum, 1e-12);
        if (expected.secondMoment !== undefined)
          expectClose(optimizer.state().secondMoment, expected.secondMoment, 1e-12);
      }
    });
  }
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
});

test('FedProx adds its term and gradient', () => {
  const p = vectors.fedProx;
  const gradient = Float64Array.from(p.gradient);
  const term = addProximal(gradient, Float64Array.from(p.localParameters), Float64Array.from(p.globalParameters), p.mu);
  expect(term).toBeCloseTo(p.proximalTerm, 12);
  expectClose(gradient, p.gradientWithProximal, 1e-12);
});

describe('robust merging equals the vectors', () => {
  const updates = f64(vectors.robust.updates);
  test('mean and median', () => {
    expectClose(
      weightedMean(
        updates,
        updates.map(() => 1),
      ),
      vectors.robust.mean,
      1e-12,
    );
    expectClose(coordinateMedian(updates), vectors.robust.coordinateMedian, 1e-12);
    expectClose(
      coordinateMedian(updates.slice(0, vectors.robust.medianOfFirstEven.rows)),
      vectors.robust.medianOfFirstEven.value,
      1e-12,
    );
  });
  test('trimmed mean', () => {
    for (const c of vectors.robust.trimmedMean) expectClose(trimmedMean(updates, c.trimEachSide), c.value, 1e-12);
    expect(() => trimmedMean(updates, 5)).toThrow(expect.objectContaining({ code: 'AGGREGATION_OPTION' }));
  });
  test('Krum and multi-Krum', () => {
    for (const c of vectors.robust.krum) {
      const result = krum(updates, c.f);
      expectClose(result.scores, c.scores, 1e-12);
      expect(result.selected).toEqual([c.selected]);
      expectClose(result.value, c.value, 1e-12);
    }
    for (const c of vectors.robust.multiKrum) {
      const result = krum(updates, c.f, c.m);
      expect(result.selected).toEqual(c.selected);
      expectClose(result.value, c.value, 1e-12);
    }
    expect(() => krum(updates.slice(0, 4), 2)).toThrow(expect.objectContaining({ code: 'AGGREGATION_OPTION' }));
  });
});
