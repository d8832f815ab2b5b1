import { describe, expect, it } from 'vitest';
import {
  affordableRounds,
  calibrateNoise,
  epsilonOf,
  stageEvent,
} from '../../../../shared/privacy/accountant/index.ts';

describe('calibration: rough grid first, the default grid last', () => {
  // The last two: losses so small that the rough grid is the default one; noise near the end of the range.
  it.each([
    [3, 0.1, 60],
    [3, 0.001, 10_000],
    [0.01, 1e-4, 1000],
    [30, 0.3, 20],
  ])('ε = %d, q = %d, T = %d: within 1e-6 below', (epsilon, samplingProbability, rounds) => {
    const stage = { samplingProbability, rounds, share: 1 };
    const [sigma] = calibrateNoise({ epsilon, delta: 1e-5, stages: [stage] }) as [number];
    const spent = epsilonOf([stageEvent(stage, sigma)], 1e-5);
    expect(spent / epsilon).toBeLessThanOrEqual(1);
    expect(spent / epsilon).toBeGreaterThan(1 - 1.1e-6);
  });

  it.each([
    [3, 1, 0.01],
    [1, 4, 1],
    [8, 0.5, 1e-3],
    [0.5, 0.4, 0.3],
  ])('ε = %d, σ = %d, q = %d: one more round would be too many', (epsilon, noiseMultiplier, samplingProbability) => {
    const demand = { epsilon, delta: 1e-5, noiseMultiplier, samplingProbability };
    const rounds = affordableRounds(demand);
    const spent = (n: number): number =>
      epsilonOf([stageEvent({ samplingProbability, rounds: n }, noiseMultiplier)], 1e-5);
    if (rounds > 0) expect(spent(rounds)).toBeLessThanOrEqual(epsilon);
    expect(spent(rounds + 1)).toBeGreaterThan(epsilon);
  });
});
