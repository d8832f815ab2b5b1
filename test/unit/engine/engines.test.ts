import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { selfCheck } from '../../../shared/bert/self-check.ts';
import { TacitError } from '../../../shared/core/errors.ts';
import { seededRng, uniformInt } from '../../../shared/core/rng.ts';
import type { Engine, Fetches } from '../../../shared/engine/engine.ts';
import { createFallbackEngine } from '../../../shared/engine/fallback.ts';
import { Ops } from '../../../shared/engine/ops.ts';
import { selectEngine } from '../../../shared/engine/select.ts';
import { onnxCpuEngine, tfjsCpuEngine, tfjsWasmEngine } from '../../../shared/node/engines.ts';
import { clippedGradientSum } from '../../../shared/training/dp-fedsgd.ts';
import { distance, tinyBatch, tinyBert } from '../../support/tiny-bert.ts';

const batch = tinyBatch(seededRng('engines'));

/** An engine whose every run is followed by `after`. */
function meddled(engine: Engine, after: (fetches: Fetches) => void): Engine {
  return {
    ...engine,
    async compile(graph, parameters) {
      const step = await engine.compile(graph, parameters);
      return {
        dispose: () => step.dispose(),
        async run(feeds, fetches) {
          await step.run(feeds, fetches);
          after(fetches);
        },
      };
    },
  };
}

describe('self-check', () => {
  it.each([
    ['onnx cpu', async () => onnxCpuEngine()],
    ['tfjs wasm', tfjsWasmEngine],
    ['tfjs cpu', tfjsCpuEngine],
  ])('%s is right', async (_, open) => {
    const { wrong, milliseconds } = await selfCheck(await open());
    expect(wrong).toBeUndefined();
    expect(milliseconds).toBeGreaterThan(0);
  });

  it('refuses an engine with one wrong gradient, and one that gives NaN', async () => {
    const doubled = meddled(onnxCpuEngine(), (fetches) => {
      const bias = fetches.get('bert.encoder.layer.1.intermediate.dense.bias');
      bias?.forEach((x, i) => {
        bias[i] = 2 * x;
      });
    });
    expect((await selfCheck(doubled)).wrong).toContain('layer.1.intermediate.dense.bias');
    const broken = meddled(onnxCpuEngine(), (fetches) => fetches.get('norms')?.fill(Number.NaN));
    await expect(selfCheck(broken)).rejects.toMatchObject({ code: 'BERT_NOT_FINITE' });
  });
});

describe('selection', () => {
  const right = async (engine: Engine) => ({ wrong: undefined, milliseconds: engine.name === 'slow' ? 9 : 1 });
  const named = (name: string): Engine => ({ ...onnxCpuEngine(), name });
  const missing = { name: 'gpu', open: () => Promise.reject(new Error('no library')) };
  const bad = { name: 'bad', open: async () => named('bad') };
  const check = async (engine: Engine) =>
    engine.name === 'bad' ? { wrong: 'wrong sum', milliseconds: 0 } : right(engine);

  it('says of every candidate why', async () => {
    const slow = { name: 'slow', open: async () => named('slow') };
    const fast = { name: 'fast', open: async () => named('fast') };
    const { engine, report } = await selectEngine([missing, bad, slow, fast], check, { exhaustive: true });
    expect(engine.name).toBe('fast');
    expect(report.map(({ state }) => state)).toEqual(['missing', 'refused', 'slower', 'used']);
    expect(report.slice(0, 2).map(({ reason }) => reason)).toEqual(['no library', 'wrong sum']);
    const first = await selectEngine([missing, bad, slow, fast], check);
    expect(first.engine.name).toBe('slow');
    expect(first.report.at(-1)?.state).toBe('untried');
  });

  it('refuses to go on without a right engine', async () => {
    await expect(selectEngine([missing, bad], check)).rejects.toMatchObject({ code: 'ENGINE_NONE' });
  });
});

it('does a failed step again on the next engine, once', async () => {
  let runs = 0;
  const dying = meddled(onnxCpuEngine(), () => {
    runs += 1;
    if (runs === 2) throw new TacitError('ENGINE_RUN', 'context lost');
  });
  const switches: string[] = [];
  const next = { name: 'wasm', open: tfjsWasmEngine };
  const engine = createFallbackEngine(dying, [next], (from, to) => switches.push(`${from} → ${to}`));
  const expected = await (await tinyBert(onnxCpuEngine())).gradients(batch, { l2Clip: 1 });
  const bert = await tinyBert(engine);
  for (let i = 0; i < 3; i++) {
    const { clippedSum } = await bert.gradients(batch, { l2Clip: 1 });
    expect(distance(clippedSum, expected.clippedSum)).toBeLessThan(1e-5);
  }
  expect(switches).toEqual(['onnx cpu → tfjs wasm']);
  await bert.dispose();
});

it('memory exhausted in the middle of a sum: the step is done again elsewhere, and no example counts twice', async () => {
  const onnx = onnxCpuEngine();
  let runs = 0;
  const starved: Engine = {
    ...onnx,
    async compile(graph, parameters) {
      const step = await onnx.compile(graph, parameters);
      const run: typeof step.run = async (feeds, fetches) => {
        await step.run(feeds, fetches);
        runs += 1;
        // What it wrote by then must not count: the allocator really has no such block.
        if (runs === 3) await takeMemory(onnx);
      };
      return { ...step, run };
    },
  };
  const reasons: string[] = [];
  const next = { name: 'wasm', open: tfjsWasmEngine };
  const sum = async (engine: Engine) => {
    const bert = await tinyBert(engine);
    const rng = seededRng('memory');
    const examples = Array.from({ length: 11 }, (_, i) => ({
      ids: Int32Array.from({ length: 8 }, () => 5 + uniformInt(rng, 40)),
      label: i % 2,
    }));
    const shape = { batch: 4, tokens: 12 };
    const all = [...examples.keys()];
    return clippedGradientSum({ bert, examples, indices: all, l2Clip: 0.1, shape });
  };
  const got = await sum(createFallbackEngine(starved, [next], (from, to, reason) => reasons.push(from, to, reason)));
  const expected = await sum(onnx);
  expect(reasons).toEqual(['onnx cpu', 'tfjs wasm', expect.stringContaining('onnxruntime stopped')]);
  expect(runs).toBe(3);
  expect(got.examples).toBe(11);
  expect(distance(got.sum, expected.sum)).toBeLessThan(1e-5);
});

/** A product of 2^19 by 2^19 numbers, a tebibyte. @throws ENGINE_RUN */
async function takeMemory(engine: Engine): Promise<void> {
  const n = 2 ** 19;
  const ops = new Ops();
  const product = ops.matmul(ops.feed('column', [n, 1]), ops.feed('row', [1, n]));
  const graph = ops.finish(new Map([['total', ops.reduceSum(product, [0, 1])]]));
  const step = await engine.compile(graph, []);
  const ones = new Float32Array(n).fill(1);
  const feeds = new Map([
    ['column', ones],
    ['row', ones],
  ]);
  await step.run(feeds, new Map([['total', new Float32Array(1)]]));
}

describe('tfjs memory', () => {
  it.each([
    ['wasm', tfjsWasmEngine],
    ['cpu', tfjsCpuEngine],
  ])('%s holds the weights alone between steps, and nothing after dispose', async (_, open) => {
    const engine = await open();
    const before = tf.memory().numTensors;
    const bert = await tinyBert(engine);
    await bert.gradients(batch, { l2Clip: 1 });
    const between = tf.memory().numTensors;
    for (let i = 0; i < 5; i++) {
      bert.setTrainable(bert.trainable());
      await bert.gradients(batch, { l2Clip: 1 });
      await bert.logits(batch);
    }
    expect(tf.memory().numTensors).toBeLessThanOrEqual(between + 2);
    await bert.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});
