import { describe, expect, test } from 'vitest';
import { TacitError } from '../../../shared/core/errors.ts';
import type { RingBits } from '../../../shared/kernels/packing.ts';
import { effectiveNoiseMultiplier, mechanismParameters } from '../../../shared/privacy/mechanism.ts';
import { sharingParameters } from '../../../shared/secagg/parameters.ts';

describe('threshold', () => {
  test.each([
    { cohortSize: 5, colluders: 0, minimumCohort: 3, threshold: 3 },
    { cohortSize: 5, colluders: 1, minimumCohort: 5, threshold: 4 },
    { cohortSize: 6, colluders: 0, minimumCohort: 4, threshold: 4 },
    { cohortSize: 10, colluders: 3, minimumCohort: 8, threshold: 7 },
    { cohortSize: 64, colluders: 10, minimumCohort: 50, threshold: 38 },
  ])('t = ⌊(n + T_c)/2⌋ + 1: %o', ({ threshold, ...rule }) => {
    expect(sharingParameters(rule)).toEqual({ threshold, degree: rule.cohortSize - 1 });
  });

  test('no two survivor sets can both gather t answers, and three honest shares stand before every secret', () => {
    for (let cohortSize = 5; cohortSize <= 64; cohortSize++) {
      for (let colluders = 0; colluders <= cohortSize - 4; colluders++) {
        const { threshold } = sharingParameters({ cohortSize, colluders, minimumCohort: cohortSize });
        expect(2 * threshold).toBeGreaterThan(cohortSize + colluders);
        expect(threshold - colluders).toBeGreaterThanOrEqual(3);
        expect(threshold).toBeLessThanOrEqual(cohortSize);
      }
      expect(() => sharingParameters({ cohortSize, colluders: cohortSize - 3, minimumCohort: cohortSize })).toThrow(
        expect.objectContaining({ code: 'SECAGG_PARAMETERS' }),
      );
    }
  });

  test.each([
    { cohortSize: 4, colluders: 0, minimumCohort: 4 },
    { cohortSize: 2, colluders: 0, minimumCohort: 2 },
    { cohortSize: 6, colluders: 0, minimumCohort: 3 },
    { cohortSize: 6, colluders: 0, minimumCohort: 7 },
    { cohortSize: 6.5, colluders: 0, minimumCohort: 5 },
    { cohortSize: 6, colluders: -1, minimumCohort: 5 },
    { cohortSize: 6, colluders: Number.NaN, minimumCohort: 5 },
  ])('refused, with what would be allowed: %o', (rule) => {
    expect(() => sharingParameters(rule)).toThrow(
      expect.objectContaining({ code: 'SECAGG_PARAMETERS', fix: expect.stringMatching(/./) }),
    );
  });
});

describe('refused before anything is sent, with what would be allowed', () => {
  const refusal = (action: () => unknown): TacitError => {
    try {
      action();
    } catch (error) {
      if (error instanceof TacitError) return error;
    }
    throw new Error('it was not refused');
  };
  const demand = { dimension: 1000, l2Clip: 1, noiseMultiplier: 1, minimumCohort: 4, colluders: 1, cohortMax: 16 };

  test('n < 5', () => {
    const { code, fix } = refusal(() => sharingParameters({ cohortSize: 4, colluders: 0, minimumCohort: 4 }));
    expect([code, fix]).toEqual(['SECAGG_PARAMETERS', 'Invite at least 5 clients.']);
    expect(sharingParameters({ cohortSize: 5, colluders: 0, minimumCohort: 4 }).threshold).toBe(3);
  });

  test('t − T_c < 3', () => {
    const { code, fix } = refusal(() => sharingParameters({ cohortSize: 9, colluders: 6, minimumCohort: 9 }));
    expect(code).toBe('SECAGG_PARAMETERS');
    const colluders = Number(/at most (\d+) colluder/.exec(fix ?? '')?.[1]);
    expect(colluders).toBe(5);
    const { threshold } = sharingParameters({ cohortSize: 9, colluders, minimumCohort: 9 });
    expect(threshold - colluders).toBeGreaterThanOrEqual(3);
  });

  test('a ring that can wrap with a probability above 1e-9', () => {
    const wide = { ...demand, dimension: 1e7, oneUnit: true };
    const { code, fix } = refusal(() => mechanismParameters({ ...wide, ringBits: 16 }));
    expect(code).toBe('PRIVACY_RING_WRAPS');
    const ringBits = Number(/ringBits (\d+)/.exec(fix ?? '')?.[1]) as RingBits;
    const dimension = Number(/at most (\d+) elements/.exec(fix ?? '')?.[1]);
    const noiseMultiplier = Number(/multiplier of at most ([\d.]*\d)/.exec(fix ?? '')?.[1]);
    expect(ringBits).toBe(20);
    for (const allowed of [{ ringBits }, { dimension }, { noiseMultiplier }])
      expect(mechanismParameters({ ...wide, ringBits: 16, ...allowed }).wrapProbability).toBeLessThanOrEqual(1e-9);
    expect(refusal(() => mechanismParameters({ ...wide, ringBits: 16, dimension: 8 * dimension })).code).toBe(code);
  });

  test('noise that cannot be reached after the allowed drops', () => {
    const { code, fix } = refusal(() => mechanismParameters({ ...demand, colluders: 4, ringBits: 32 }));
    expect(code).toBe('PRIVACY_CLAIM_FALSE');
    const minimumCohort = Number(/at least (\d+)/.exec(fix ?? '')?.[1]);
    const allowed = mechanismParameters({ ...demand, colluders: 4, minimumCohort, ringBits: 32 });
    expect(effectiveNoiseMultiplier(allowed, 4)).toBeGreaterThanOrEqual(1);
  });
});

test.each([
  { cohortSize: 1000, colluders: 400, minimumCohort: 700, allowed: 'Set it to 701–1000.' },
  { cohortSize: 100, colluders: 100, minimumCohort: 100, allowed: 'Assume fewer colluders than clients.' },
  {
    cohortSize: 1000,
    colluders: 100,
    minimumCohort: 600,
    allowed: 'Raise the minimum cohort: so many drops are too many even without colluders.',
  },
])('above 64 clients: refused, with what would be allowed: %o', ({ allowed, ...rule }) => {
  expect(() => sharingParameters(rule)).toThrow(expect.objectContaining({ code: 'SECAGG_PARAMETERS', fix: allowed }));
});

test('above 64 clients: what a refusal allows is allowed', () => {
  const rule = { cohortSize: 1000, colluders: 200, minimumCohort: 900 };
  let fix = '';
  try {
    sharingParameters(rule);
  } catch (error) {
    fix = (error as TacitError).fix ?? '';
  }
  const colluders = Number(/at most (\d+) colluder/.exec(fix)?.[1]);
  expect(colluders).toBeLessThan(200);
  expect(sharingParameters({ ...rule, colluders }).degree).toBeLessThan(255);
});
