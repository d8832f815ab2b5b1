import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { PartialRun, teacherOutputFile } from '../../shared/node/partial-run.ts';
import type { DistillationStep } from '../../shared/training/distillation/distil.ts';
import { makeDistilled } from '../../shared/training/distillation/make-distilled.ts';
import { numbersPerBlock } from '../../shared/training/distillation/teacher.ts';
import { makeCorpus } from './corpus.ts';
import { modelCard } from './model-card.ts';
import { fetchTeacher } from './teacher.ts';

/**
 * Makes models/tacit-mini again. Build with `npx tsc -b scripts`, then
 * `node dist/scripts/checkpoint/make.js [--out models/tacit-mini] [--cache .cache/checkpoint]`.
 * Needs npm and pip, and on Debian 12 apt-get and dpkg-deb, for the corpus and the teacher. Ctrl-C saves; the same
 * command goes on (`--minutes-before`: CPU minutes so far, for the model card). With `--losses N` it takes the first N steps only, compares their losses with those in
 * losses.json, and writes nothing.
 */
const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'models/tacit-mini' },
    cache: { type: 'string', default: '.cache/checkpoint' },
    seed: { type: 'string', default: 'tacit-mini' },
    steps: { type: 'string', default: '3000' },
    width: { type: 'string', default: '256' },
    vocabulary: { type: 'string', default: '12288' },
    readings: { type: 'string', default: '40960' },
    'minutes-before': { type: 'string', default: '0' },
    losses: { type: 'string' },
  },
});
const KEPT_LOSSES = new URL('../../../scripts/checkpoint/losses.json', import.meta.url);
const recipe = {
  seed: values.seed,
  steps: Number(values.steps),
  readings: Number(values.readings),
  hiddenSize: Number(values.width),
  layers: 2,
  vocabularySize: Number(values.vocabulary),
  pieces: 3072,
  learningRate: 8e-4,
};
const wanted = values.losses === undefined ? undefined : Number(values.losses);
const corpus = makeCorpus(values.cache, console.log);
console.log(`corpus ${corpus.sha256}`);
const { teacher, sha256: teacherSha256 } = fetchTeacher(values.cache);
const identity = { ...recipe, corpus: corpus.sha256, teacher: teacherSha256 };
const partial = await PartialRun.open(join(values.cache, `distil-${recipe.seed}-${recipe.hiddenSize}`), identity);
const outputs = teacherOutputFile(
  join(values.cache, `teacher-${recipe.seed}-${corpus.sha256.slice(0, 8)}-${teacherSha256.slice(0, 8)}.f32`),
  numbersPerBlock(teacher.config),
);

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
const history: number[] = [];
/** Of the whole making: `--minutes-before` has those of earlier runs that this one goes on from. */
const minutes = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 60e6 + Number(values['minutes-before']);
};
const resumed = wanted === undefined && partial.state !== undefined ? { state: partial.state } : {};
if (wanted === undefined) history.push(...partial.losses);
const made = await makeDistilled({
  ...recipe,
  ...resumed,
  engine: onnxCpuEngine(),
  texts: corpus.files.map((file) => readFileSync(file, 'utf8')),
  teacher,
  outputs,
  signal: stop.signal,
  onStage: (stage) => console.log(`${minutes().toFixed(1)} CPU min: ${stage}`),
  onBlock: (done, of) => {
    if (done % 50 === 0) console.log(`${minutes().toFixed(1)} CPU min: teacher ${done}/${of}`);
  },
  onStep,
});
outputs.close();
if (wanted !== undefined) process.exitCode = compareLosses(wanted);
else if ('files' in made) {
  const facts = { corpus, recipe, history, pieces: made.pieces, cpuMinutes: minutes(), files: made.files };
  const files = new Map([...made.files, ['README.md', Buffer.from(modelCard({ ...facts, teacherSha256 }))] as const]);
  mkdirSync(values.out, { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(values.out, name), bytes);
  writeFileSync(join(values.cache, 'losses.json'), `${JSON.stringify(history)}\n`);
  await partial.remove();
  console.log(`${minutes().toFixed(1)} CPU min: written to ${values.out}; losses in ${values.cache}/losses.json`);
} else if (made.state !== undefined) {
  await partial.save(made.state, history);
  console.log(`stopped after step ${made.state.step}; the same command goes on`);
}

function onStep({ step, steps, loss, cosine }: DistillationStep): void {
  history.push(loss);
  if (step === wanted) stop.abort();
  if (step % 50 === 0 || step === wanted)
    console.log(
      `${minutes().toFixed(1)} CPU min: step ${step}/${steps}: loss ${loss.toFixed(4)}, cosine ${cosine.toFixed(4)}`,
    );
}

/** The same machine type and onnxruntime give the same numbers; others differ in the last digits, which training amplifies. */
function compareLosses(count: number): number {
  const kept = existsSync(KEPT_LOSSES) ? (JSON.parse(readFileSync(KEPT_LOSSES, 'utf8')) as number[]) : [];
  let worst = 0;
  for (const [i, loss] of history.entries()) {
    const expected = kept[i] ?? Number.NaN;
    worst = Math.max(worst, Math.abs(loss - expected) / expected);
    console.log(`step ${i + 1}: ${loss.toFixed(6)}, kept ${expected.toFixed(6)}`);
  }
  const same = history.length === count && worst < 1e-3;
  console.log(
    `${history.length} losses, worst relative difference ${worst.toExponential(1)}: ${same ? 'the same' : 'NOT the same'}`,
  );
  return same ? 0 : 1;
}
