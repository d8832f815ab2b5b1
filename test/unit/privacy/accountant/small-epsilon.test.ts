import { describe, expect, it } from 'vitest';
import { upperComposition } from '../../../../shared/privacy/accountant/composition.ts';
import { gaussianDelta } from '../../../../shared/privacy/accountant/gaussian.ts';
import { deltaOf, epsilonOf } from '../../../../shared/privacy/accountant/index.ts';
import { type TiltedTail, tailDelta } from '../../../../shared/privacy/accountant/tail.ts';
import type { PrivacyEvent } from '../../../../shared/privacy/events.ts';

const sampled = (noiseMultiplier: number, samplingProbability: number, count: number): [PrivacyEvent] => [
  { kind: 'poisson-gaussian', noiseMultiplier, samplingProbability, count },
];

describe('the corners of the promised range', () => {
  it.each([
    [0.3, 0.3, 100_000],
    [0.3, 0.9, 100_000],
    [0.3, 0.3, 10_000],
  ])('σ = %d, q = %d, T = %d: ε is in the thousands, and answered', (sigma, q, count) => {
    const epsilon = epsilonOf(sampled(sigma, q, count), 1e-5);
    // Between the mean of the total loss (per step by quadrature: the median is about there) and no sampling at all.
    expect(epsilon).toBeGreaterThan(count * divergence(sigma, q));
    expect(epsilon).toBeLessThan(epsilonOf([{ kind: 'gaussian', noiseMultiplier: sigma, count }], 1e-5));
  });

  it.each([
    [1, 1e-4, 1000],
    [0.7, 1e-4, 1000],
    [0.7, 1e-4, 100_000],
  ])('σ = %d, q = %d, T = %d: δ falls with ε from total variation on, and ε(δ(ε)) = ε', (sigma, q, count) => {
    const events = sampled(sigma, q, count);
    const deltas = [0, 1e-4, 1e-3, 0.0155, 0.1].map((epsilon) => deltaOf(events, epsilon));
    for (let i = 1; i < deltas.length; i++) expect(deltas[i]).toBeLessThan(deltas[i - 1] as number);
    expect(deltas[0]).toBeLessThan(count * q * gaussianDelta(1 / sigma, 0));
    expect(Math.abs(epsilonOf(events, deltas[3] as number) - 0.0155)).toBeLessThan(1e-7);
  });

  it.each([
    [0.7, 1e-4, 1000, 0.1],
    [0.7, 1e-4, 100_000, 0.3],
    [1, 1e-4, 1000, 0.0155],
  ])('σ = %d, q = %d, T = %d, ε = %d: rounding widens δ by less than 1e-6 of it', (sigma, q, count, epsilon) => {
    const release = { noiseMultiplier: sigma, samplingProbability: q, count };
    const tail = upperComposition([release], 1e-4).removing.tailForEpsilon(epsilon);
    const upper = tailDelta(tail as TiltedTail, epsilon, 1);
    const lower = tailDelta(tail as TiltedTail, epsilon, -1);
    expect(lower).toBeGreaterThan(0);
    expect(upper / lower - 1).toBeLessThan(1e-6);
  });
});

/** KL divergence of one release by the trapezoid rule. */
function divergence(sigma: number, q: number): number {
  let sum = 0;
  for (let x = -10 * sigma; x < 1 + 10 * sigma; x += sigma / 200) {
    const base = Math.exp((-x * x) / (2 * sigma * sigma));
    const mixed = (1 - q) * base + q * Math.exp((-(x - 1) * (x - 1)) / (2 * sigma * sigma));
    sum += (mixed * Math.log1p(q * Math.expm1((2 * x - 1) / (2 * sigma * sigma)))) / (200 * Math.sqrt(2 * Math.PI));
  }
  return sum;
}
