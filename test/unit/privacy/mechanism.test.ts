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
  transportParameters,
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

describe('a ring of few bits', () => {
  const cases = [16, 20].flatMap((ringBits) =>
    [5_000, 300_000, 5e6].flatMap((dimension) =>
      [0.5, 2].map((noiseMultiplier) => ({ ringBits: ringBits as RingBits, dimension, noiseMultiplier })),
    ),
  );

  it.each(cases)('%j: wraps once in 10^9 rounds at most, and is not smaller than it has to be', (changes) => {
    const oneUnit = changes.dimension === 5e6;
    if (changes.dimension === 5e6 && changes.ringBits === 16 && changes.noiseMultiplier === 2) {
      expect(codeOf(() => mechanismParameters(demand({ ...changes, oneUnit })))).toBe('PRIVACY_RING_WRAPS');
      return;
    }
    const p = mechanismParameters(demand({ ...changes, oneUnit }));
    const n = p.cohortMax;
    // Everybody's block as long as it may be, all in one direction; noise of everybody, all nine components at least σ = 4.
    const signal = (n * p.blockLimit * p.scale) ** 2 / p.blockLength;
    const noise = n * (p.localSigma ** 2 + 9 * 16);
    const z = (2 ** (p.ringBits - 1) - 1 - n) / Math.sqrt(signal + noise);
    const probability = 2 * p.dimension * Math.exp((-z * z) / 2);
    expect(probability).toBeLessThan(1.000001e-9);
    expect(probability).toBeGreaterThan(0.999999e-9);
    expect(p.blockLength).toBe(changes.dimension === 5_000 ? 4096 : 65_536);
  });

  it.each(cases)('%j: rounding is paid for with noise, not with the promise', (changes) => {
    const parameters = () => mechanismParameters(demand({ ...changes, oneUnit: true }));
    if (codeOf(parameters) === 'PRIVACY_RING_WRAPS') return expect(changes.ringBits).toBe(16);
    const p = parameters();
    expect(effectiveNoiseMultiplier(p, 1)).toBeGreaterThanOrEqual(changes.noiseMultiplier);
    expect(p.sensitivity / p.scale).toBeLessThan(1.25);
    expect(p.sensitivity).toBeGreaterThan(Math.sqrt(p.scale ** 2 + p.dimension / 4));
  });

  it('what only travels is refused where rounding would show in the mean', () => {
    const cohort = { minimumCohort: 4, colluders: 1, cohortMax: 5 };
    const of = (dimension: number, ringBits: RingBits) => () =>
      transportParameters({ ...cohort, dimension, ringBits }, 1);
    const p = of(1e5, 16)();
    expect(Math.sqrt((p.dimension * 16.25) / 4) / p.scale).toBeLessThan(0.05);
    expect(codeOf(of(1e8, 16))).toBe('PRIVACY_RING_WRAPS');
    expect(of(1e8, 20)().ringBits).toBe(20);
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
