import { describe, expect, test } from 'vitest';
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
