import { describe, expect, it } from 'vitest';
import { calibrateNoise, epsilonOf, rdpEpsilon, stageEvent } from '../../../../shared/privacy/accountant/index.ts';

/** A plan of two stages: everybody in the first, Poisson samples in the second. */
const stages = [
  { samplingProbability: 1, rounds: 60, share: 9 },
  { samplingProbability: 0.25, rounds: 8, share: 1 },
];
const eventsAt = (factor: number, sigmas: readonly number[]) =>
  stages.map((stage, i) => stageEvent(stage, factor * (sigmas[i] as number)));

describe('stages with and without sampling under one certificate', () => {
  const sigmas = [11.4386, 3.1326];

  it('lies below the Rényi bound and above what either stage costs alone', () => {
    const together = epsilonOf(eventsAt(1, sigmas), 1e-5);
    expect(together).toBeLessThan(rdpEpsilon(eventsAt(1, sigmas), 1e-5).epsilon);
    for (const event of eventsAt(1, sigmas)) expect(together).toBeGreaterThan(epsilonOf([event], 1e-5));
  });

  it('falls as noise grows', () => {
    const at = [1, 1.01, 1.1, 1.5, 3].map((factor) => epsilonOf(eventsAt(factor, sigmas), 1e-5));
    expect(at).toEqual([...at].sort((a, b) => b - a));
  });

  it('calibrates to exactly what was asked, not to less', () => {
    const found = calibrateNoise({ epsilon: 3, delta: 1e-5, stages });
    expect(found[0]).toBeCloseTo(11.4386, 3);
    const epsilon = epsilonOf(eventsAt(1, found), 1e-5);
    expect(epsilon).toBeLessThanOrEqual(3);
    expect(epsilon).toBeGreaterThan(3 - 3e-6);
  });
});
