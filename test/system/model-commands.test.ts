import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeAdapterDirectory } from '../../shared/bert/adapter.ts';
import { newBertConfig } from '../../shared/bert/config.ts';
import { type ModelDirectory, readModelDirectory, writeModelDirectory } from '../../shared/bert/directory.ts';
import { type Bert, createBert, type Trainable } from '../../shared/bert/model.ts';
import { encoderSpecs, fillGaussian, initialTensors, poolerSpecs } from '../../shared/bert/parameters.ts';
import { fromUtf8, utf8 } from '../../shared/core/bytes.ts';
import { seededRng } from '../../shared/core/rng.ts';
import { readDirectoryFiles, writeDirectoryFiles } from '../../shared/node/directory-files.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import { openTokenizer } from '../../shared/protocol/stage-model.ts';
import type { NamedTensor } from '../../shared/tensor/named.ts';
import { readWeights, writeSafetensors } from '../../shared/tensor/safetensors.ts';
import type { ClipAdvice } from '../../shared/training/clip-advice.ts';
import { logitsOf } from '../../shared/training/evaluate.ts';
import { prunable } from '../../shared/training/pruning.ts';
import { distance } from '../support/tiny-bert.ts';

const dir = mkdtempSync(join(tmpdir(), 'tacit-model-'));
const path = (name: string): string => join(dir, name);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const texts = [
  'a short text',
  'win money now',
  'the meeting is at noon',
  'cheap offer for you',
  'please see the notes',
];
const shape = { batch: 4, tokens: 16 };
const lora = { rank: 2, alpha: 4, targets: ['query', 'value'] };

/** Runs the built command. @returns its JSON lines */
async function tacit(...args: string[]): Promise<Record<string, unknown>[]> {
  const program = [join(packageRoot, 'bin/tacit.js'), 'model', ...args, '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, program);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

const read = async (name: string): Promise<ModelDirectory> =>
  readModelDirectory(await readDirectoryFiles(path(name), 2 ** 28));

function open({ config, weights, head }: ModelDirectory, trainable: Trainable = 'head'): Promise<Bert> {
  const rng = seededRng('classifier');
  const task = 'single_label';
  return createBert({ engine: onnxCpuEngine(), config, weights, head, labels: 2, task, trainable, shape, rng });
}

function encoded({ tokenizer }: ModelDirectory, labels: readonly number[] = [0]) {
  const pieces = openTokenizer(tokenizer);
  return texts.map((text, i) => ({
    ids: pieces.encode(text, shape.tokens).ids,
    label: labels[i % labels.length] as number,
  }));
}

beforeAll(async () => {
  const { tokenizer, config: mini } = readModelDirectory(
    await readDirectoryFiles(join(packageRoot, 'models/tacit-mini'), 2 ** 28),
  );
  const size = {
    vocabSize: mini.vocabSize,
    hiddenSize: 16,
    layers: 3,
    heads: 2,
    intermediateSize: 32,
    maxPositions: 64,
  };
  const config = newBertConfig(size, {
    initializer_range: 0.2,
    id2label: { 0: 'ham', 1: 'spam' },
    tacit: { head: 'mean', layers: [2] },
  });
  const rng = seededRng('model');
  const weights = initialTensors([...encoderSpecs(config), ...poolerSpecs(config)], config, rng);
  const drawn = (name: string, dims: readonly number[], scale: number): void => {
    const data = new Float32Array(dims.reduce((a, b) => a * b));
    fillGaussian(data, scale, rng);
    weights.set(name, { name, shape: dims, data });
  };
  drawn('head.dense.weight', [10, 16], 0.3);
  drawn('head.dense.bias', [10], 0.1);
  drawn('classifier.weight', [2, 10], 1);
  drawn('classifier.bias', [2], 0.1);
  await writeDirectoryFiles(path('model'), writeModelDirectory({ config, weights, tokenizer }));
  const rows = texts.map((text, i) => JSON.stringify({ text, label: i % 2 === 1 ? 'spam' : 'ham' }));
  writeFileSync(path('public.jsonl'), rows.join('\n'));
});

test('prune: the smallest of all linear weights become zero, and stay zero while it trains between the steps', async () => {
  await tacit('prune', path('model'), '--sparsity', '0.6', '--steps', '1', '--out', path('pruned'));
  const [before, after] = [await read('model'), await read('pruned')];
  let [zeros, total, largestGone, smallestKept] = [0, 0, 0, Number.POSITIVE_INFINITY];
  for (const { name, data } of before.weights.values()) {
    const pruned = after.weights.get(name)?.data as Float32Array;
    if (!prunable(name)) {
      expect(pruned).toEqual(data);
      continue;
    }
    for (const [i, x] of data.entries()) {
      total += 1;
      if (pruned[i] === 0) {
        zeros += 1;
        largestGone = Math.max(largestGone, Math.abs(x));
      } else {
        expect(pruned[i]).toBe(x);
        smallestKept = Math.min(smallestKept, Math.abs(x));
      }
    }
  }
  expect(zeros).toBe(Math.floor(0.6 * total));
  expect(largestGone).toBeLessThanOrEqual(smallestKept);

  const data = ['--data', path('public.jsonl'), '--epochs', '3', '--learning-rate', '0.01'];
  const told = await tacit(
    'prune',
    path('model'),
    '--sparsity',
    '0.6',
    '--steps',
    '2',
    ...data,
    '--out',
    path('tuned'),
  );
  const steps = told.filter((event) => event['event'] === 'pruned');
  expect(steps.map((event) => (event['sparsity'] as number).toFixed(3))).toEqual(['0.000', '0.525', '0.600']);
  expect(steps.every(({ metrics }) => Number.isFinite((metrics as { loss: number }).loss))).toBe(true);
  const tuned = await read('tuned');
  const count = [...tuned.weights.values()]
    .filter(({ name }) => prunable(name))
    .reduce((n, { data: numbers }) => n + numbers.filter((x) => x === 0).length, 0);
  expect(count).toBe(zeros);
  expect(tuned.weights.get('classifier.weight')?.data).not.toEqual(before.weights.get('classifier.weight')?.data);
});

test('merge: base and adapter together are the model that the adapter was trained on', async () => {
  const base = await read('model');
  const adapted = await open(base, { lora });
  const moved = adapted.trainable();
  fillGaussian(moved, 0.2, seededRng('adapter'));
  adapted.setTrainable(moved);
  await writeDirectoryFiles(path('adapter'), writeAdapterDirectory(lora, adapted.adapterNow(), 'model'));
  await tacit('merge', path('model'), path('adapter'), '--out', path('merged'));
  const [plain, merged] = [await open(base), await open(await read('merged'))];
  const all = encoded(base);
  const expected = await logitsOf(adapted, all, 2, shape);
  expect(distance(await logitsOf(merged, all, 2, shape), expected)).toBeLessThan(1e-5);
  expect(distance(await logitsOf(plain, all, 2, shape), expected)).toBeGreaterThan(0.05);
  await Promise.all([adapted, plain, merged].map((bert) => bert.dispose()));
});

test('advise-clip: norms of the gradients of what trains, on public records', async () => {
  const flags = ['--data', path('public.jsonl'), '--labels', 'ham,spam', '--train', 'layers:1'];
  const [advice] = await tacit('advise-clip', path('model'), ...flags);
  const { examples, norms, clip } = advice as unknown as ClipAdvice;
  const { low, median, high } = norms;
  expect(examples).toBe(5);
  expect(low).toBeGreaterThan(0);
  expect(median).toBeGreaterThanOrEqual(low);
  expect(high).toBeGreaterThan(median);
  expect(clip).toBeCloseTo(median / 10, 10);
});

test('export: one layer is sentence-transformers with its own modules alone', async () => {
  const model = await read('model');
  await tacit('export', path('model'), '--format', 'sentence-transformers', '--out', path('sentences'));
  const files = await readDirectoryFiles(path('sentences'), 2 ** 28);
  const json = (name: string) => JSON.parse(fromUtf8(files.get(name) as Uint8Array)) as unknown;
  expect((json('modules.json') as { type: string }[]).map(({ type }) => type)).toEqual(
    ['Transformer', 'Pooling', 'Dense', 'Normalize'].map((name) => `sentence_transformers.models.${name}`),
  );
  expect([...files.keys()].filter((name) => name.endsWith('.py'))).toEqual([]);
  expect(json('1_Pooling/config.json')).toMatchObject({ word_embedding_dimension: 16, pooling_mode_mean_tokens: true });
  // Cut off above the layer that is read.
  expect(json('config.json')).toMatchObject({ num_hidden_layers: 2 });
  const names = [...readWeights(files.get('model.safetensors') as Uint8Array, 'model').keys()];
  expect(names.filter((name) => name.includes('layer.2.'))).toEqual([]);
  const dense = readWeights(files.get('2_Dense/model.safetensors') as Uint8Array, 'dense');
  expect(dense.get('linear.weight')?.data).toEqual(model.weights.get('head.dense.weight')?.data);
  expect(dense.get('linear.bias')?.data).toEqual(model.weights.get('head.dense.bias')?.data);
});

/** What the command prints when it refuses. */
async function complaint(...args: string[]): Promise<string> {
  const run = promisify(execFile)(process.execPath, [join(packageRoot, 'bin/tacit.js'), 'model', ...args]);
  return run.then(
    () => 'nothing',
    ({ stderr }: { stderr: string }) => stderr,
  );
}

test('what is wrong with a model is said by file, tensor and what was expected', async () => {
  const files = await readDirectoryFiles(path('model'), 2 ** 28);
  const { config, weights } = await read('model');
  const name = 'bert.encoder.layer.1.output.dense.weight';
  const dense = weights.get(name) as NamedTensor;
  const json = (changed: object): Uint8Array => utf8(JSON.stringify({ ...config.raw, ...changed }));
  const stored = (data: Float32Array | undefined, shape = dense.shape): Uint8Array => {
    const changed = new Map(weights);
    if (data === undefined) changed.delete(name);
    else changed.set(name, { name, shape, data });
    return writeSafetensors(changed);
  };
  const whole = writeSafetensors(weights);
  const at = Buffer.from(whole).indexOf('"F32"', Buffer.from(whole).indexOf(name));
  const retyped = whole.with(at + 1, 'I'.charCodeAt(0));
  const head = { name: 'classifier.weight', shape: [2, 16], data: new Float32Array(32) };
  const headed = writeSafetensors(new Map<string, NamedTensor>([...weights, [head.name, head]]));
  const cases: [string, Record<string, Uint8Array | undefined>, string, RegExp][] = [
    [
      'nan',
      { 'model.safetensors': stored(dense.data.with(5, Number.NaN)) },
      'inspect',
      /BERT_NOT_FINITE: \S+layer.1.output.dense.weight .*\(model.safetensors\)/,
    ],
    [
      'missing',
      { 'model.safetensors': stored(undefined) },
      'inspect',
      /BERT_WEIGHTS_MISSING: .*layer.1.output.dense.weight \(model.safetensors\). Expected shape \[16,32\]/,
    ],
    [
      'shape',
      { 'model.safetensors': stored(dense.data, [32, 16]) },
      'inspect',
      /BERT_WEIGHTS_SHAPE: .*\[32,16\] \(model.safetensors\). Expected shape \[16,32\]/,
    ],
    [
      'type',
      { 'model.safetensors': retyped },
      'inspect',
      /SAFETENSORS_DTYPE: it is I32.*\(model.safetensors: bert.encoder.layer.1.output.dense.weight\). Expected F32/,
    ],
    [
      'pickle',
      { 'model.safetensors': undefined, 'pytorch_model.bin': utf8('x') },
      'inspect',
      /BERT_DIRECTORY_INVALID: .*Only safetensors are read/,
    ],
    [
      'labels',
      { 'model.safetensors': headed, 'config.json': json({ id2label: { 0: 'a', 1: 'b', 2: 'c' } }) },
      'predict',
      /BERT_CONFIG_INVALID: id2label names 3 labels, classifier.weight has 2 rows/,
    ],
    [
      'tokens',
      { 'model.safetensors': headed, 'config.json': json({ architectures: ['BertForTokenClassification'] }) },
      'predict',
      /BERT_UNSUPPORTED: architectures BertForTokenClassification/,
    ],
  ];
  for (const [dirName, changes, verb, said] of cases) {
    const changed = new Map(
      Object.entries({ ...Object.fromEntries(files), ...changes }).filter(
        (entry): entry is [string, Uint8Array] => entry[1] !== undefined,
      ),
    );
    await writeDirectoryFiles(path(`bad-${dirName}`), changed);
    expect(await complaint(verb, path(`bad-${dirName}`), ...(verb === 'predict' ? ['hello'] : []))).toMatch(said);
  }
  expect(await complaint('predict', path('model'), 'a', ' ')).toMatch(/USAGE: text 2 is empty/);
  expect(await complaint('predict', path('model'), 'a '.repeat(9000))).toMatch(/standard input/);
});
