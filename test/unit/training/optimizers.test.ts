import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createOptimizer, type OptimizerSpec } from '../../../shared/training/optimizers.ts';
import { learningRateAt, type Schedule } from '../../../shared/training/schedules.ts';

const vectors = JSON.parse(readFileSync(new URL('../../vectors/optim.json', import.meta.url), 'utf8'));

function specOf(name: string, hyper: Record<string, number | boolean | string>): OptimizerSpec {
  const { lr: _lr, note: _note, ...rest } = hyper;
  const kind = name.startsWith('adamw') ? 'adamw' : name.startsWith('adam') ? 'adam' : 'sgd';
  return { kind, ...rest } as OptimizerSpec;
}

describe('optimizers equal torch.optim', () => {
  for (const c of vectors.cases) {
    test(`${c.name}, in both precisions and restored before every step`, () => {
      const p64 = Float64Array.from(vectors.initialParameters);
      const p32 = Float32Array.from(vectors.initialParameters);
      let optimizer = createOptimizer(specOf(c.name, c.hyper));
      const single = createOptimizer(specOf(c.name, c.hyper));
      for (const [step, expected] of c.parametersAfterStep.entries()) {
        const lr = c.learningRates?.[step] ?? c.hyper.lr;
        optimizer.step(p64, Float64Array.from(vectors.gradients[step]), lr);
        single.step(p32, Float32Array.from(vectors.gradients[step]), lr);
        for (const [i, e] of expected.entries()) {
          expect(Math.abs((p64[i] as number) - e)).toBeLessThanOrEqual(1e-12 * Math.max(1, Math.abs(e)));
          expect(Math.abs((p32[i] as number) - e)).toBeLessThanOrEqual(2e-6);
        }
        optimizer = createOptimizer(specOf(c.name, c.hyper), optimizer.state());
      }
      const { step, vectors: state } = optimizer.state();
      expect(step).toBe(c.parametersAfterStep.length);
      for (const name of ['exp_avg', 'exp_avg_sq']) {
        const expected: number[] | undefined = c.finalState?.[name];
        for (const [i, e] of (expected ?? []).entries()) expect(state[name]?.[i]).toBeCloseTo(e, 12);
      }
    });
  }
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
});

describe('schedules equal transformers', () => {
  for (const s of vectors.schedules) {
    test(`${s.kind}, warm-up ${s.warmupSteps}`, () => {
      const schedule = {
        kind: s.kind,
        learningRate: s.baseLearningRate,
        warmupSteps: s.warmupSteps,
        totalSteps: s.totalSteps,
      } as Schedule;
      for (const [step, e] of s.learningRates.entries()) {
        expect(Math.abs(learningRateAt(schedule, step) - e)).toBeLessThanOrEqual(
          1e-12 * Math.max(s.baseLearningRate, e),
        );
      }
    });
  }
});
