import { describe, expect, it } from 'vitest';
import { errorCode } from '../../../shared/core/errors.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import type { RingBits } from '../../../shared/kernels/packing.ts';
import {
  decode,
  effectiveNoiseMultiplier,
  type MechanismDemand,
  mechanismParameters,
  privatise,
} from '../../../shared/privacy/mechanism.ts';

const demand = (changes: Partial<MechanismDemand> = {}): MechanismDemand => ({
  dimension: 4,
  l2Clip: 1,
  noiseMultiplier: 1,
  minimumCohort: 4,
  colluders: 1,
  cohortMax: 5,
  ringBits: 32,
  ...changes,
});
const codeOf = (action: () => unknown): string | undefined => {
  try {
    return `returned ${String(action())}`;
  } catch (error) {
    return errorCode(error);
  }
};
const variance = (values: Float64Array): number => values.reduce((sum, x) => sum + x * x, 0) / values.length;

describe('mechanism parameters', () => {
  it.each([1, 10, 1538, 66_000, 5e6, 110e6])(
    'd = %d: the effective multiplier is the committed one, at little cost',
    (dimension) => {
      for (const noiseMultiplier of [0.3, 1, 5]) {
        const parameters = mechanismParameters(demand({ dimension, noiseMultiplier, cohortMax: 10 }));
        expect(effectiveNoiseMultiplier(parameters, 1)).toBeGreaterThanOrEqual(noiseMultiplier);
        expect(effectiveNoiseMultiplier(parameters, 1)).toBeLessThan(noiseMultiplier * (1 + 1e-9));
        const scaledClip = parameters.scale * parameters.l2Clip;
        expect(scaledClip).toBeGreaterThanOrEqual(10 * Math.sqrt(dimension));
        // Rounding and its slack cost less than 0.5 % of σ.
        expect((parameters.localSigma * Math.sqrt(3)) / (noiseMultiplier * scaledClip)).toBeLessThan(1.005);
        expect(parameters.blockLimit).toBeGreaterThanOrEqual(parameters.l2Clip);
      }
    },
  );

  it.each([
    { dimension: 0 },
    { dimension: 1.5 },
    { l2Clip: 0 },
    { l2Clip: Number.NaN },
    { noiseMultiplier: 0 },
    { noiseMultiplier: -1 },
    { minimumCohort: 1 },
    { cohortMax: 3 },
    { colluders: -1 },
    { ringBits: 24 as RingBits },
    { ringBits: 8 as RingBits },
  ])('%j is refused', (changes) => {
    expect(codeOf(() => mechanismParameters(demand(changes)))).toBe('PRIVACY_PARAMETER_INVALID');
  });

  it('a cohort without honest noise is refused', () => {
    expect(codeOf(() => mechanismParameters(demand({ colluders: 4 })))).toBe('PRIVACY_CLAIM_FALSE');
  });
});

describe('privatise', () => {
  it.each([0.25, 1, 3])(
    'noise multiplier %d: the sum of the smallest cohort carries the committed σ, not σ²',
    (noiseMultiplier) => {
      const dimension = 200_000;
      const parameters = mechanismParameters(demand({ dimension, noiseMultiplier, l2Clip: 0.5 }));
      const rng = seededRng(`privatise ${noiseMultiplier}`);
      const sum = new Uint32Array(dimension);
      for (let client = 0; client < 3; client++) {
        const values = privatise(new Float32Array(dimension), parameters, rng, 0);
        for (let i = 0; i < dimension; i++) sum[i] = (sum[i] as number) + (values[i] as number);
      }
      const sigma = noiseMultiplier * 0.5;
      expect(Math.abs(variance(decode(sum, parameters)) / sigma ** 2 - 1)).toBeLessThan(0.02);
    },
  );

  it('the mean of the decoded vector is the clipped sum', () => {
    const parameters = mechanismParameters(demand({ noiseMultiplier: 0.01 }));
    const rng = seededRng('unbiased');
    const clipped = Float32Array.from([0.3, -0.4, 0.5, -0.6]);
    const mean = new Float64Array(4);
    for (let i = 0; i < 2000; i++) {
      const decoded = decode(privatise(clipped, parameters, rng, 1), parameters);
      for (let k = 0; k < 4; k++) mean[k] = (mean[k] as number) + (decoded[k] as number) / 2000;
    }
    for (let k = 0; k < 4; k++) expect(Math.abs((mean[k] as number) - (clipped[k] as number))).toBeLessThan(1e-3);
  });

  it('an empty batch carries as much noise as a full one', () => {
    const parameters = mechanismParameters(demand({ dimension: 100_000 }));
    const noise = decode(privatise(new Float32Array(100_000), parameters, seededRng('empty'), 0), parameters);
    expect(Math.abs(variance(noise) * 3 - 1)).toBeLessThan(0.03);
  });

  it('NaN, infinity, a wrong length and an unclipped sum are refused', () => {
    const parameters = mechanismParameters(demand());
    const of = (values: number[], examples: number) =>
      codeOf(() => privatise(Float32Array.from(values), parameters, seededRng('x'), examples));
    expect(of([0, Number.NaN, 0, 0], 1)).toBe('PRIVACY_VECTOR_INVALID');
    expect(of([0, Number.POSITIVE_INFINITY, 0, 0], 1)).toBe('PRIVACY_VECTOR_INVALID');
    expect(of([0, 0, 0], 1)).toBe('PRIVACY_VECTOR_INVALID');
    expect(of([0.8, 0.8, 0, 0], 1)).toBe('PRIVACY_NORM_EXCEEDED');
    expect(of([0.1, 0, 0, 0], 0)).toBe('PRIVACY_NORM_EXCEEDED');
    expect(of([0, 0, 0, 0], -1)).toBe('PRIVACY_PARAMETER_INVALID');
    const tight = mechanismParameters(demand({ cohortMax: 1000, minimumCohort: 600, dimension: 1e6 }));
    expect(tight.blockLimit).toBeLessThan(5000);
    const spike = new Float32Array(1e6);
    spike[7] = 5000;
    expect(codeOf(() => privatise(spike, tight, seededRng('x'), 5000))).toBe('PRIVACY_RING_WRAPS');
  });
});
