import { describe, expect, it } from 'vitest';
import { errorCode } from '../../../../shared/core/errors.ts';
import {
  affordableRounds,
  calibrateNoise,
  deltaOf,
  epsilonOf,
  filterAllows,
  openFilter,
  type PrivacyEvent,
  rdpEpsilon,
  spendFromFilter,
  zcdpEpsilon,
} from '../../../../shared/privacy/accountant/index.ts';

const codeOf = (action: () => unknown): string | undefined => {
  try {
    return `returned ${String(action())}`;
  } catch (error) {
    return errorCode(error);
  }
};
const event = (changes: Record<string, number>): PrivacyEvent => ({
  kind: 'poisson-gaussian',
  noiseMultiplier: 1,
  samplingProbability: 0.1,
  count: 10,
  ...changes,
});

describe('a number out of range is refused, never turned into an ε', () => {
  it.each([
    { noiseMultiplier: 0 },
    { noiseMultiplier: -1 },
    { noiseMultiplier: Number.NaN },
    { noiseMultiplier: Number.POSITIVE_INFINITY },
    { samplingProbability: 0 },
    { samplingProbability: -0.1 },
    { samplingProbability: 1.1 },
    { samplingProbability: Number.NaN },
    { count: 0 },
    { count: -3 },
    { count: 1.5 },
    { count: Number.NaN },
  ])('%j', (changes) => {
    const events = [event(changes as unknown as Record<string, number>)];
    for (const ask of [() => epsilonOf(events, 1e-5), () => deltaOf(events, 1), () => rdpEpsilon(events, 1e-5)]) {
      expect(codeOf(ask)).toBe('PRIVACY_PARAMETER_INVALID');
    }
  });

  it.each([0, 1, -1e-5, 2, Number.NaN])('δ = %d', (delta) => {
    for (const ask of [
      () => epsilonOf([event({})], delta),
      () => rdpEpsilon([event({})], delta),
      () => zcdpEpsilon(1, delta),
      () => openFilter(1, delta, [event({})]),
      () => calibrateNoise({ epsilon: 1, delta, stages: [{ samplingProbability: 0.1, rounds: 10, share: 1 }] }),
    ]) {
      expect(codeOf(ask)).toBe('PRIVACY_PARAMETER_INVALID');
    }
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('ε = %d', (epsilon) => {
    expect(codeOf(() => deltaOf([event({})], epsilon))).toBe('PRIVACY_PARAMETER_INVALID');
    expect(codeOf(() => openFilter(epsilon, 1e-5, [event({})]))).toBe('PRIVACY_PARAMETER_INVALID');
    const stages = [{ samplingProbability: 0.1, rounds: 10, share: 1 }];
    expect(codeOf(() => calibrateNoise({ epsilon, delta: 1e-5, stages }))).toBe('PRIVACY_PARAMETER_INVALID');
    const demand = { epsilon, delta: 1e-5, noiseMultiplier: 1, samplingProbability: 0.1 };
    expect(codeOf(() => affordableRounds(demand))).toBe('PRIVACY_PARAMETER_INVALID');
  });

  it('no events and no stages', () => {
    expect(codeOf(() => epsilonOf([], 1e-5))).toBe('PRIVACY_PARAMETER_INVALID');
    expect(codeOf(() => calibrateNoise({ epsilon: 1, delta: 1e-5, stages: [] }))).toBe('PRIVACY_PARAMETER_INVALID');
  });
});

describe('a filter', () => {
  const step = event({ noiseMultiplier: 3, count: 1 });

  it('lets releases through until its order is used up, then refuses', () => {
    let filter = openFilter(2, 1e-5, [{ ...step, count: 100 }]);
    let releases = 0;
    while (filterAllows(filter, [step])) {
      filter = spendFromFilter(filter, [step]);
      releases++;
    }
    expect(releases).toBeGreaterThan(10);
    expect(codeOf(() => spendFromFilter(filter, [step]))).toBe('PRIVACY_FILTER_EXHAUSTED');
    // The same releases as one plan cost no more: the filter is the weaker accountant, never the stronger.
    expect(epsilonOf([{ ...step, count: releases }], 1e-5)).toBeLessThanOrEqual(2);
  });
});
