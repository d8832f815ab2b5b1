import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Bert } from '../../../shared/bert/model.ts';
import { seededRng, uniformInt } from '../../../shared/core/rng.ts';
import { onnxCpuEngine } from '../../../shared/node/engines.ts';
import type { EncodedExample } from '../../../shared/text/encode.ts';
import { clippedGradientSum } from '../../../shared/training/dp-fedsgd.ts';
import { createFeatureCache } from '../../../shared/training/features.ts';
import { poissonSampleUnits, type Units, unitsOf } from '../../../shared/training/units.ts';
import { distance, norm, tinyBert } from '../../support/tiny-bert.ts';

const engine = onnxCpuEngine();
const shape = { batch: 4, tokens: 12 };
/** Seven persons with 1, 2, 3, 4, 5, 9 and 1 records, mixed; five and nine do not fit a micro-batch of four. */
const counts = [1, 2, 3, 4, 5, 9, 1];
const rng = seededRng('persons');
const persons = counts.flatMap((count, person) => new Array<string>(count).fill(`p${person}`));
for (let i = persons.length - 1; i > 0; i--) {
  const j = uniformInt(rng, i + 1);
  [persons[i], persons[j]] = [persons[j] as string, persons[i] as string];
}
const examples: EncodedExample[] = persons.map(() => ({
  ids: Int32Array.from({ length: 3 + uniformInt(rng, 9) }, () => 1 + uniformInt(rng, 15)),
  label: uniformInt(rng, 3),
}));
const every = examples.map((_, i) => i);
const units = unitsOf(persons.map((person) => ({ person })));
const plain = Number.POSITIVE_INFINITY;

/** The mean gradient of one person's records, each computed alone. */
async function personGradient(bert: Bert, unit: number): Promise<Float64Array> {
  const own = every.filter((i) => units.of[i] === unit);
  const total = new Float64Array(bert.trainableLayout.length);
  for (const i of own) {
    const { sum } = await clippedGradientSum({ bert, examples, indices: [i], l2Clip: plain, shape });
    for (let k = 0; k < total.length; k++) total[k] = (total[k] as number) + (sum[k] as number) / own.length;
  }
  return total;
}

describe.each([
  ['all', 'all'],
  ['head', 'head'],
  ['LoRA', { lora: { rank: 2, alpha: 4, targets: ['query', 'output.dense'] } }],
  ['layers', { layers: [1] }],
] as const)('persons as units, %s', (name, trainable) => {
  let bert: Bert;
  const gradients: Float64Array[] = [];
  beforeAll(async () => {
    bert = await tinyBert(engine, { trainable, shape });
    for (let unit = 0; unit < units.count; unit++) gradients.push(await personGradient(bert, unit));
  });
  afterAll(() => bert.dispose());

  const expected = (clip: number): Float64Array => {
    const total = new Float64Array(bert.trainableLayout.length);
    for (const g of gradients)
      for (let k = 0; k < total.length; k++)
        total[k] = (total[k] as number) + (g[k] as number) * Math.min(1, clip / norm(g));
    return total;
  };

  test('the sum is of persons clipped one by one', async () => {
    const sorted = gradients.map(norm).sort((a, b) => a - b);
    const clip = (sorted[3] as number) * 1.0001;
    const got = await clippedGradientSum({ bert, examples, indices: every, l2Clip: clip, shape, units });
    expect(distance(got.sum, expected(clip))).toBeLessThan(1e-5);
    expect(got).toMatchObject({ examples: every.length, units: 7, dropped: [] });
    expect(got.clippedFraction).toBeCloseTo(3 / 7, 10);
    if (name === 'head') {
      const features = createFeatureCache(bert, examples, shape);
      const fast = await clippedGradientSum({ bert, examples, indices: every, l2Clip: clip, shape, units, features });
      expect(distance(fast.sum, expected(clip))).toBeLessThan(1e-5);
      expect(fast.clippedFraction).toBeCloseTo(3 / 7, 10);
    }
  });

  test('one person more or less moves the sum by at most the clip', async () => {
    const clip = 0.05;
    const whole = await clippedGradientSum({ bert, examples, indices: every, l2Clip: clip, shape, units });
    for (const left of [0, 5]) {
      const indices = every.filter((i) => units.of[i] !== left);
      const without = await clippedGradientSum({ bert, examples, indices, l2Clip: clip, shape, units });
      expect(norm(whole.sum.map((x, i) => x - (without.sum[i] as number)))).toBeLessThanOrEqual(clip * (1 + 1e-4));
    }
  });

  test('the mean gradient of a person is the slope of the mean loss over their records', async () => {
    const indices = every.filter((i) => units.of[i] === 1 || units.of[i] === 5);
    const { sum } = await clippedGradientSum({ bert, examples, indices, l2Clip: 1e6, shape, units });
    const start = bert.trainable();
    const step = 2e-3;
    const losses: number[] = [];
    for (const sign of [1, -1]) {
      bert.setTrainable(start.map((x, i) => x + (sign * step * (sum[i] as number)) / norm(sum)));
      let loss = 0;
      for (const unit of [1, 5]) {
        const own = every.filter((i) => units.of[i] === unit);
        loss += (await clippedGradientSum({ bert, examples, indices: own, l2Clip: plain, shape })).meanLoss;
      }
      losses.push(loss);
    }
    bert.setTrainable(start);
    expect(((losses[0] as number) - (losses[1] as number)) / (2 * step) / norm(sum)).toBeCloseTo(1, 2);
  });
});

test('a person with one broken record is left out whole', async () => {
  const bert = await tinyBert(engine, {
    shape,
    change: (weights) => weights.get('bert.embeddings.word_embeddings.weight')?.data.fill(Number.NaN, 40 * 16, 41 * 16),
  });
  for (const unit of [2, 5]) {
    const victim = every.find((i) => units.of[i] === unit) as number;
    const broken = examples.map((e, i) => (i === victim ? { ...e, ids: e.ids.with(1, 40) } : e));
    const got = await clippedGradientSum({ bert, examples: broken, indices: every, l2Clip: 0.1, shape, units });
    const own = every.filter((i) => units.of[i] === unit);
    expect(got).toMatchObject({ units: 6, dropped: own });
    const others = every.filter((i) => units.of[i] !== unit);
    const without = await clippedGradientSum({ bert, examples, indices: others, l2Clip: 0.1, shape, units });
    expect(distance(got.sum, without.sum)).toBeLessThan(1e-5);
  }
  await bert.dispose();
});

test('a person of many records whose gradient alone is not finite is left out whole', async () => {
  const bert = await tinyBert(engine, { shape });
  const size = (i: number): number => every.filter((j) => units.of[j] === units.of[i]).length;
  const large = every.filter((i) => size(i) > shape.batch);
  const persons = new Set(large.map((i) => units.of[i])).size;
  expect(persons).toBeGreaterThan(0);
  const overflowing = {
    trainableLayout: bert.trainableLayout,
    headGradients: bert.headGradients.bind(bert),
    gradients: async (...args: Parameters<typeof bert.gradients>) => {
      const got = await bert.gradients(...args);
      // Only a person larger than a micro-batch is added up without a clip.
      if (args[1].l2Clip === Number.POSITIVE_INFINITY) got.clippedSum[0] = Number.NaN;
      return got;
    },
  };
  const got = await clippedGradientSum({ bert: overflowing, examples, indices: every, l2Clip: 0.1, shape, units });
  expect(got).toMatchObject({ units: units.count - persons, dropped: large });
  const others = every.filter((i) => !large.includes(i));
  const without = await clippedGradientSum({ bert, examples, indices: others, l2Clip: 0.1, shape, units });
  expect(distance(got.sum, without.sum)).toBeLessThan(1e-5);
  await bert.dispose();
});

test('sampling takes persons with all their records, each with the same chance', () => {
  const count = new Int32Array(units.count);
  const sampler = seededRng('sample');
  for (let draw = 0; draw < 4000; draw++) {
    const chosen = poissonSampleUnits(units, 0.3, sampler);
    const seen = new Set(chosen.map((i) => units.of[i] as number));
    expect(chosen).toEqual(every.filter((i) => seen.has(units.of[i] as number)));
    for (const unit of seen) count[unit] = (count[unit] as number) + 1;
  }
  // 4000 draws with p = 0.3: five standard deviations are 145.
  for (const n of count) expect(Math.abs(n - 1200)).toBeLessThan(145);
});

test('records without a person are units of their own', () => {
  const made: Units = unitsOf([{ person: 'a' }, {}, { person: 'b' }, { person: 'a' }, {}]);
  expect([...made.of]).toEqual([0, 1, 2, 0, 3]);
  expect(made.count).toBe(4);
});
