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
const headFor = (rounds: number, share = 1): StageWords => ({
  algorithm: 'dp-fedsgd',
  train: 'head',
  rounds,
  samplingProbability: 1,
  l2Clip: 0.2,
  share,
  server: sgd(5, Math.ceil(rounds / 2)),
});
const deep = (train: object, over: Readonly<Record<string, unknown>> = {}): StageWords => ({
  algorithm: 'dp-fedsgd',
  train,
  rounds: 8,
  samplingProbability: 0.25,
  l2Clip: 0.2,
  server: sgd(0.5, 4),
  ...over,
});
const lora = (rank: number, targets: readonly string[]): object => ({ lora: { rank, alpha: 2 * rank, targets } });
const EVERY = ['query', 'key', 'value', 'attention.output.dense', 'intermediate.dense', 'output.dense'];
const lastBlock = { layers: [1] };

/** What is tried: how much of BERT trains, in which order, with which share of the budget, clip, rate and batches. */
const PLANS: Readonly<Record<string, readonly StageWords[]>> = {
  'head alone': [headFor(100)],
  'head 9 : LoRA r4 query, value 1': [headFor(60, 9), deep(lora(4, ['query', 'value']))],
  'head 9 : LoRA r4 every linear layer 1': [headFor(60, 9), deep(lora(4, EVERY))],
  'head 9 : last block and head 1': [headFor(60, 9), deep(lastBlock)],
  'head 9 : last block and head 1, rate 0.1': [headFor(60, 9), deep(lastBlock, { server: sgd(0.1, 4) })],
  'head 1 : last block and head 1': [headFor(60, 1), deep(lastBlock)],
  'head 1 : LoRA r4 query, value 1': [headFor(60, 1), deep(lora(4, ['query', 'value']))],
  'head 9 : LoRA r4 query, value 1, rate 2': [headFor(60, 9), deep(lora(4, ['query', 'value']), { server: sgd(2, 4) })],
  'head 9 : LoRA r4 query, value 1, clip 0.05': [
    headFor(60, 9),
    deep(lora(4, ['query', 'value']), { l2Clip: 0.05, server: sgd(0.5, 4) }),
  ],
  'head 9 : LoRA r4 query, value 1, one round of all': [
    headFor(60, 9),
    deep(lora(4, ['query', 'value']), { rounds: 2, samplingProbability: 1, server: sgd(2, 1) }),
  ],
  'LoRA r4 query, value and head alone': [
    deep(lora(4, ['query', 'value']), { rounds: 16, samplingProbability: 0.25, server: sgd(4, 8) }),
  ],
  'LoRA 1 : head 9': [deep(lora(4, ['query', 'value'])), headFor(60, 9)],
};

/**
 * Which plan trains best under ε 3, by validation mails alone: nothing here reads a test mail. The same splits, seeds
 * and noise draws' seeds for every plan, so that differences to the head alone are paired.
 */
async function search(options: { splits: number; seeds: number; results: string; only: string | undefined }) {
  const base = parse(readFileSync('plans/head.yaml', 'utf8')) as Record<string, unknown>;
  const { splits, records } = await mailSplits(options.splits);
  const rows: BenchRow[] = [];
  let reference: number | null = null;
  for (const [name, stages] of Object.entries(PLANS)) {
    if (options.only !== undefined && reference !== null && !name.includes(options.only)) continue;
    const plan = parsePlan({ ...base, name: 'search', stages, evaluation: { every: 4 } }, name);
    const runs = new PlanRuns(plan, directoryOf(plan), records, options.results);
    const found: { accuracy: number; loss: number }[] = [];
    for (const [i, split] of splits.entries()) {
      for (let seed = 1; seed <= options.seeds; seed++) {
        const privacy = { ...EXACT_NOISE, epsilon: requirePromise(plan).epsilon, noise: true };
        const { validation } = await runs.run(split, i + 1, seed, privacy);
        found.push(validation);
        console.error(`${name}, split ${i + 1}, seed ${seed}: ${(100 * validation.accuracy).toFixed(2)}`);
      }
    }
    await runs.dispose();
    const accuracy = 100 * mean(found.map((v) => v.accuracy));
    reference ??= accuracy;
    rows.push(row(`${name}, validation`, accuracy, '%', reference));
    rows.push(row(`${name}, validation loss`, mean(found.map((v) => v.loss)), 'nats', null));
  }
  return rows;
}

function row(name: string, value: number, unit: string, baseline: number | null): BenchRow {
  const ratio = baseline === null ? null : value / baseline;
  return { bench: 'search', row: name, value, unit, baseline, ratio, target: null, holds: null };
}

const { values } = parseArgs({
  options: {
    splits: { type: 'string', default: '2' },
    seeds: { type: 'string', default: '1' },
    results: { type: 'string', default: join(tmpdir(), 'tacit-utility.jsonl') },
    only: { type: 'string' },
  },
});
const rows = await search({ ...values, splits: Number(values.splits), seeds: Number(values.seeds), only: values.only });
for (const each of rows) console.log(JSON.stringify(each));
