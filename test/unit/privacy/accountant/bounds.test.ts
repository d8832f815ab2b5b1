import { describe, expect, it } from 'vitest';
import { epsilonBounds, epsilonOf, rdpEpsilon } from '../../../../shared/privacy/accountant/index.ts';
import { optimistic } from '../../../../shared/privacy/accountant/optimistic.ts';
import { bucketsOf, type DirectedLosses, pessimistic } from '../../../../shared/privacy/accountant/step.ts';
import { exactDelta } from '../../../support/exact-delta.ts';

describe('never below the true value', () => {
  // With q so near 1 the sampled mechanism is the Gaussian, whose ε is known in closed form: an independent truth.
  it.each([
    [2, 16, 1e-5],
    [5, 100, 1e-6],
    [10, 400, 1e-8],
    [20, 4000, 1e-10],
  ])('σ = %d, T = %d, δ = %d: upper ≥ exact ≥ lower', (noiseMultiplier, count, delta) => {
    const exact = epsilonOf([{ kind: 'gaussian', noiseMultiplier, count }], delta);
    const nearly = { kind: 'poisson-gaussian', noiseMultiplier, samplingProbability: 1 - 1e-12, count } as const;
    const { lower, upper } = epsilonBounds([nearly], delta);
    expect(upper).toBeGreaterThanOrEqual(exact * (1 - 1e-9));
    // The grid adds h²/12 to the mean and h²/6 to the variance of each loss; at slope θ ≤ 6 that is (1 + 2θ)h²/12 of ε.
    expect(upper - exact).toBeLessThan(1e-6 + (count * 1e-8 * 13) / 12);
    expect(lower).toBeLessThanOrEqual(exact);
    // Optimistic losses lower the variance by up to h²/3 where the pessimistic raise it by h²/6.
    expect(exact - lower).toBeLessThan(1e-6 + (count * 1e-8 * 13) / 6);
  });

  it('the accountants agree on the order: PLD lower ≤ PLD upper ≤ RDP', () => {
    const events = [{ kind: 'poisson-gaussian', noiseMultiplier: 1.2, samplingProbability: 0.02, count: 500 }] as const;
    const { lower, upper } = epsilonBounds(events, 1e-6);
    expect(lower).toBeGreaterThan(0);
    expect(lower).toBeLessThan(upper);
    expect(upper).toBeLessThan(rdpEpsilon(events, 1e-6).epsilon);
  });

  it.each([
    [1, 0.01],
    [0.4, 0.5],
    [30, 1e-4],
    [2, 0.999],
  ])('σ = %d, q = %d: the step distribution has mass 1, and mass 1 again after weighting by e^{−loss}', (sigma, q) => {
    const { removing, adding } = pessimistic(bucketsOf(sigma, q, 1e-4));
    for (const { masses } of [removing, adding]) {
      expect(masses.every((m) => m >= 0)).toBe(true);
      expect(Math.abs(masses.reduce((sum, m) => sum + m, 0) - 1)).toBeLessThan(1e-12);
    }
  });

  it.each([
    [1, 0.01, 1e-4],
    [0.4, 0.5, 1e-3],
    [30, 1e-3, 1e-6],
    [2, 0.999, 1e-3],
    [0.5, 1e-4, 1e-4],
  ])(
    'σ = %d, q = %d, grid %d: the optimistic hockey-stick curve is nowhere above the exact one',
    (sigma, q, interval) => {
      const losses = optimistic(bucketsOf(sigma, q, interval)) as DirectedLosses;
      for (const direction of ['removing', 'adding'] as const) {
        const { masses, low } = losses[direction];
        expect(masses.every((m) => m >= 0)).toBe(true);
        expect(Math.abs(masses.reduce((sum, m) => sum + m, 0) - 1)).toBeLessThan(1e-11);
        for (let i = -40; i <= 40; i++) {
          const epsilon = (i / 8) * Math.max(q, 8 * interval);
          const curve = masses.reduce(
            (sum, m, k) => sum + m * Math.max(0, -Math.expm1(epsilon - (low + k) * interval)),
            0,
          );
          const exact = exactDelta(direction, { sigma, q }, epsilon);
          expect(curve).toBeLessThanOrEqual(exact * (1 + 1e-11) + 1e-15);
          // And near it: within what a bucket's width can do.
          if (interval <= 1e-4) expect(exact - curve).toBeLessThan(interval);
        }
      }
    },
  );
});
