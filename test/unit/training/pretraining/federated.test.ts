import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newBertConfig } from '../../../../shared/bert/config.ts';
import { encoderSpecs, initialTensors } from '../../../../shared/bert/parameters.ts';
import { createPretraining, type Pretraining } from '../../../../shared/bert/pretraining.ts';
import { NOT_PREDICTED } from '../../../../shared/bert/pretraining-slots.ts';
import type { Trainable } from '../../../../shared/bert/types.ts';
import { seededRng } from '../../../../shared/core/rng.ts';
import type { Engine } from '../../../../shared/engine/engine.ts';
import { onnxCpuEngine, tfjsWasmEngine } from '../../../../shared/node/engines.ts';
import { type EncodedExample, readExamples } from '../../../../shared/text/encode.ts';
import { clippedGradientSum } from '../../../../shared/training/dp-fedsgd.ts';
import { vocabularyOf } from '../../../../shared/training/pretraining/corpus.ts';
import { encodeText, readings, readText } from '../../../../shared/training/pretraining/stretches.ts';
import { membersByUnit, type Units, unitsOf } from '../../../../shared/training/units.ts';
import { distance, norm } from '../../../support/tiny-bert.ts';
import { licence, tokenizer } from './fixture.ts';

const vocabulary = vocabularyOf(tokenizer);
const paragraphs = licence.split('\n').filter((text) => text.length > 20);
const masking = { share: 0.15, most: 5, wholeWords: true };
const options = { tokens: 32, masking, nextSentence: true };
const shape = { batch: 4, tokens: 32 };
const plain = Number.POSITIVE_INFINITY;

/** Readings that are the same every time, so that sums can be compared. */
const examples: readonly EncodedExample[] = (() => {
  const texts = paragraphs.slice(0, 17).map((text) => ({ text }));
  const source = readings(texts, tokenizer, options, seededRng('readings'));
  return readExamples(source, [...texts.keys()]);
})();
const every = [...examples.keys()];

function pretraining(trainable: Trainable, trainHead = true, engine: Engine = onnxCpuEngine()): Promise<Pretraining> {
  const rng = seededRng('tiny pre-training');
  const size = { vocabSize: tokenizer.vocabularySize, hiddenSize: 16, layers: 2, heads: 2, intermediateSize: 24 };
  const config = newBertConfig({ ...size, maxPositions: 32 }, { initializer_range: 0.3 });
  const weights = initialTensors(encoderSpecs(config), config, rng);
  return createPretraining({
    engine,
    config,
    weights,
    rng,
    trainable,
    trainHead,
    shape: { ...shape, masked: 5 },
    nextSentence: true,
  });
}

describe('readings', () => {
  test('what is read and what is hidden is a stretch of that text alone, whole or with its halves exchanged', () => {
    const rng = seededRng('own text');
    let exchanged = 0;
    for (const text of paragraphs) {
      const own = encodeText({ text }, tokenizer);
      const { ids, label, masked } = readText(own, vocabulary, options, rng);
      expect(ids.length).toBeLessThanOrEqual(options.tokens);
      const { labels, second } = masked as NonNullable<typeof masked>;
      const true_ = ids.map((id, at) => (labels[at] === NOT_PREDICTED ? id : (labels[at] as number)));
      const { cls, sep } = tokenizer.special;
      expect([true_[0], true_[second - 1], true_.at(-1)]).toEqual([cls, sep, sep]);
      const [a, b] = [[...true_.subarray(1, second - 1)], [...true_.subarray(second, -1)]];
      const stretch = label === 0 ? [...a, ...b] : [...b, ...a];
      expect(`,${own.pieces.join()},`).toContain(`,${stretch.join()},`);
      expect(stretch).toHaveLength(Math.min(own.pieces.length, options.tokens - 3));
      exchanged += label;
    }
    expect(exchanged / paragraphs.length).toBeGreaterThan(0.3);
    expect(exchanged / paragraphs.length).toBeLessThan(0.7);
  });

  test('a long text is read at different places, which begin with a sentence or end with the text', () => {
    const text = encodeText({ text: licence.replaceAll('\n', ' ') }, tokenizer);
    const rng = seededRng('places');
    const starts = new Set<number>();
    for (let i = 0; i < 50; i++) {
      const { ids, masked } = readText(text, vocabulary, { ...options, nextSentence: false }, rng);
      const pieces = [...ids.keys()].map((at) => {
        const hidden = masked?.labels[at] as number;
        return hidden === NOT_PREDICTED ? (ids[at] as number) : hidden;
      });
      expect(masked?.second).toBe(ids.length);
      const at = `,${text.pieces.join()},`.indexOf(`,${pieces.slice(1, -1).join()},`);
      const start = `,${text.pieces.join()},`.slice(0, at + 1).split(',').length - 2;
      expect(text.sentences.includes(start) || start === text.pieces.length - 30).toBe(true);
      starts.add(start);
    }
    expect(starts.size).toBeGreaterThan(20);
  });

  test('texts of one piece and of one sentence are read too', () => {
    for (const text of ['the', 'no full stop here at all']) {
      const { ids, masked } = readText(encodeText({ text }, tokenizer), vocabulary, options, seededRng(text));
      expect(ids.length).toBe(tokenizer.pieces(text).length + 3);
      expect(masked?.labels.some((label) => label !== NOT_PREDICTED)).toBe(true);
    }
  });

  test('each visit draws anew; the same seed draws the same', () => {
    const source = readings([{ text: licence }], tokenizer, options, seededRng('a'));
    const again = readings([{ text: licence }], tokenizer, options, seededRng('a'));
    const first = source.at(0);
    expect(again.at(0)).toEqual(first);
    expect(source.at(0)).not.toEqual(first);
  });
});

/** 1, 2, 3, 4, 5 and 2 texts, mixed; five do not fit a micro-batch of four. */
const persons = every.map((i) => ({ person: `p${[0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5][(7 * i) % 17]}` }));
const byPerson = unitsOf(persons);

describe.each([
  ['all', 'all', true],
  ['all but the head', 'all', false],
  ['head', 'head', true],
  ['LoRA', { lora: { rank: 2, alpha: 4, targets: ['query', 'output.dense'] } }, true],
  ['LoRA without the head', { lora: { rank: 2, alpha: 4, targets: ['query', 'output.dense'] } }, false],
  ['layers', { layers: [1] }, true],
] as const)('clipped sums of readings, %s', (_, trainable, trainHead) => {
  let bert: Pretraining;
  const single: Float64Array[] = [];
  beforeAll(async () => {
    bert = await pretraining(trainable, trainHead);
    for (const i of every) {
      const { sum } = await clippedGradientSum({ bert, examples, indices: [i], l2Clip: plain, shape });
      single.push(Float64Array.from(sum));
    }
  });
  afterAll(() => bert.dispose());

  function expected(units: Units | undefined, clip: number): Float64Array {
    const members = units === undefined ? every.map((i) => [i]) : membersByUnit(every, units);
    const total = new Float64Array(bert.trainableLayout.length);
    for (const unit of members) {
      const mean = new Float64Array(total.length);
      for (const i of unit)
        for (let k = 0; k < mean.length; k++) mean[k] = (mean[k] as number) + (single[i]?.[k] as number) / unit.length;
      const factor = Math.min(1, clip / norm(mean));
      for (let k = 0; k < total.length; k++) total[k] = (total[k] as number) + factor * (mean[k] as number);
    }
    return total;
  }

  test.each([
    ['texts', undefined],
    ['persons', byPerson],
  ] as const)('%s are clipped one by one', async (__, units) => {
    const lengths = single.map(norm).sort((a, b) => a - b);
    const clip = lengths[8] as number;
    const more = units === undefined ? {} : { units };
    const got = await clippedGradientSum({ bert, examples, indices: every, l2Clip: clip, shape, ...more });
    expect(distance(got.sum, expected(units, clip))).toBeLessThan(2e-5);
    expect(got).toMatchObject({ examples: 17, units: units?.count ?? 17, dropped: [] });
    expect(got.clippedFraction).toBeGreaterThan(0);
    expect(got.clippedFraction).toBeLessThan(1);
  });

  test('one text more or less moves the sum by at most the clip, another in its place by at most twice that', async () => {
    const clip = 0.05;
    const sumOf = async (read: readonly EncodedExample[], indices: readonly number[]) =>
      Float64Array.from((await clippedGradientSum({ bert, examples: read, indices, l2Clip: clip, shape })).sum);
    const whole = await sumOf(examples, every);
    const without = await sumOf(examples, every.slice(1));
    const far = (a: Float64Array, b: Float64Array): number => norm(a.map((x, i) => x - (b[i] as number)));
    expect(far(whole, without)).toBeLessThanOrEqual(clip * (1 + 1e-4));
    expect(far(whole, without)).toBeGreaterThan(0.99 * clip);
    const other = readText(
      encodeText({ text: paragraphs[20] as string }, tokenizer),
      vocabulary,
      options,
      seededRng('o'),
    );
    const replaced = await sumOf([other, ...examples.slice(1)], every);
    expect(far(whole, replaced)).toBeLessThanOrEqual(2 * clip * (1 + 1e-4));
    expect(far(whole, replaced)).toBeGreaterThan(0.2 * clip);
  });

  test('the gradient is the slope of the loss', async () => {
    const indices = [0, 3, 9];
    const start = bert.trainable();
    const gradient = await clippedGradientSum({ bert, examples, indices, l2Clip: plain, shape });
    const direction = Float32Array.from(gradient.sum, (x) => x / norm(gradient.sum));
    const slope = norm(gradient.sum);
    const lossAt = async (step: number): Promise<number> => {
      bert.setTrainable(start.map((w, i) => w + step * (direction[i] as number)));
      const { meanLoss } = await clippedGradientSum({ bert, examples, indices, l2Clip: plain, shape });
      return meanLoss * indices.length;
    };
    const h = 2e-2;
    const measured = ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
    bert.setTrainable(start);
    expect(Math.abs(measured / slope - 1)).toBeLessThan(0.02);
  });
});

test('the engine of browsers gives the same sums', async () => {
  const trainable = { lora: { rank: 2, alpha: 4, targets: ['query', 'output.dense'] } };
  const sums: Float64Array[] = [];
  for (const engine of [onnxCpuEngine(), await tfjsWasmEngine()]) {
    const bert = await pretraining(trainable, true, engine);
    const request = { bert, examples, indices: every, l2Clip: 0.5, shape, units: byPerson };
    sums.push(Float64Array.from((await clippedGradientSum(request)).sum));
    await bert.dispose();
  }
  const [onnx, wasm] = sums as [Float64Array, Float64Array];
  expect(norm(onnx)).toBeGreaterThan(0.5);
  expect(distance(wasm, onnx)).toBeLessThan(1e-4);
});

test('where no reading has a finite gradient the sum is zero, and the client goes on', async () => {
  const bert = await pretraining('all');
  bert.setTrainable(bert.trainable().fill(Number.NaN));
  const result = await clippedGradientSum({ bert, examples, indices: every, l2Clip: 0.1, shape });
  expect(result).toMatchObject({ dropped: every, units: 0 });
  expect(norm(result.sum)).toBe(0);
  await bert.dispose();
});
