import * as ort from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { readModelDirectory } from '../../../../shared/bert/directory.ts';
import { createBert } from '../../../../shared/bert/model.ts';
import { seededRng } from '../../../../shared/core/rng.ts';
import { createOnnxEngine } from '../../../../shared/engine/onnx/engine.ts';
import { createTokenizer } from '../../../../shared/text/tokenizer.ts';
import { encodeCorpus } from '../../../../shared/training/pretraining/corpus.ts';
import { makePretrained, type PretrainedOptions } from '../../../../shared/training/pretraining/make-pretrained.ts';
import type { PretrainingStep } from '../../../../shared/training/pretraining/pretrain.ts';
import { segmentBatch } from '../../../../shared/training/pretraining/segments.ts';
import type { TrainerState } from '../../../../shared/training/pretraining/trainer.ts';
import { readTrainerState, writeTrainerState } from '../../../../shared/training/pretraining/trainer-state.ts';
import { licence } from './fixture.ts';

const engine = createOnnxEngine(ort);
const tiny: PretrainedOptions = {
  engine,
  texts: [licence],
  seed: 'test',
  vocabularySize: 400,
  hiddenSize: 16,
  heads: 2,
  maxPositions: 64,
  batch: 8,
  tokens: 48,
  learningRate: 5e-3,
  steps: 60,
};

/** A run with the losses of its steps; the finished files, or the state it stopped with. */
async function run(options: PretrainedOptions) {
  const history: PretrainingStep[] = [];
  const done = await makePretrained({
    ...options,
    onStep: (step) => {
      history.push(step);
      options.onStep?.(step);
    },
  });
  const files = 'files' in done ? done.files : new Map<string, Uint8Array>();
  return { history, files, state: 'state' in done ? done.state : undefined };
}

test('the same seed gives the same losses and the same bytes, another seed others', async () => {
  const few = { ...tiny, steps: 5 };
  const [a, b] = [await run(few), await run(few)];
  expect(b.history).toEqual(a.history);
  expect(a.history.length).toBe(5);
  expect([...b.files]).toEqual([...a.files]);
  const c = await run({ ...few, seed: 'other' });
  expect(c.history[0]).not.toEqual(a.history[0]);
});

test('learns, and writes a directory that is read back with a whitening mean head', async () => {
  const { files, history } = await run(tiny);
  const mean = (from: number, to: number): number =>
    history.slice(from, to).reduce((sum, s) => sum + s.maskedLoss, 0) / (to - from);
  expect(mean(0, 5)).toBeLessThan(Math.log(400) + 0.3);
  expect(mean(55, 60)).toBeLessThan(mean(0, 5) - 0.5);

  const directory = readModelDirectory(files);
  expect(directory.head).toBe('mean');
  expect([...directory.weights.keys()].filter((name) => name.startsWith('cls.'))).toEqual([]);
  const tokenizer = createTokenizer({ tokenizerJson: new TextDecoder().decode(files.get('tokenizer.json')) });
  const bert = await createBert({
    ...directory,
    engine,
    labels: 2,
    task: 'single_label',
    trainable: 'head',
    shape: { batch: 64, tokens: 48 },
    rng: seededRng('head'),
  });
  const corpus = encodeCorpus([licence], tokenizer);
  const features = await bert.features(segmentBatch(corpus, 64, 48, seededRng('segments')));
  await bert.dispose();
  const width = bert.featureLength;
  // The embedding layer and the last block.
  expect(width).toBe(2 * 16);
  // Whitened: unit length, and the mean direction is gone.
  const centre = new Float64Array(width);
  for (let row = 0; row < 64; row++) {
    const f = features.subarray(row * width, (row + 1) * width);
    expect(Math.hypot(...f)).toBeCloseTo(1, 3);
    for (let j = 0; j < width; j++) centre[j] = (centre[j] as number) + (f[j] as number) / 64;
  }
  expect(Math.hypot(...centre)).toBeLessThan(0.35);
});

test('a run that was stopped goes on to the same losses and the same bytes as one that was not', async () => {
  const whole = await run({ ...tiny, steps: 8 });
  const controller = new AbortController();
  const stopped = await run({
    ...tiny,
    steps: 8,
    signal: controller.signal,
    onStep: ({ step }) => step === 3 && controller.abort(),
  });
  expect(stopped.history).toEqual(whole.history.slice(0, 3));
  expect(stopped.files.size).toBe(0);
  const saved = readTrainerState(writeTrainerState(stopped.state as TrainerState), 'state');
  const rest = await run({ ...tiny, steps: 8, state: saved });
  expect(rest.history).toEqual(whole.history.slice(3));
  expect([...rest.files]).toEqual([...whole.files]);
});

test('refuses what cannot be trained', async () => {
  for (const [options, code] of [
    [{ steps: 1.5 }, 'PRETRAIN_INVALID'],
    [{ tokens: 65 }, 'PRETRAIN_INVALID'],
    [
      { texts: ['One sentence with words enough to learn a vocabulary from one sentence'], vocabularySize: 60 },
      'PRETRAIN_INVALID',
    ],
    [{ texts: [''] }, 'VOCABULARY_EMPTY'],
    [{ heads: 3 }, 'BERT_CONFIG_INVALID'],
  ] as const) {
    await expect(makePretrained({ ...tiny, ...options })).rejects.toMatchObject({ code });
  }
});
