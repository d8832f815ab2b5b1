/**
 * CPU time of training steps on the onnx engine, one thread: forward and backward, without an optimizer. Plain and
 * private steps alternate and the best of each counts, so that ratios hold on a busy machine. Usage:
 * `node dist/bench/training.js [tiny|minilm|base …]`. Each row is one JSON line.
 */
import process from 'node:process';
import { newBertConfig } from '../shared/bert/config.ts';
import { type Bert, createBert, type LabelledBatch, type Trainable } from '../shared/bert/model.ts';
import { encoderSpecs, initialTensors } from '../shared/bert/parameters.ts';
import { seededRng } from '../shared/core/rng.ts';
import { onnxCpuEngine } from '../shared/node/engines.ts';
import type { BenchRow } from './row.ts';

interface Shape {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly batch: number;
  readonly tokens: number;
  readonly repeats: number;
}

const shapes: Readonly<Record<string, Shape>> = {
  tiny: { layers: 2, hiddenSize: 128, heads: 2, batch: 16, tokens: 64, repeats: 20 },
  minilm: { layers: 6, hiddenSize: 384, heads: 12, batch: 8, tokens: 128, repeats: 5 },
  base: { layers: 12, hiddenSize: 768, heads: 12, batch: 4, tokens: 128, repeats: 3 },
};
const vocabSize = 30522;
const lora: Trainable = { lora: { rank: 8, alpha: 16, targets: ['query', 'value'] } };
/** Highest private ÷ plain of each shape. */
const privateLimit: Readonly<Record<string, number>> = { minilm: 1.15, base: 1.1 };

/** Milliseconds of CPU of one call. */
async function cpu(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Best CPU time of each kind of step, alternating, after one of each to warm up. */
async function bestOf(steps: readonly (() => Promise<unknown>)[], repeats: number): Promise<number[]> {
  for (const step of steps) await step();
  const best = steps.map(() => Number.POSITIVE_INFINITY);
  for (let i = 0; i < repeats; i++) {
    for (const [k, step] of steps.entries()) best[k] = Math.min(best[k] as number, await cpu(step));
  }
  return best;
}

function model(shape: Shape, trainable: Trainable): Promise<Bert> {
  const { layers, hiddenSize, heads, batch, tokens } = shape;
  const config = newBertConfig({
    vocabSize,
    hiddenSize,
    layers,
    heads,
    intermediateSize: 4 * hiddenSize,
    maxPositions: 512,
  });
  const rng = seededRng('bench');
  const weights = initialTensors(encoderSpecs(config), config, rng);
  const engine = onnxCpuEngine();
  return createBert({
    engine,
    config,
    weights,
    head: 'pooler',
    labels: 2,
    task: 'single_label',
    trainable,
    shape: { batch, tokens },
    rng,
  });
}

function fullBatch({ batch, tokens }: Shape): LabelledBatch {
  const rows = batch * tokens;
  return {
    inputIds: Int32Array.from({ length: rows }, (_, i) => 5 + ((i * 7919) % (vocabSize - 5))),
    attentionMask: new Int32Array(rows).fill(1),
    tokenTypeIds: new Int32Array(rows),
    labels: Int32Array.from({ length: batch }, (_, b) => b % 2),
    weights: new Float32Array(batch).fill(1),
  };
}

/** Best times of plain, private and forward steps with what trains. */
async function times(shape: Shape, trainable: Trainable): Promise<{ plain: number; clipped: number; forward: number }> {
  const bert = await model(shape, trainable);
  const batch = fullBatch(shape);
  const into = new Float32Array(bert.trainableLayout.length);
  const steps = [
    () => bert.gradients(batch, { l2Clip: Number.POSITIVE_INFINITY, into }),
    () => bert.gradients(batch, { l2Clip: 0.5, into }),
    () => bert.features(batch),
  ];
  const [plain, clipped, forward] = (await bestOf(steps, shape.repeats)) as [number, number, number];
  await bert.dispose();
  return { plain, clipped, forward };
}

function row(name: string, value: number, unit: string, baseline: number | null, limit: number | null): BenchRow {
  const ratio = baseline === null ? null : value / baseline;
  const target = limit === null ? null : `${ratio === null ? 'value' : 'ratio'} <= ${limit}`;
  return {
    bench: 'training',
    row: name,
    value,
    unit,
    baseline,
    ratio,
    target,
    holds: limit === null ? null : (ratio ?? value) <= limit,
  };
}

/** All rows of one shape. */
export async function trainingRows(name: string): Promise<BenchRow[]> {
  const shape = shapes[name] as Shape;
  const start = performance.now();
  const first = await model(shape, 'all');
  await first.gradients(fullBatch(shape), { l2Clip: 0.5 });
  const startMs = performance.now() - start;
  await first.dispose();
  const all = await times(shape, 'all');
  const low = await times(shape, lora);
  return [
    row(`${name} first private step from nothing, wall`, startMs, 'ms', null, 5000),
    row(`${name} plain step`, all.plain, 'cpu ms', null, null),
    row(`${name} private step against plain`, all.clipped, 'cpu ms', all.plain, privateLimit[name] ?? null),
    row(`${name} private LoRA r8 step against plain LoRA`, low.clipped, 'cpu ms', low.plain, 1.05),
    row(`${name} private LoRA r8 step against full`, low.clipped, 'cpu ms', all.clipped, 0.7),
    row(`${name} frozen features (head round, first time) against full step`, all.forward, 'cpu ms', all.clipped, 0.4),
    row(`${name} peak RSS`, process.resourceUsage().maxRSS / 1024, 'MiB', null, name === 'base' ? 5120 : null),
  ];
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const names = process.argv.slice(2).filter((name) => name in shapes);
  for (const name of names.length > 0 ? names : ['tiny', 'minilm']) {
    for (const line of await trainingRows(name)) console.log(JSON.stringify(line));
  }
}
