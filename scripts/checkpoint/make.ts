import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-node';
import { createOnnxEngine } from '../../shared/engine/onnx/engine.ts';
import { makeCheckpoint } from '../../shared/training/pretraining/checkpoint.ts';
import type { PretrainingStep } from '../../shared/training/pretraining/pretrain.ts';
import { type Corpus, makeCorpus } from './corpus.ts';
import { modelCard } from './model-card.ts';

/**
 * Makes models/tacit-mini again. Build with `npx tsc -b scripts`, then
 * `node dist/scripts/checkpoint/make.js [--out models/tacit-mini] [--cache .cache/checkpoint] [--steps N] [--width N]`.
 * Needs npm, and on Debian 12 apt-get and dpkg-deb, for the corpus. Ctrl-C ends the training and saves.
 */
const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'models/tacit-mini' },
    cache: { type: 'string', default: '.cache/checkpoint' },
    seed: { type: 'string', default: 'tacit-mini' },
    steps: { type: 'string', default: '1500' },
    width: { type: 'string', default: '128' },
  },
});
const recipe = {
  steps: Number(values.steps),
  hiddenSize: Number(values.width),
  layers: 2,
  batch: 32,
  tokens: 128,
  learningRate: 1e-3,
};
const corpus: Corpus = makeCorpus(values.cache, console.log);
console.log(`corpus ${corpus.sha256}`);

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
const before = process.cpuUsage();
const minutes = (): number => {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 60e6;
};
const { files, history, pieces } = await makeCheckpoint({
  ...recipe,
  engine: createOnnxEngine(ort),
  texts: corpus.files.map((file) => readFileSync(file, 'utf8')),
  seed: values.seed,
  signal: stop.signal,
  onStage: (stage) => console.log(`${minutes().toFixed(1)} CPU min: ${stage}`),
  onStep: reportEvery(50),
});
files.set(
  'README.md',
  Buffer.from(modelCard({ corpus, recipe, seed: values.seed, history, pieces, cpuMinutes: minutes(), files })),
);
mkdirSync(values.out, { recursive: true });
for (const [name, bytes] of files) writeFileSync(join(values.out, name), bytes);
console.log(`${minutes().toFixed(1)} CPU min: written to ${values.out}`);

function reportEvery(count: number): (step: PretrainingStep) => void {
  let start = 0;
  return ({ step, steps, maskedLoss, nextSentenceLoss }) => {
    if (step === 1) start = minutes();
    else if (step % count === 0) {
      const left = ((minutes() - start) / (step - 1)) * (steps - step);
      const losses = `masked ${maskedLoss.toFixed(3)}, next ${nextSentenceLoss.toFixed(3)}`;
      console.log(`step ${step}/${steps}: ${losses}, about ${left.toFixed(1)} CPU min left`);
    }
  };
}
