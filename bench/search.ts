import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { parsePlan, requirePromise } from '../shared/protocol/plan.ts';
import type { BenchRow } from './row.ts';
import { directoryOf, EXACT_NOISE, mailSplits, mean, PlanRuns } from './utility.ts';

/** A stage as a plan file has it. */
type StageWords = Readonly<Record<string, unknown>>;

const sgd = (learningRate: number, average: number) => ({ optimizer: 'sgd', learningRate, momentum: 0.9, average });
const head = (share: number, rounds = 60): StageWords => ({
  algorithm: 'dp-fedsgd',
  train: 'head',
  rounds,
  samplingProbability: 1,
  l2Clip: 0.2,
  share,
  server: sgd(rounds < 100 ? 8 : 5, rounds / 2),
});
/** About one pass over the mails. */
const deep = (train: object, rate = 0.5, over: StageWords = {}): StageWords => ({
  algorithm: 'dp-fedsgd',
  train,
  rounds: 4,
  samplingProbability: 0.25,
  l2Clip: 0.2,
  server: sgd(rate, 2),
  ...over,
});
const EVERY = ['query', 'key', 'value', 'attention.output.dense', 'intermediate.dense', 'output.dense'];
const queryValue = { lora: { rank: 4, alpha: 8, targets: ['query', 'value'] } };
/** Of models/tacit-mini, which has two. */
const everyLinear = { lora: { rank: 4, alpha: 8, targets: EVERY, layers: [1] } };
const lastBlock = { layers: [1] };

/**
 * What is tried: what of BERT trains, in which order, with which share of the budget, clip, rate and batches. One
 * factor at a time around the quickstart's plan: every run of a stage below the head costs a pass forward and back.
 */
const PLANS: Readonly<Record<string, readonly StageWords[]>> = {
  'head alone': [head(1, 100)],
  'head 9, LoRA query and value 1': [head(9), deep(queryValue)],
  'head 9, LoRA query and value 1, rate 0.1': [head(9), deep(queryValue, 0.1)],
  'head 9, LoRA query and value 1, rate 2': [head(9), deep(queryValue, 2)],
  'head 9, LoRA query and value 1, clip 0.05': [head(9), deep(queryValue, 0.5, { l2Clip: 0.05 })],
  'head 9, LoRA query and value 1, two rounds of all': [
    head(9),
    deep(queryValue, 1, { rounds: 2, samplingProbability: 1, server: sgd(1, 1) }),
  ],
  'head 1, LoRA query and value 1': [head(1), deep(queryValue)],
  'head 9, LoRA every linear of the last block 1': [head(9), deep(everyLinear)],
  'head 1, LoRA every linear of the last block 1': [head(1), deep(everyLinear)],
  'head 9, last block and head 1': [head(9), deep(lastBlock)],
  'head 9, last block and head 1, rate 0.1': [head(9), deep(lastBlock, 0.1)],
  'head 1, last block and head 1': [head(1), deep(lastBlock)],
  'LoRA query and value with head, at once': [deep(queryValue, 5, { rounds: 8, server: sgd(5, 4) })],
  'LoRA query and value 1, head 9': [deep(queryValue, 2, { server: sgd(2, 2) }), head(9)],
};

/**
 * Which plan trains best under ε 3, by validation mails alone: runs get their splits without the test mails. The same
 * splits and seeds for every plan, so that differences to the head alone are paired; for the sake of time the model
 * reads a mail's first `tokens` pieces only.
 */
async function search(options: { splits: number; seeds: number; tokens: number; results: string; only: string[] }) {
  const words = parse(readFileSync('plans/head.yaml', 'utf8')) as { model: object };
  const base = { ...words, model: { ...words.model, maxTokens: options.tokens }, evaluation: { every: 2 } };
  const { splits, records } = await mailSplits(options.splits);
  const plans = Object.entries(PLANS).map(([name, stages]) => parsePlan({ ...base, name: 'search', stages }, name));
  const setting = plans[0] as (typeof plans)[number];
  const runs = new PlanRuns(setting, directoryOf(setting), records, options.results);
  const rows: BenchRow[] = [];
  let reference: readonly number[] = [];
  for (const [p, name] of Object.keys(PLANS).entries()) {
    if (options.only.length > 0 && p > 0 && !options.only.includes(name)) continue;
    const plan = plans[p] as (typeof plans)[number];
    const privacy = { ...EXACT_NOISE, epsilon: requirePromise(plan).epsilon, noise: true };
    const accuracies: number[] = [];
    const losses: number[] = [];
    const gains: number[] = [];
    for (const [i, { silos, validation }] of splits.entries()) {
      for (let seed = 1; seed <= options.seeds; seed++) {
        const found = await runs.run(plan, { silos, validation }, i + 1, seed, privacy);
        const stages = found.stages.map((s) => (100 * s.validation.accuracy).toFixed(2)).join(' ');
        accuracies.push(100 * found.validation.accuracy);
        losses.push(found.validation.loss);
        const [first, second] = found.stages.map((s) => 100 * s.validation.accuracy);
        if (second !== undefined) gains.push(second - (first as number));
        console.error(`${name}, split ${i + 1}, seed ${seed}: ${stages}`);
      }
    }
    if (p === 0) reference = accuracies;
    rows.push(row(`${name}, validation`, mean(accuracies), '%', mean(reference)));
    rows.push(row(`${name}, validation loss`, mean(losses), 'nats', null));
    const differences = accuracies.map((accuracy, i) => accuracy - (reference[i] as number));
    if (p > 0) rows.push(...paired(`${name}, over the head alone`, differences));
    if (gains.length > 0) rows.push(...paired(`${name}, second stage over its first`, gains));
  }
  await runs.dispose();
  return rows;
}

/** Mean of differences between runs of the same split and seed, in points, and its standard error. */
function paired(name: string, differences: readonly number[]): BenchRow[] {
  const middle = mean(differences);
  const spread = mean(differences.map((d) => (d - middle) ** 2)) / Math.max(1, differences.length - 1);
  return [row(name, middle, 'points', null), row(`${name}, standard error`, Math.sqrt(spread), 'points', null)];
}

function row(name: string, value: number, unit: string, baseline: number | null): BenchRow {
  const ratio = baseline === null ? null : value / baseline;
  return { bench: 'search', row: name, value, unit, baseline, ratio, target: null, holds: null };
}

const { values } = parseArgs({
  options: {
    splits: { type: 'string', default: '2' },
    seeds: { type: 'string', default: '2' },
    tokens: { type: 'string', default: '64' },
    results: { type: 'string', default: join(tmpdir(), 'tacit-utility.jsonl') },
    only: { type: 'string', multiple: true, default: [] },
  },
});
const numbers = { splits: Number(values.splits), seeds: Number(values.seeds), tokens: Number(values.tokens) };
for (const each of await search({ ...values, ...numbers })) console.log(JSON.stringify(each));
