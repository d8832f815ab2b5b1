import { expect, test } from 'vitest';
import { newBertConfig } from '../../../../shared/bert/config.ts';
import { readModelDirectory } from '../../../../shared/bert/directory.ts';
import { encoderSpecs, initialTensors, poolerSpecs } from '../../../../shared/bert/parameters.ts';
import { seededRng } from '../../../../shared/core/rng.ts';
import { onnxCpuEngine } from '../../../../shared/node/engines.ts';
import type { DistillationStep } from '../../../../shared/training/distillation/distil.ts';
import { type DistilledOptions, makeDistilled } from '../../../../shared/training/distillation/make-distilled.ts';
import { longestText, textBlock } from '../../../../shared/training/distillation/teacher.ts';
import { encodeCorpus } from '../../../../shared/training/pretraining/corpus.ts';
import type { TrainerState } from '../../../../shared/training/pretraining/trainer.ts';
import { licence, tokenizer } from '../pretraining/fixture.ts';

const config = newBertConfig({
  vocabSize: tokenizer.vocabularySize,
  hiddenSize: 24,
  layers: 3,
  heads: 2,
  intermediateSize: 48,
  maxPositions: 128,
});
const strong = { ...config, initializerRange: 0.2 };
const weights = initialTensors([...encoderSpecs(config), ...poolerSpecs(config)], strong, seededRng('teacher'));
const kept = new Map<number, Float32Array>();
const tiny: DistilledOptions = {
  engine: onnxCpuEngine(),
  texts: [licence],
  seed: 'test',
  vocabularySize: 400,
  hiddenSize: 16,
  heads: 2,
  maxPositions: 128,
  teacher: { config, weights, tokenizer },
  outputs: { get: (block) => kept.get(block), put: (block, means) => kept.set(block, means) },
  readings: 320,
  steps: 30,
  pieces: 1024,
  learningRate: 3e-3,
};

/** A run with its steps; the finished files, or the state it stopped with. */
async function run(options: DistilledOptions) {
  const history: DistillationStep[] = [];
  const done = await makeDistilled({
    ...options,
    onStep: (step) => {
      history.push(step);
      options.onStep?.(step);
    },
  });
  const files = 'files' in done ? done.files : new Map<string, Uint8Array>();
  return { history, files, state: 'state' in done ? done.state : undefined };
}

const cosine = (steps: readonly DistillationStep[]): number =>
  steps.reduce((sum, s) => sum + s.cosine, 0) / steps.length;

test('the student starts near its teacher, comes nearer, and is a directory with a mean head', async () => {
  const { history, files } = await run(tiny);
  expect(cosine(history.slice(0, 3))).toBeGreaterThan(0.2);
  expect(cosine(history.slice(-5))).toBeGreaterThan(cosine(history.slice(0, 5)));
  const directory = readModelDirectory(files);
  expect(directory.head).toBe('mean');
  expect([...directory.weights.keys()].filter((name) => name.startsWith('distillation'))).toEqual([]);
});

test('a run that was stopped goes on to the same losses and bytes as one that was not, asking the teacher nothing twice', async () => {
  const whole = await run(tiny);
  const controller = new AbortController();
  const stopped = await run({
    ...tiny,
    signal: controller.signal,
    onStep: ({ step }) => step === 18 && controller.abort(),
  });
  expect(stopped.history).toEqual(whole.history.slice(0, 18));
  const put = (): never => {
    throw new Error('asked again');
  };
  const outputs = { ...tiny.outputs, put };
  const rest = await run({ ...tiny, outputs, state: stopped.state as TrainerState });
  expect(rest.history).toEqual(whole.history.slice(18));
  expect([...rest.files]).toEqual([...whole.files]);
});

test('stopped while the teacher reads, there is no state yet, but its outputs are kept', async () => {
  const controller = new AbortController();
  const seen: number[] = [];
  const outputs = { get: () => undefined, put: (block: number) => seen.push(block) };
  const onBlock = (done: number): void => {
    if (done === 2) controller.abort();
  };
  const stopped = await run({ ...tiny, outputs, signal: controller.signal, onBlock });
  expect(stopped).toEqual({ history: [], files: new Map(), state: undefined });
  expect(seen).toEqual([0, 1]);
});

test('blocks of text do not depend on one another and are of about one length', () => {
  const corpus = encodeCorpus([licence], tokenizer);
  const block = textBlock(corpus, 'a', 7, 128);
  expect(textBlock(corpus, 'a', 7, 128)).toEqual(block);
  expect(textBlock(corpus, 'b', 7, 128)).not.toEqual(block);
  expect(block.tokens % 16).toBe(0);
});

test('texts are as long as both models read, up to 256 pieces, and mostly at most 128', () => {
  const positions = (maxPositions: number) => ({ ...config, maxPositions });
  expect(longestText(positions(512), positions(512))).toBe(256);
  expect(longestText(positions(512), positions(100))).toBe(96);
  const corpus = encodeCorpus([licence], tokenizer);
  const lengths = (longest: number) => Array.from({ length: 64 }, (_, b) => textBlock(corpus, 'a', b, longest).tokens);
  expect(Math.max(...lengths(256))).toBe(256);
  expect(lengths(256).filter((tokens) => tokens <= 128).length).toBeGreaterThan(40);
  expect(Math.max(...lengths(96))).toBe(96);
});

test('refuses what makes no batch', async () => {
  await expect(makeDistilled({ ...tiny, steps: 0 })).rejects.toMatchObject({ code: 'PRETRAIN_INVALID' });
});
