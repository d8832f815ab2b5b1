import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { readSpamAssassin, splitSpamAssassin } from '../shared/node/datasets/spam-assassin.ts';
import { type Plan, parsePlan, requirePromise } from '../shared/protocol/plan.ts';
import { requireFedSgd, trainInWords } from '../shared/protocol/plan-stage.ts';
import type { PreparedMail } from '../shared/text/mail-corpus.ts';
import type { TextRecord } from '../shared/text/record.ts';
import type { Metrics } from '../shared/training/metrics.ts';
import { bagOfWords } from './bag-of-words.ts';
import { KeptResults } from './kept-results.ts';
import { PlanBench, type PlanOutcome, type RunPrivacy, type Scores, type Setting } from './plan-run.ts';
import { atLeast, type BenchRow } from './row.ts';

export interface UtilityOptions {
  readonly plans: readonly Plan[];
  /** Another model directory than the plans name. */
  readonly model?: string;
  readonly splits: number;
  readonly seeds: number;
  /** Infinity: clipped, without noise. */
  readonly epsilons: readonly number[];
  /** Sum of five silos with noise sized for how many of them: the exact noise is 5 and 0. */
  readonly cohort: 'plan' | 'exact';
  /** Single runs are kept here. */
  readonly results: string;
}

/** A split, or one without its test mails. */
type SplitOf = Parameters<PlanBench['run']>[1];

/** Runs of plans of one setting, each done once for a results file. */
export class PlanRuns {
  readonly #bench: PlanBench;
  readonly #modelSha256: string;
  readonly #kept: KeptResults<PlanOutcome>;

  constructor(setting: Setting, directory: string, records: readonly TextRecord[], results: string) {
    this.#bench = new PlanBench(setting, directory, records);
    this.#kept = new KeptResults(results);
    const weights = readFileSync(join(directory, 'model.safetensors'));
    this.#modelSha256 = createHash('sha256').update(weights).digest('hex');
  }

  run(plan: Plan, split: SplitOf, splitSeed: number, seed: number, privacy: RunPrivacy): Promise<PlanOutcome> {
    const { task, stages, evaluation, model } = plan;
    const words = { task, stages, evaluation, maxTokens: model.maxTokens, delta: requirePromise(plan).delta };
    const decides = { plan: words, model: this.#modelSha256, splitSeed, seed, privacy };
    return this.#kept.get(split.test === undefined ? { ...decides, search: true } : decides, () =>
      this.#bench.run(plan, split, privacy, `${splitSeed} ${seed} ${privacy.noise ? privacy.epsilon : 'none'}`),
    );
  }

  dispose(): Promise<void> {
    return this.#bench.dispose();
  }
}

/** The mails on so many splits. */
export async function mailSplits(count: number): Promise<{ splits: PreparedMail[]; records: TextRecord[] }> {
  const corpus = await readSpamAssassin();
  const splits = Array.from({ length: count }, (_, i) => splitSpamAssassin(corpus, i + 1));
  return { splits, records: corpus.kept.map((k) => k.record) };
}

export const EXACT_NOISE = { minimumCohort: 5, colluders: 0 };

/**
 * Accuracy of plans on the real mails, with the real sampling, clipping, noise and server step: the mean over splits
 * and seeds of what the model that validation chose scores on test mails.
 */
export async function utilityBench(options: UtilityOptions, log: (line: string) => void): Promise<BenchRow[]> {
  const { splits, records } = await mailSplits(options.splits);
  const floor = mean(splits.map((s) => s.test.filter((r) => r.label === 'ham').length / s.test.length));
  const words = splits.map((s) => bagOfWords(trainingMails(s), s.test, 'spam'));
  const rows = [
    percent('always ham', floor),
    percent('bag of words, not private', mean(words.map((m) => m.accuracy))),
    percent('bag of words, not private, F1 of spam', mean(words.map((m) => m.f1))),
  ];
  for (const plan of options.plans) {
    const runs = new PlanRuns(plan, options.model ?? directoryOf(plan), records, options.results);
    let plain: number | null = null;
    for (const epsilon of options.epsilons) {
      const outcomes = await outcomesOf(plan, runs, splits, epsilon, options, log);
      const name = `${plan.name}, ${epsilon === Number.POSITIVE_INFINITY ? 'no noise' : `epsilon ${epsilon}`}`;
      const accuracy = mean(outcomes.map((o) => testOf(o).accuracy));
      rows.push(...rowsOf(name, plan, outcomes, plain));
      if (epsilon === Number.POSITIVE_INFINITY) plain = accuracy;
      else if (plain !== null) rows.push(lossOfPrivacy(name, epsilon, plain - accuracy));
    }
    await runs.dispose();
  }
  return rows;
}

async function outcomesOf(
  plan: Plan,
  runs: PlanRuns,
  splits: readonly PreparedMail[],
  epsilon: number,
  options: UtilityOptions,
  log: (line: string) => void,
): Promise<PlanOutcome[]> {
  const noise = epsilon !== Number.POSITIVE_INFINITY;
  const cohort = options.cohort === 'exact' ? EXACT_NOISE : plan.secureAggregation;
  const { minimumCohort, colluders } = cohort;
  const outcomes: PlanOutcome[] = [];
  for (const [i, split] of splits.entries()) {
    for (let seed = 1; seed <= options.seeds; seed++) {
      const privacy = { minimumCohort, colluders, epsilon: noise ? epsilon : 1, noise };
      const outcome = await runs.run(plan, split, i + 1, seed, privacy);
      outcomes.push(outcome);
      log(`${plan.name}, epsilon ${epsilon}, split ${i + 1}, seed ${seed}: validation ${describe(outcome)}`);
      // Without noise and sampling nothing is left to chance.
      if (!noise && plan.stages.every((s) => requireFedSgd(s).samplingProbability === 1)) break;
    }
  }
  return outcomes;
}

function rowsOf(name: string, plan: Plan, outcomes: readonly PlanOutcome[], plain: number | null): BenchRow[] {
  const over = (of: (o: PlanOutcome) => Metrics, key: 'accuracy' | 'f1'): number =>
    mean(outcomes.map((o) => of(o)[key]));
  const stages = plan.stages.map(({ train }, s) => {
    const accuracy = over((o) => testOf(o.stages[s] as Scores), 'accuracy');
    return percent(`${name}, best of stage ${s + 1} (${trainInWords(train)})`, accuracy);
  });
  return [
    percent(name, over(testOf, 'accuracy'), plain),
    percent(`${name}, F1 of spam`, over(testOf, 'f1')),
    ...(stages.length > 1 ? stages : []),
  ];
}

function testOf({ test }: Scores): Metrics {
  return test as Metrics;
}

/** Points of accuracy that the noise costs. */
function lossOfPrivacy(name: string, epsilon: number, loss: number): BenchRow {
  const most = epsilon === 3 ? 2 : epsilon === 1 ? 3 : null;
  return {
    bench: 'utility',
    row: `${name}, under no noise`,
    value: 100 * loss,
    unit: 'points',
    baseline: null,
    ratio: null,
    target: most === null ? null : `<= ${most}`,
    holds: most === null ? null : 100 * loss <= most,
  };
}

export function trainingMails(split: PreparedMail): TextRecord[] {
  return split.silos.flatMap((o) => o.records);
}

/** A new model is another one at every run: there is nothing to compare. */
export function directoryOf({ model }: Plan): string {
  if (typeof model.from === 'string') return model.from;
  throw new Error('the utility bench needs a plan that starts from a directory; give --model');
}

function percent(row: string, share: number, baseline: number | null = null): BenchRow {
  const least = row.endsWith('head, epsilon 3') ? 94 : row.endsWith('spam, epsilon 3') ? 93.5 : null;
  return atLeast('utility', row, 100 * share, '%', least, baseline === null ? null : 100 * baseline);
}

const describe = (o: PlanOutcome): string =>
  `${(100 * o.validation.accuracy).toFixed(2)} (stages ${o.stages.map((s) => (100 * s.validation.accuracy).toFixed(2)).join(' ')})`;

export const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;

if (process.argv[1] === import.meta.filename) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      model: { type: 'string' },
      splits: { type: 'string', default: '4' },
      seeds: { type: 'string', default: '3' },
      epsilons: { type: 'string', default: 'none,3,1' },
      cohort: { type: 'string', default: 'exact' },
      results: { type: 'string', default: join(tmpdir(), 'tacit-utility.jsonl') },
    },
  });
  const files = positionals.length > 0 ? positionals : ['plans/head.yaml', 'plans/quickstart.yaml'];
  const start = performance.now();
  const rows = await utilityBench(
    {
      plans: files.map((file) => parsePlan(parse(readFileSync(file, 'utf8')), file)),
      ...(values.model === undefined ? {} : { model: values.model }),
      splits: Number(values.splits),
      seeds: Number(values.seeds),
      epsilons: values.epsilons.split(',').map((e) => (e === 'none' ? Number.POSITIVE_INFINITY : Number(e))),
      cohort: values.cohort === 'plan' ? 'plan' : 'exact',
      results: values.results,
    },
    (line) => console.error(`[${((performance.now() - start) / 1000).toFixed(1)} s] ${line}`),
  );
  for (const row of rows) console.log(JSON.stringify(row));
}
