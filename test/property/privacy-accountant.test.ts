import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  deltaBounds,
  deltaOf,
  epsilonBounds,
  epsilonOf,
  type PrivacyEvent,
  rdpEpsilon,
} from '../../shared/privacy/accountant/index.ts';
import { exactDeltaOfTwo } from '../support/exact-delta.ts';

const event = (noiseMultiplier: number, samplingProbability: number, count: number): PrivacyEvent => ({
  kind: 'poisson-gaussian',
  noiseMultiplier,
  samplingProbability,
  count,
});

/** Plans whose windows are short enough for a quick test; rare-jump and many-round plans included. */
const plan = fc.record({
  sigma: fc.double({ min: 0.6, max: 20, noNaN: true }),
  q: fc.double({ min: 1e-4, max: 0.5, noNaN: true }),
  count: fc.integer({ min: 2, max: 2000 }),
  logDelta: fc.double({ min: Math.log(1e-9), max: Math.log(1e-3), noNaN: true }),
});
const runs = { numRuns: 4, seed: 20 };
/** Two upper bounds of equal mechanisms may differ by their error bounds. */
const slack = (epsilon: number): number => epsilon * (1 + 1e-6) + 1e-6;

describe('the accountant', () => {
  it('gives less ε for more noise, less sampling, fewer rounds or a larger δ', () => {
    fc.assert(
      fc.property(plan, fc.double({ min: 1.05, max: 3, noNaN: true }), ({ sigma, q, count, logDelta }, factor) => {
        const delta = Math.exp(logDelta);
        const epsilon = epsilonOf([event(sigma, q, count)], delta);
        expect(Number.isFinite(epsilon) && epsilon >= 0).toBe(true);
        expect(epsilonOf([event(sigma * factor, q, count)], delta)).toBeLessThanOrEqual(slack(epsilon));
        expect(epsilonOf([event(sigma, q / factor, count)], delta)).toBeLessThanOrEqual(slack(epsilon));
        expect(epsilonOf([event(sigma, q, Math.ceil(count / factor))], delta)).toBeLessThanOrEqual(slack(epsilon));
        expect(epsilonOf([event(sigma, q, count)], Math.min(delta * factor, 0.5))).toBeLessThanOrEqual(slack(epsilon));
      }),
      runs,
    );
  });

  it('ε(δ) and δ(ε) are inverse to each other', () => {
    fc.assert(
      fc.property(plan, ({ sigma, q, count, logDelta }) => {
        const delta = Math.exp(logDelta);
        const epsilon = epsilonOf([event(sigma, q, count)], delta);
        fc.pre(epsilon > 1e-6);
        expect(Math.abs(Math.log(deltaOf([event(sigma, q, count)], epsilon) / delta))).toBeLessThan(1e-3);
      }),
      runs,
    );
  });

  it('a composition costs at least its parts and at most their Rényi sum, however it is split', () => {
    fc.assert(
      fc.property(plan, plan, (a, b) => {
        const delta = Math.exp(a.logDelta);
        const first = event(a.sigma, a.q, a.count);
        const second = event(b.sigma, b.q, b.count);
        const together = epsilonOf([first, second], delta);
        const largest = Math.max(epsilonOf([first], delta), epsilonOf([second], delta));
        expect(slack(together)).toBeGreaterThanOrEqual(largest);
        expect(together).toBeLessThanOrEqual(slack(rdpEpsilon([first, second], delta).epsilon) + 1e-3);
        const split = [event(a.sigma, a.q, 1), second, event(a.sigma, a.q, a.count - 1)];
        expect(epsilonOf(split, delta)).toBe(together);
      }),
      runs,
    );
  });

  it('optimistic ≤ exact ≤ pessimistic: two sampled releases by quadrature, without a grid', () => {
    const release = fc.record({
      sigma: fc.double({ min: 0.5, max: 5, noNaN: true }),
      q: fc.double({ min: 1e-3, max: 0.9, noNaN: true }),
      logDelta: fc.double({ min: Math.log(1e-9), max: Math.log(1e-3), noNaN: true }),
    });
    fc.assert(
      fc.property(release, ({ sigma, q, logDelta }) => {
        const delta = Math.exp(logDelta);
        const events = [event(sigma, q, 2)];
        const exact = (epsilon: number): number =>
          Math.max(...(['removing', 'adding'] as const).map((d) => exactDeltaOfTwo(d, { sigma, q }, epsilon)));
        const epsilon = epsilonBounds(events, delta);
        expect(exact(epsilon.upper)).toBeLessThanOrEqual(delta * (1 + 1e-9));
        if (epsilon.lower > 0) expect(exact(epsilon.lower)).toBeGreaterThanOrEqual(delta * (1 - 1e-9));
        expect(epsilon.upper - epsilon.lower).toBeLessThan(1e-3 * epsilon.upper + 1e-5);
        const bounds = deltaBounds(events, epsilon.upper);
        expect(bounds.lower).toBeLessThanOrEqual(exact(epsilon.upper) * (1 + 1e-9));
        expect(bounds.upper).toBeGreaterThanOrEqual(exact(epsilon.upper) * (1 - 1e-9));
      }),
      { ...runs, numRuns: 8 },
    );
  });
});
