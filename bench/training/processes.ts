import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { readModelDirectory, writeModelDirectory } from '../../shared/bert/directory.ts';
import { createBert } from '../../shared/bert/model.ts';
import { seededRng } from '../../shared/core/rng.ts';
import { readDirectoryFiles, writeDirectoryFiles } from '../../shared/node/directory-files.ts';
import { onnxCpuEngine, selectNodeEngine } from '../../shared/node/engines.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import { createTokenizer } from '../../shared/text/tokenizer.ts';
import { clippedGradientSum } from '../../shared/training/dp-fedsgd.ts';
import { atMost, type BenchRow } from '../row.ts';
import { cpuMs } from './cpu.ts';
import { configOf, examplesOf, l2Clip, openTrainee, type Shape, shapes, weightsOf } from './ours.ts';

const run = promisify(execFile);
const MEBIBYTE = 2 ** 20;

/** What a child process measures when the bench is started again with these words. */
export const children: Readonly<Record<string, (words: readonly string[]) => Promise<unknown>>> = {
  memory: ([name = '', steps = '']) => memoryCurve(name, Number(steps)),
  start: ([directory = '']) => firstStep(directory),
};

async function inChild<T>(words: readonly string[]): Promise<T> {
  const main = join(packageRoot, 'dist', 'bench', 'training.js');
  const { stdout } = await run(process.execPath, [main, '--child', ...words], { maxBuffer: 2 ** 24 });
  return JSON.parse(stdout) as T;
}

interface Curve {
  /** Resident MiB after each step. */
  readonly rss: readonly number[];
  readonly peak: number;
}

async function memoryCurve(name: string, steps: number): Promise<Curve> {
  const shape = shapes[name] as Shape;
  const config = configOf(shape);
  const trainee = await openTrainee(onnxCpuEngine(), shape, config, weightsOf(config), 'all');
  const rss: number[] = [];
  for (let step = 0; step < steps; step++) {
    await trainee.step(l2Clip);
    rss.push(Math.round(process.memoryUsage.rss() / MEBIBYTE));
    if (step % 10 === 9) console.error(`${name} step ${step + 1} of ${steps}: ${rss.at(-1)} MiB`);
  }
  return { rss, peak: Math.round(process.resourceUsage().maxRSS / 1024) };
}

/** Private full fine-tuning in a process of its own: the peak, and whether later steps hold more than early ones. */
export async function memoryRows(name: string, steps: number): Promise<BenchRow[]> {
  const { rss, peak } = await inChild<Curve>(['memory', name, String(steps)]);
  const settled = rss.slice(Math.min(10, Math.floor(rss.length / 4)));
  const half = Math.ceil(settled.length / 2);
  const [early, late] = [Math.max(...settled.slice(0, half)), Math.max(...settled.slice(-half))];
  const sampled = rss.filter((_, i) => i % Math.max(1, Math.floor(rss.length / 20)) === 0);
  const note = `RSS in MiB over ${rss.length} steps: ${sampled.join(' ')} … ${rss.at(-1)}`;
  const limit = name === 'base' ? 5120 : null;
  return [
    atMost('training', `${name} private full fine-tuning, peak RSS`, { value: peak, unit: 'MiB', note }, limit),
    atMost(
      'training',
      `${name} highest RSS of the later half of ${rss.length} steps ÷ of the earlier`,
      { value: late, unit: 'MiB', baseline: early },
      1.02,
    ),
  ];
}

/** Milliseconds since the process began when the first private step on a checkpoint is done. */
async function firstStep(directory: string): Promise<Readonly<Record<string, number>>> {
  const shape = shapes['minilm'] as Shape;
  const imported = performance.now();
  const { config, weights } = readModelDirectory(await readDirectoryFiles(directory, 2 ** 31));
  const loaded = performance.now();
  const { engine } = await selectNodeEngine();
  const proved = performance.now();
  const { batch, tokens } = shape;
  const options = {
    engine,
    config,
    weights,
    head: 'pooler',
    labels: 2,
    task: 'single_label',
    trainable: 'all',
  } as const;
  const bert = await createBert({ ...options, shape: { batch, tokens }, rng: seededRng('bench') });
  const examples = examplesOf(shape);
  await clippedGradientSum({ bert, examples, indices: [...examples.keys()], l2Clip, shape });
  return { imported, loaded, proved, done: performance.now() };
}

/** From the start of a process to its first useful step. Nothing is cached between processes but by the operating system. */
export async function startRows(): Promise<BenchRow[]> {
  const directory = await mkdtemp(join(tmpdir(), 'tacit-bench-'));
  try {
    const config = configOf(shapes['minilm'] as Shape);
    await writeDirectoryFiles(
      directory,
      writeModelDirectory({ config, weights: weightsOf(config), tokenizer: new Map() }),
    );
    const runs: Record<string, number>[] = [];
    for (let i = 0; i < 3; i++) runs.push(await inChild(['start', directory]));
    const [first, ...warm] = runs.map((r) => r['done'] as number) as [number, ...number[]];
    const note = `ms, first process: ${Object.entries(runs[0] ?? {})
      .map(([k, v]) => `${k} ${Math.round(v)}`)
      .join(', ')}`;
    return [
      atMost(
        'training',
        'minilm first private step after start, first process',
        { value: first, unit: 'ms', note },
        5000,
      ),
      atMost(
        'training',
        'minilm first private step after start, later process',
        { value: Math.min(...warm), unit: 'ms' },
        5000,
      ),
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Tokenising English text with the shipped vocabulary, beside the step that its tokens feed. */
export async function textRows(privateStepMs: number): Promise<BenchRow[]> {
  const vocabulary = await readFile(join(packageRoot, 'models', 'tacit-mini', 'vocab.txt'), 'utf8');
  const tokenizer = createTokenizer({ vocabulary });
  const documents = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'docs/PROTOCOL.md', 'docs/PLAN.md', 'docs/HTTP.md'];
  const texts = await Promise.all(documents.map((file) => readFile(join(packageRoot, file), 'utf8')));
  const paragraphs = texts.flatMap((text) => text.split(/\n\n+/));
  const bytes = Buffer.byteLength(paragraphs.join(''));
  let pieces = 0;
  const round = async (): Promise<void> => {
    pieces = 0;
    for (const text of paragraphs) pieces += tokenizer.encode(text, 512).ids.length;
  };
  await round();
  const ms = Math.min(await cpuMs(round), await cpuMs(round), await cpuMs(round));
  const { batch, tokens } = shapes['minilm'] as Shape;
  const share = (ms * batch * tokens) / pieces;
  const speed = bytes / 1000 / ms;
  return [
    {
      ...atMost('training', 'tokenisation', { value: speed, unit: 'MB/s a core' }, null),
      note: 'either this or the next is to hold: >= 20',
    },
    atMost(
      'training',
      'tokenisation of a minilm batch ÷ its private step',
      { value: share, unit: 'cpu ms', baseline: privateStepMs },
      0.05,
    ),
  ];
}
