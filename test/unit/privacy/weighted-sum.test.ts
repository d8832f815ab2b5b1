import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { weightedMean } from '../../../shared/aggregation/fedavg.ts';
import { type Rng, seededRng } from '../../../shared/core/rng.ts';
import {
  checkUpdate,
  decode,
  type MechanismParameters,
  mechanismParameters,
  privatise,
  transportParameters,
} from '../../../shared/privacy/mechanism.ts';
import { jointClip, openWeight, weightedUpdate } from '../../../shared/privacy/weighted-sum.ts';

const clip = 0.5;
const weighting = { maximumExamples: 400, minimumTotal: 1 };
const cohort = { minimumCohort: 4, colluders: 1, cohortMax: 16, ringBits: 32 } as const;
const noised = (elements: number, noiseMultiplier = 1) =>
  mechanismParameters({ ...cohort, dimension: elements + 1, l2Clip: jointClip(clip), noiseMultiplier });
const norm = (v: ArrayLike<number>): number => Math.sqrt(Array.from(v).reduce((sum, x) => sum + x * x, 0));

/** A direction of length `length`. */
function update(elements: number, seed: string, length = clip): Float32Array {
  const words = new Int32Array(
    seededRng(seed)
      .bytes(4 * elements)
      .slice().buffer,
  );
  const size = norm(words);
  return Float32Array.from(words, (x) => (x / size) * length);
}

/** What these clients' ring vectors add up to, decoded. */
function opened(vectors: readonly Float32Array[], mechanism: MechanismParameters, rng: Rng): Float64Array {
  const sum = new Uint32Array(mechanism.dimension);
  for (const vector of vectors)
    privatise(vector, mechanism, rng, 1).forEach((x, i) => {
      sum[i] = (sum[i] as number) + x;
    });
  return decode(sum, mechanism);
}

const counts = [3, 40, 111, 399, 400, 1000];
const updates = counts.map((_, i) => update(100, `client ${i}`, clip * (0.2 + 0.16 * i)));
const counted = counts.map((n) => Math.min(n, weighting.maximumExamples));

test('without noise: the total is exact to the example, and the mean is the weighted mean', () => {
  const mechanism = transportParameters({ ...cohort, dimension: 101 }, jointClip(clip));
  const vectors = updates.map((u, i) => weightedUpdate(u, counts[i] as number, weighting, clip));
  const sum = opened(vectors, mechanism, seededRng('transport'));
  const sigma = (4 * Math.sqrt(6)) / mechanism.scale;
  const { factor, weight } = openWeight(sum.at(-1) as number, sigma, weighting, clip);
  const mean = sum.subarray(0, -1).map((x) => x * factor);
  expect(weight.total).toBe(counted.reduce((a, b) => a + b, 0));
  expect(weight.divisor).toBe(weight.total);
  const direct = weightedMean(updates, counted);
  const wrong = weightedMean(
    updates,
    counts.map(() => 1),
  );
  const off = (a: ArrayLike<number>, b: Float64Array): number => norm(b.map((x, i) => x - (a[i] as number)));
  expect(off(mean, direct)).toBeLessThan(1e-5 * norm(direct));
  expect(off(wrong, direct)).toBeGreaterThan(0.1 * norm(direct));
});

test('with noise: update and total both have the noise that their joint clip was charged for', () => {
  const [elements, rounds, noiseMultiplier] = [40, 3000, 1.5];
  const mechanism = noised(elements, noiseMultiplier);
  const vector = weightedUpdate(update(elements, 'one'), 100, weighting, clip);
  const rng = seededRng('variance');
  const sigma = (mechanism.localSigma * 2) / mechanism.scale;
  let [inUpdate, inTotal] = [0, 0];
  for (let r = 0; r < rounds; r++) {
    const sum = opened(Array(4).fill(vector), mechanism, rng);
    const { weight } = openWeight(sum.at(-1) as number, sigma, weighting, clip);
    for (let i = 0; i < elements; i++) inUpdate += ((sum[i] as number) - 4 * (vector[i] as number)) ** 2;
    inTotal += (weight.total - 400) ** 2;
    expect(weight.sigma).toBeCloseTo((sigma * 400) / (clip / 4), 9);
  }
  // Four clients add 4/3 of what three honest ones have to.
  const committed = noiseMultiplier * jointClip(clip);
  expect(inUpdate / rounds / elements / ((4 / 3) * committed ** 2)).toBeGreaterThan(0.98);
  expect(inUpdate / rounds / elements / ((4 / 3) * committed ** 2)).toBeLessThan(1.03);
  const perExample = clip / 4 / 400;
  expect((inTotal / rounds) * perExample ** 2 * (3 / 4)).toBeGreaterThan(0.92 * committed ** 2);
  expect((inTotal / rounds) * perExample ** 2 * (3 / 4)).toBeLessThan(1.08 * committed ** 2);
});

describe('one client moves the sum by the joint clip at most', () => {
  const mechanism = noised(20);
  const components = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 20, maxLength: 20 });

  test('whatever it trained and however many examples it says it has', () => {
    fc.assert(
      fc.property(components, fc.double({ min: 0, max: 1, noNaN: true }), fc.maxSafeNat(), (xs, part, n) => {
        const size = norm(xs) || 1;
        const vector = weightedUpdate(
          Float32Array.from(xs, (x) => (x / size) * clip * part),
          n,
          weighting,
          clip,
        );
        const weight = Math.min(n, 400) / 400;
        expect(norm(vector)).toBeLessThanOrEqual(weight * jointClip(clip) * (1 + 1e-6));
        expect(vector[20]).toBeCloseTo((weight * clip) / 4, 7);
        checkUpdate(vector, mechanism, 1);
      }),
      { numRuns: 2000 },
    );
  });

  test('the bound is met: it is no larger than it has to be', () => {
    expect(norm(weightedUpdate(update(20, 'full'), 400, weighting, clip))).toBeCloseTo(jointClip(clip), 6);
  });

  test('a weight above the maximum is the maximum; one that was put in by hand does not leave the client', () => {
    const u = update(20, 'liar');
    expect(weightedUpdate(u, 1e9, weighting, clip)).toEqual(weightedUpdate(u, 400, weighting, clip));
    const forged = weightedUpdate(u, 400, weighting, clip);
    forged[20] = clip;
    expect(() => checkUpdate(forged, mechanism, 1)).toThrow(expect.objectContaining({ code: 'PRIVACY_NORM_EXCEEDED' }));
  });

  test.each([-1, 1.5, Number.NaN])('%d examples are no number of examples', (n) => {
    expect(() => weightedUpdate(update(3, 'x'), n, weighting, clip)).toThrow(
      expect.objectContaining({ code: 'PRIVACY_PARAMETER_INVALID' }),
    );
  });
});

test('a total below the minimum, even a negative one, divides by the minimum', () => {
  const floor = { maximumExamples: 400, minimumTotal: 200 };
  const { factor, weight } = openWeight(-3, 1, floor, clip);
  expect(weight).toEqual({ total: (-3 * 400) / (clip / 4), sigma: 400 / (clip / 4), divisor: 200 });
  expect(factor).toBe(2);
});
