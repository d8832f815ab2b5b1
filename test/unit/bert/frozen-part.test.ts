import { describe, expect, it } from 'vitest';
import { FrozenPart } from '../../../shared/bert/frozen-part.ts';
import type { LabelledBatch } from '../../../shared/bert/model.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import type { Engine } from '../../../shared/engine/engine.ts';
import { onnxCpuEngine } from '../../../shared/node/engines.ts';
import { type TinyOptions, tinyBatch, tinyBert } from '../../support/tiny-bert.ts';

const shape = { batch: 4, tokens: 8 };
const first = tinyBatch(seededRng('first'));
const second = tinyBatch(seededRng('second'));
const clip = { l2Clip: 0.5 };
const lora = { rank: 2, alpha: 6, targets: ['query', 'output.dense'], layers: [1] };

/** Counts runs of programs that compute the frozen blocks. */
function counting(): { engine: Engine; runs: () => number } {
  const engine = onnxCpuEngine();
  let runs = 0;
  return {
    runs: () => runs,
    engine: {
      ...engine,
      async compile(graph, parameters) {
        const step = await engine.compile(graph, parameters);
        const frozen = graph.outputs.some((o) => o.name === 'frozen');
        const run: typeof step.run = (feeds, fetches) => {
          if (frozen) runs++;
          return step.run(feeds, fetches);
        };
        return { ...step, run };
      },
    },
  };
}

function swapped(batch: LabelledBatch): LabelledBatch {
  const turn = (x: Int32Array): Int32Array =>
    Int32Array.from(x, (_, n) => x[(3 - Math.floor(n / shape.tokens)) * shape.tokens + (n % shape.tokens)] as number);
  return {
    ...batch,
    inputIds: turn(batch.inputIds),
    attentionMask: turn(batch.attentionMask),
    tokenTypeIds: turn(batch.tokenTypeIds),
    labels: (batch.labels as Int32Array).toReversed(),
  };
}

describe.each<[string, TinyOptions]>([
  ['mean head that reads frozen layers, upper layer', { trainable: { layers: [1] } }],
  ['mean head, LoRA on the upper layer', { trainable: { lora } }],
  ['pooler, upper layer', { head: 'pooler', trainable: { layers: [1] } }],
])('%s', (_, options) => {
  it('the frozen blocks run once for a record, and the gradients are those of the whole pass', async () => {
    const whole = await tinyBert(onnxCpuEngine(), { ...options, frozenBytes: 0 });
    const { engine, runs } = counting();
    const bert = await tinyBert(engine, options);
    const retyped = { ...first, tokenTypeIds: first.tokenTypeIds.map((type, n) => (n % 8 === 1 ? 1 - type : type)) };
    const unmasked = { ...first, attentionMask: first.attentionMask.map(() => 1) };
    for (const batch of [first, first, swapped(first), second, retyped, unmasked, first]) {
      const [expected, got] = [await whole.gradients(batch, clip), await bert.gradients(batch, clip)];
      expect(got.losses).toEqual(expected.losses);
      expect(got.norms).toEqual(expected.norms);
      expect(got.clippedSum).toEqual(expected.clippedSum);
      expect(await bert.logits(batch)).toEqual(await whole.logits(batch));
    }
    expect(runs()).toBe(4);
    expect(whole.frozenBytes).toBe(0);
    await Promise.all([bert.dispose(), whole.dispose()]);
  });

  it('stays within its bound, whatever fits', async () => {
    const whole = await tinyBert(onnxCpuEngine(), { ...options, frozenBytes: 0 });
    const bound = 3000;
    const { engine, runs } = counting();
    const bert = await tinyBert(engine, { ...options, frozenBytes: bound });
    for (const batch of [first, second, first, second]) {
      expect((await bert.gradients(batch, clip)).clippedSum).toEqual((await whole.gradients(batch, clip)).clippedSum);
      expect(bert.frozenBytes).toBeGreaterThan(0);
      expect(bert.frozenBytes).toBeLessThanOrEqual(bound);
    }
    expect(runs()).toBe(4);
    await Promise.all([bert.dispose(), whole.dispose()]);
  });

  it('with dropout nothing is kept, because every step drops other values', async () => {
    const config = { hidden_dropout_prob: 0.2, attention_probs_dropout_prob: 0.2 };
    const [whole, bert] = [
      await tinyBert(onnxCpuEngine(), { ...options, config: config, frozenBytes: 0 }),
      await tinyBert(onnxCpuEngine(), { ...options, config: config }),
    ];
    const drop = { ...clip, dropoutSeed: 7 };
    expect((await bert.gradients(first, drop)).clippedSum).toEqual((await whole.gradients(first, drop)).clippedSum);
    expect(bert.frozenBytes).toBe(0);
    await Promise.all([bert.dispose(), whole.dispose()]);
  });
});

it('keeps nothing where embeddings or the first block train, or the head alone', async () => {
  for (const trainable of ['all', { layers: [0] }, 'head'] as const) {
    const bert = await tinyBert(onnxCpuEngine(), { trainable });
    await bert.gradients(first, clip);
    expect(bert.frozenBytes).toBe(0);
    await bert.dispose();
  }
});

it('the record least recently used makes room', async () => {
  const row = (id: number): LabelledBatch => ({
    inputIds: Int32Array.of(id, 0),
    attentionMask: Int32Array.of(1, 0),
    tokenTypeIds: Int32Array.of(0, 0),
    labels: Int32Array.of(0),
    weights: Float32Array.of(1),
    tokens: 2,
  });
  const bytes = 2 * 4 + 24;
  const part = new FrozenPart(2, [], 2 * bytes);
  const computed: number[] = [];
  const ask = async (id: number): Promise<Float32Array> => {
    const feeds = await part.feeds(row(id), { batch: 1, tokens: 2 }, async (into) => {
      computed.push(id);
      into.get('frozen')?.set([id, id, 9, 9]);
    });
    return feeds.get('frozen') as Float32Array;
  };
  for (const id of [1, 2, 1, 3, 1, 2]) expect((await ask(id)).slice(0, 2)).toEqual(Float32Array.of(id, id));
  expect(computed).toEqual([1, 2, 3, 2]);
  expect(part.cachedBytes).toBe(2 * bytes);
  // A record that would fill the whole bound is computed each time.
  const small = new FrozenPart(2, [], bytes - 1);
  await small.feeds(row(1), { batch: 1, tokens: 2 }, async () => {});
  expect(small.cachedBytes).toBe(0);
});
