import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readModelDirectory } from '../../../shared/bert/directory.ts';
import { type Bert, createBert, type Trainable } from '../../../shared/bert/model.ts';
import { seededRng, uniformInt } from '../../../shared/core/rng.ts';
import { onnxCpuEngine } from '../../../shared/node/engines.ts';
import { mechanismParameters } from '../../../shared/privacy/mechanism.ts';
import type { EncodedExample } from '../../../shared/text/encode.ts';
import { centralRounds } from '../../../shared/training/central.ts';
import { clippedGradientSum } from '../../../shared/training/dp-fedsgd.ts';
import { trainWatched } from '../../../shared/training/early-stopping.ts';
import { evaluate } from '../../../shared/training/evaluate.ts';
import { createFeatureCache } from '../../../shared/training/features.ts';
import type { GradientRequest } from '../../../shared/training/gradient-parts.ts';
import { decayMask, trainLocally } from '../../../shared/training/local.ts';
import { clippedLocalDelta, localDpSgdDelta } from '../../../shared/training/local-dp.ts';
import { noisySum } from '../../../shared/training/noise.ts';

const root = new URL('../../vectors/bert-tiny/', import.meta.url);
const directory = readModelDirectory(
  new Map(readdirSync(root).map((name) => [name, readFileSync(new URL(name, root)) as Uint8Array])),
);
const shape = { batch: 4, tokens: 24 };
const bertFor = (trainable: Trainable): Promise<Bert> =>
  createBert({
    engine: onnxCpuEngine(1),
    config: directory.config,
    weights: directory.weights,
    head: 'pooler',
    labels: 3,
    task: 'single_label',
    trainable,
    shape,
    rng: seededRng('bert'),
  });

/** Texts whose label is told by one of three words in them. */
function toy(count: number, seed: string): EncodedExample[] {
  const rng = seededRng(seed);
  return Array.from({ length: count }, () => {
    const label = uniformInt(rng, 3);
    const words = Array.from({ length: 2 + uniformInt(rng, 16) }, () => 100 + uniformInt(rng, 800));
    return { ids: Int32Array.of(2, ...words, 50 + label, 3), label };
  });
}

const norm = (v: ArrayLike<number>): number => Math.sqrt(Array.from(v).reduce((s, x) => s + x * x, 0));
const distance = (a: Float32Array, b: Float32Array): number => norm(a.map((x, i) => x - (b[i] as number)));
const coded = (code: string) => expect.objectContaining({ code });

describe('a client’s clipped gradient sum', () => {
  let all: Bert;
  let head: Bert;
  const examples = toy(23, 'sum');
  const every = examples.map((_, i) => i);
  beforeAll(async () => {
    all = await bertFor('all');
    head = await bertFor('head');
  });
  afterAll(async () => {
    await all.dispose();
    await head.dispose();
  });

  test('does not depend on how the sample is cut into micro-batches', async () => {
    const whole = await clippedGradientSum({ bert: all, examples, indices: every, l2Clip: 0.5, shape });
    const byOne = new Float32Array(whole.sum.length);
    let loss = 0;
    for (const i of every) {
      const one = await clippedGradientSum({ bert: all, examples, indices: [i], l2Clip: 0.5, shape });
      expect(norm(one.sum)).toBeLessThanOrEqual(0.5 * (1 + 1e-5));
      for (let k = 0; k < byOne.length; k++) byOne[k] = (byOne[k] as number) + (one.sum[k] as number);
      loss += one.meanLoss;
    }
    expect(distance(byOne, whole.sum) / norm(whole.sum)).toBeLessThan(1e-5);
    expect(whole).toMatchObject({ examples: 23, dropped: [] });
    expect(whole.meanLoss).toBeCloseTo(loss / 23, 4);
    expect(whole.clippedFraction).toBeGreaterThan(0.5);
  });

  test('one record more or less moves it by at most the clip', async () => {
    const request = { bert: all, examples, l2Clip: 0.5, shape };
    const whole = await clippedGradientSum({ ...request, indices: every });
    for (const left of [0, 7, 22]) {
      const without = await clippedGradientSum({ ...request, indices: every.filter((i) => i !== left) });
      expect(distance(whole.sum, without.sum)).toBeLessThanOrEqual(0.5 * (1 + 1e-4));
    }
  });

  test('an empty sample is the zero vector', async () => {
    const empty = await clippedGradientSum({ bert: all, examples, indices: [], l2Clip: 0.5, shape });
    expect(empty).toMatchObject({ examples: 0, dropped: [] });
    expect(empty.sum).toEqual(new Float32Array(all.trainableLayout.length));
    const unclipped = { bert: all, examples, indices: [], l2Clip: Number.POSITIVE_INFINITY, shape };
    expect(await clippedGradientSum(unclipped)).toMatchObject({ units: 0, sum: empty.sum });
  });

  test('from cached features it equals the whole backward pass, and the cache is bounded', async () => {
    const request = { bert: head, examples, indices: every, l2Clip: 0.3, shape };
    const slow = await clippedGradientSum(request);
    const width = head.featureLength * 4;
    for (const room of [0, 5 * width, 1 << 20]) {
      const features = createFeatureCache(head, examples, shape, room);
      for (let again = 0; again < 2; again++) {
        const fast = await clippedGradientSum({ ...request, features });
        expect(distance(fast.sum, slow.sum) / norm(slow.sum)).toBeLessThan(1e-5);
        expect(fast.meanLoss).toBeCloseTo(slow.meanLoss, 5);
        expect(features.cachedBytes).toBe(Math.min(room, 23 * width));
      }
    }
  });

  test('an example without a finite gradient is left out, named and not counted', async () => {
    const features = createFeatureCache(head, examples, shape);
    const poisoned = {
      cachedBytes: 0,
      rows: async (indices: readonly number[]) => {
        const rows = await features.rows(indices);
        const at = indices.indexOf(4);
        if (at !== -1) rows[at * head.featureLength] = Number.NaN;
        return rows;
      },
    };
    const request = { bert: head, examples, l2Clip: 0.3, shape };
    const part = await clippedGradientSum({ ...request, indices: every, features: poisoned });
    expect(part).toMatchObject({ examples: 22, dropped: [4] });
    const without = await clippedGradientSum({ ...request, indices: every.filter((i) => i !== 4), features });
    expect(distance(part.sum, without.sum)).toBeLessThan(1e-6);
  });

  test('where no gradient is finite the sum is zero, all is reported, and the noise is what it always is', async () => {
    const broken = await bertFor('all');
    broken.setTrainable(broken.trainable().fill(Number.NaN));
    const part = await clippedGradientSum({ bert: broken, examples, indices: every, l2Clip: 0.3, shape });
    expect(part).toMatchObject({ examples: 0, units: 0, dropped: every });
    expect(part.meanLoss).toBeNaN();
    expect(norm(part.sum)).toBe(0);
    const noise = {
      l2Clip: 0.3,
      noiseMultiplier: 2,
      minimumCohort: 2,
      cohortMax: 2,
      colluders: 0,
      ringBits: 32,
    } as const;
    const mechanism = mechanismParameters({ ...noise, dimension: part.sum.length });
    const noisy = noisySum([part, part], mechanism, seededRng('noise of two'));
    const deviation = norm(noisy) / Math.sqrt(noisy.length);
    expect(Math.abs(deviation / (2 * 0.3) - 1)).toBeLessThan(0.05);
    await expect(
      clippedGradientSum({ bert: broken, examples, indices: every, l2Clip: Number.POSITIVE_INFINITY, shape }),
    ).rejects.toThrow(coded('BERT_NOT_FINITE'));
    await broken.dispose();
  });

  test('an engine that does not clip is caught', async () => {
    const loose: GradientRequest['bert'] = {
      trainableLayout: head.trainableLayout,
      gradients: (batch) => head.gradients(batch, { l2Clip: 100 }),
      headGradients: (f, l, w) => head.headGradients(f, l, w, { l2Clip: 100 }),
    };
    const features = createFeatureCache(head, examples, shape);
    await expect(
      clippedGradientSum({ bert: loose, examples, indices: every, l2Clip: 1e-3, shape, features }),
    ).rejects.toThrow(coded('TRAINING_NOT_CLIPPED'));
  });

  test('a signal stops it', async () => {
    const signal = AbortSignal.abort();
    await expect(clippedGradientSum({ bert: all, examples, indices: every, l2Clip: 1, shape, signal })).rejects.toThrow(
      coded('TRAINING_STOPPED'),
    );
  });
});

describe('noise on the sum', () => {
  const mechanism = mechanismParameters({
    dimension: 4000,
    l2Clip: 0.5,
    noiseMultiplier: 3,
    minimumCohort: 4,
    colluders: 1,
    cohortMax: 5,
    ringBits: 32,
  });
  test('five clients’ shares add up to 5/3 of the variance that three honest ones owe', () => {
    const clients = Array.from({ length: 5 }, (_, k) => ({
      sum: new Float32Array(4000).fill(k === 0 ? 0.001 : 0),
      examples: k === 0 ? 1 : 0,
    }));
    const sum = noisySum(clients, mechanism, seededRng('noise'));
    const centred = sum.map((x) => x - 0.001);
    const sigma = norm(centred) / Math.sqrt(4000);
    expect(sigma / (3 * 0.5 * Math.sqrt(5 / 3))).toBeGreaterThan(0.95);
    expect(sigma / (3 * 0.5 * Math.sqrt(5 / 3))).toBeLessThan(1.06);
  });
  test('too few clients are refused', () => {
    const one = { sum: new Float32Array(4000), examples: 0 };
    expect(() => noisySum([one, one, one], mechanism, seededRng('few'))).toThrow(coded('TRAINING_OPTION'));
  });
});

describe('training', () => {
  const train = toy(300, 'train');
  const held = toy(100, 'held');

  test('dp-fedsgd over five silos learns, with and without noise, and repeats from its seed', async () => {
    const bert = await bertFor('all');
    const start = bert.trainable();
    const silos = [10, 45, 30, 40, 25].map((n, i, sizes) => {
      const from = sizes.slice(0, i).reduce((a, b) => a + b, 0);
      return { examples: train.slice(from, from + n) };
    });
    const stage = {
      bert,
      silos,
      shape: { batch: 16, tokens: 24 },
      rounds: 8,
      samplingProbability: 0.5,
      l2Clip: 1,
      average: 3,
    } as const;
    const server = { optimizer: 'adam', learningRate: 0.01 } as const;
    const mechanism = mechanismParameters({
      dimension: start.length,
      l2Clip: 1,
      noiseMultiplier: 0.05,
      minimumCohort: 4,
      colluders: 0,
      cohortMax: 5,
      ringBits: 32,
    });
    const run = async (extra: object) => {
      bert.setTrainable(start);
      const rounds = [];
      for await (const round of centralRounds({ ...stage, server, rng: seededRng('run'), ...extra }))
        rounds.push(round);
      return rounds;
    };
    const plain = await run({});
    const noisy = await run({ mechanism });
    for (const rounds of [plain, noisy]) {
      expect(rounds.map((r) => r.round)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      expect(rounds[7]?.meanLoss).toBeLessThan((rounds[0]?.meanLoss as number) - 0.1);
      for (const r of rounds) expect(r.examples).toBeGreaterThan(50);
    }
    expect((await run({ mechanism }))[7]?.published).toEqual(noisy[7]?.published);
    await bert.dispose();
  });

  test('plain local training learns; early stopping keeps the best weights; FedProx holds back', async () => {
    const bert = await bertFor('all');
    const start = bert.trainable();
    const options = {
      bert,
      examples: train,
      shape,
      epochs: 3,
      batchSize: 32,
      optimizer: { kind: 'adamw', weightDecay: 0.01 },
      schedule: { kind: 'linear', learningRate: 3e-3, warmupSteps: 3, totalSteps: 30 },
      gradientNorm: 1,
    } as const;
    const before = await evaluate(bert, held, 3, shape);
    const look = () => evaluate(bert, held, 3, shape);
    const watched = trainWatched({ ...options, rng: seededRng('local') }, { evaluate: look, every: 5, patience: 2 });
    let next = await watched.next();
    while (next.done !== true) next = await watched.next();
    const after = await look();
    expect(after.accuracy).toBeGreaterThan(before.accuracy + 0.2);
    expect(after.loss).toBeCloseTo(next.value.loss, 5);
    const moved = async (proximalMu: number) => {
      bert.setTrainable(start);
      let last = { step: 0, steps: 0, epoch: 0 };
      const sgd = {
        ...options,
        epochs: 1,
        optimizer: { kind: 'sgd' },
        schedule: { kind: 'constant', learningRate: 0.1 },
      } as const;
      for await (const step of trainLocally({ ...sgd, rng: seededRng('prox'), proximalMu })) last = step;
      expect(last).toMatchObject({ step: 10, steps: 10, epoch: 1 });
      return distance(bert.trainable(), start);
    };
    expect(await moved(8)).toBeLessThan(0.8 * (await moved(0)));
    const mask = decayMask(bert.trainableLayout);
    for (const { name, offset } of bert.trainableLayout.entries)
      expect(mask[offset]).toBe(/bias|LayerNorm/.test(name) ? 0 : 1);
    await bert.dispose();
  });

  test('a plain step without a finite gradient is dropped whole, reported, and changes nothing', async () => {
    const bert = await bertFor('all');
    let steps = 0;
    // Finite losses, and a gradient that is not: what an overflow in the backward pass gives.
    const overflowing = new Proxy(bert, {
      get: (target, key) => {
        const value = Reflect.get(target, key, target) as unknown;
        if (typeof value !== 'function') return value;
        if (key !== 'gradients') return value.bind(target);
        return async (...args: Parameters<Bert['gradients']>) => {
          const got = await target.gradients(...args);
          if (++steps === 2) got.clippedSum[7] = Number.POSITIVE_INFINITY;
          return got;
        };
      },
    });
    const before: Float32Array[] = [];
    const seen: (readonly [number, number, boolean])[] = [];
    for await (const step of trainLocally({
      bert: overflowing,
      examples: toy(12, 'nan').map((e) => ({ ...e, ids: e.ids.slice(0, 3) })),
      shape,
      epochs: 1,
      batchSize: 4,
      optimizer: { kind: 'sgd' },
      schedule: { kind: 'constant', learningRate: 0.1 },
      rng: seededRng('nan'),
    })) {
      seen.push([step.examples, step.dropped.length, Number.isFinite(step.meanLoss)]);
      before.push(bert.trainable());
    }
    expect(seen).toEqual([
      [4, 0, true],
      [0, 4, false],
      [4, 0, true],
    ]);
    expect(before[1]).toEqual(before[0]);
    expect(distance(before[2] as Float32Array, before[1] as Float32Array)).toBeGreaterThan(0);
    expect(before[2]?.every(Number.isFinite)).toBe(true);
    await bert.dispose();
  });

  test('private local training gives a delta and leaves the model as it was', async () => {
    const bert = await bertFor('head');
    const start = bert.trainable();
    const features = createFeatureCache(bert, train, shape);
    const common = { bert, examples: train, shape, features } as const;
    const mechanism = mechanismParameters({
      dimension: start.length,
      l2Clip: 1,
      noiseMultiplier: 0.5,
      minimumCohort: 2,
      colluders: 1,
      cohortMax: 2,
      ringBits: 32,
    });
    const { delta: noisy } = await localDpSgdDelta({
      ...common,
      steps: 10,
      samplingProbability: 0.3,
      mechanism,
      optimizer: { kind: 'sgd' },
      learningRate: 1,
      rng: seededRng('ldp'),
    });
    expect(norm(noisy)).toBeGreaterThan(0);
    expect(bert.trainable()).toEqual(start);
    const delta = await clippedLocalDelta(
      {
        ...common,
        epochs: 2,
        batchSize: 50,
        optimizer: { kind: 'sgd' },
        schedule: { kind: 'constant', learningRate: 1 },
        rng: seededRng('avg'),
      },
      0.1,
    );
    expect(delta.norm).toBeGreaterThan(0.1);
    expect(norm(delta.sum)).toBeCloseTo(0.1, 5);
    expect(bert.trainable()).toEqual(start);
    await bert.dispose();
  });
});
