import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readAdapterDirectory } from '../../shared/bert/adapter.ts';
import { parseBertConfig } from '../../shared/bert/config.ts';
import { type ModelDirectory, readModelDirectory, writeModelDirectory } from '../../shared/bert/directory.ts';
import { createBert } from '../../shared/bert/model.ts';
import { createPretraining } from '../../shared/bert/pretraining.ts';
import { NOT_PREDICTED } from '../../shared/bert/pretraining-slots.ts';
import { seededRng } from '../../shared/core/rng.ts';
import { readDirectoryFiles, writeDirectoryFiles } from '../../shared/node/directory-files.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import { openTokenizer } from '../../shared/protocol/stage-model.ts';
import type { NamedTensor } from '../../shared/tensor/named.ts';
import { logitsOf } from '../../shared/training/evaluate.ts';
import { createFeatureCache } from '../../shared/training/features.ts';

const out = process.argv[2];
if (out === undefined) {
  console.error('usage: node dist/test/interop/prepare.js DIR; then python test/interop/check.py DIR');
  process.exit(2);
}
mkdirSync(out, { recursive: true });
const mini = join(packageRoot, 'models/tacit-mini');
const tacit = (...args: string[]): void => {
  console.log(`tacit ${args.join(' ')}`);
  execFileSync(process.execPath, [join(packageRoot, 'bin/tacit.js'), ...args], { stdio: 'inherit' });
};

/** Texts of four kinds out of the tokenizer's own reference cases: accents, CJK, emoji, long and short. */
const cases = JSON.parse(readFileSync(join(packageRoot, 'test/vectors/wordpiece.json'), 'utf8')) as {
  variants: Record<string, { cases: { text: string }[] }>;
};
const texts = [...new Set(Object.values(cases.variants).flatMap((v) => v.cases.map((c) => c.text.trim())))].filter(
  (text) => text !== '',
);
const rows = texts.flatMap((text, i) =>
  new Array<string>(3).fill(JSON.stringify({ text, label: i % 3 === 0 ? 'a' : 'b' })),
);
writeFileSync(join(out, 'data.jsonl'), rows.join('\n'));
const data = ['--data', join(out, 'data.jsonl'), '--labels', 'a,b', '--epochs', '2', '--seed', 'interop'];
tacit('train', '--model', mini, ...data, '--head', 'pooler', '--train', 'all', '--out', join(out, 'classifier'));
tacit(
  'train',
  '--model',
  join(out, 'classifier'),
  ...data,
  '--train',
  'lora:4',
  '--learning-rate',
  '0.01',
  // Without held-out records the last step stays: the best one might be that before training, which adapts nothing.
  '--hold-out',
  '0',
  '--out',
  join(out, 'tuned'),
);
tacit('train', '--model', mini, ...data, '--train', 'layers:1', '--epsilon', '8', '--out', join(out, 'mean'));
for (const name of ['classifier', 'mean'])
  tacit('model', 'export', join(out, name), '--format', 'onnx', '--out', join(out, `${name}-onnx`));
tacit('model', 'export', join(out, 'mean'), '--format', 'sentence-transformers', '--out', join(out, 'sentences'));
await oneLayer('mean', 'single');
tacit('model', 'export', join(out, 'single'), '--format', 'sentence-transformers', '--out', join(out, 'stock'));
tacit(
  'model',
  'export',
  join(out, 'classifier'),
  '--dtype',
  'float16',
  '--max-shard-size',
  '1',
  '--out',
  join(out, 'sharded'),
);
tacit('model', 'merge', join(out, 'classifier'), join(out, 'tuned/adapter'), '--out', join(out, 'merged'));

const expected = {
  texts,
  classifier: await numbers('classifier'),
  sharded: await numbers('sharded'),
  tuned: await numbers('tuned'),
  mean: await numbers('mean'),
  single: await numbers('single'),
  pretrained: await pretrained('pretrained'),
};
const adapter = readAdapterDirectory(await readDirectoryFiles(join(out, 'tuned/adapter'), 2 ** 30));
console.log(
  `adapter tensors: ${[...adapter.weights.keys()].length}; sharded files: ${readdirSync(join(out, 'sharded')).length}`,
);
writeFileSync(join(out, 'expected.json'), JSON.stringify(expected));

/** The model with a mean head of its last layer alone, which sentence-transformers has modules of its own for. */
async function oneLayer(from: string, to: string): Promise<void> {
  const { config, weights, tokenizer } = readModelDirectory(
    await readDirectoryFiles(join(out as string, from), 2 ** 30),
  );
  const { 'head.dense.weight': dense, ...rest } = Object.fromEntries(weights) as Record<string, NamedTensor>;
  const { data, shape } = dense as NamedTensor;
  const [rows, columns] = shape as [number, number];
  const width = config.hiddenSize;
  const narrow = Float32Array.from({ length: rows * width }, (_, i) => {
    return data[Math.floor(i / width) * columns + columns - width + (i % width)] as number;
  });
  const single = { name: 'head.dense.weight', shape: [rows, width], data: narrow };
  await writeDirectoryFiles(
    join(out as string, to),
    writeModelDirectory({
      config: parseBertConfig({ ...config.raw, tacit: { head: 'mean', layers: [config.layers] } }),
      weights: new Map([...Object.entries(rest), ['head.dense.weight', single]]),
      tokenizer,
    }),
  );
}

/** A checkpoint with both pre-training heads, and what it says at the masks of some texts. */
async function pretrained(name: string) {
  const { config, weights, tokenizer } = readModelDirectory(await readDirectoryFiles(mini, 2 ** 30));
  const pieces = openTokenizer(tokenizer);
  const encoded = texts.slice(0, 12).map((text) => [...pieces.encode(`${text} [MASK] and [MASK].`, 64).ids]);
  const shape = { batch: 1, tokens: 64, masked: 10 };
  const engine = onnxCpuEngine();
  const rng = seededRng('interop heads');
  const bert = await createPretraining({ engine, config, weights, shape, nextSentence: true, rng });
  const files = writeModelDirectory({ config, weights: bert.weightsNow(), tokenizer, pretraining: true });
  await writeDirectoryFiles(join(out as string, name), files);
  const answers = [];
  for (const ids of encoded) {
    const inputIds = Int32Array.from(ids);
    const { predictions, nextSentence } = await bert.logits({
      inputIds,
      attentionMask: new Int32Array(ids.length).fill(1),
      tokenTypeIds: new Int32Array(ids.length),
      labels: inputIds.map((id) => (id === pieces.special.mask ? 0 : NOT_PREDICTED)),
      nextSentenceLabel: new Int32Array(1),
      tokens: ids.length,
    });
    answers.push({ ids, predictions: [...predictions], nextSentence: [...nextSentence] });
  }
  await bert.dispose();
  return answers;
}

/** Our own logits and features of a directory, with our own tokenizer. */
async function numbers(name: string): Promise<{ logits: number[][]; features: number[][]; ids: number[][] }> {
  const model: ModelDirectory = readModelDirectory(await readDirectoryFiles(join(out as string, name), 2 ** 30));
  const { config, weights, head, tokenizer } = model;
  const pieces = openTokenizer(tokenizer);
  const shape = { batch: 8, tokens: 128 };
  const examples = texts.map((text) => ({ ids: pieces.encode(text, shape.tokens).ids, label: 0 }));
  const rng = seededRng('unused');
  const engine = onnxCpuEngine();
  const bert = await createBert({
    engine,
    config,
    weights,
    head,
    labels: 2,
    task: 'single_label',
    trainable: 'head',
    shape,
    rng,
  });
  const logits = await logitsOf(bert, examples, 2, shape);
  const features = await createFeatureCache(bert, examples, shape).rows(texts.map((_, i) => i));
  await bert.dispose();
  const split = (x: Float32Array, width: number) => texts.map((_, i) => [...x.subarray(i * width, (i + 1) * width)]);
  return {
    logits: split(logits, 2),
    features: split(features, bert.featureLength),
    ids: examples.map((e) => [...e.ids]),
  };
}
