import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { readSpamAssassin, splitSpamAssassin } from '../shared/node/datasets/spam-assassin.ts';
import { type Plan, parsePlan } from '../shared/protocol/plan.ts';
import { requireFedSgd, trainInWords } from '../shared/protocol/plan-stage.ts';
import { bagOfWords } from './bag-of-words.ts';
import { PlanBench, type PlanOutcome } from './plan-run.ts';
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
}

/**
 * Accuracy of plans on the real mails, with the real sampling, clipping, noise and server step: the mean over splits
 * and seeds of what the model that validation chose scores on test mails.
 */
export async function utilityBench(options: UtilityOptions, log: (line: string) => void): Promise<BenchRow[]> {
  const corpus = await readSpamAssassin();
  const splits = Array.from({ length: options.splits }, (_, i) => splitSpamAssassin(corpus, i + 1));
  const records = corpus.kept.map((k) => k.record);
  const floor = mean(splits.map((s) => s.test.filter((r) => r.label === 'ham').length / s.test.length));
  const words = splits.map(
    (s) =>
      bagOfWords(
        s.silos.flatMap((o) => o.records),
        s.test,
        'spam',
      ).accuracy,
  );
  const rows = [percent('always ham', floor), percent('bag of words, not private', mean(words))];
  for (const plan of options.plans) {
    const bench = new PlanBench(plan, options.model ?? directoryOf(plan), records);
    let plain: number | null = null;
    for (const epsilon of options.epsilons) {
      const noise = epsilon !== Number.POSITIVE_INFINITY;
      const cohort = options.cohort === 'exact' ? { minimumCohort: 5, colluders: 0 } : plan.secureAggregation;
      const runs: PlanOutcome[] = [];
      for (const [i, split] of splits.entries()) {
        for (let seed = 1; seed <= options.seeds; seed++) {
          runs.push(
            await bench.run(
              split,
              { ...cohort, epsilon: noise ? epsilon : 1, noise },
              `${plan.name} ${i} ${seed} ${epsilon}`,
            ),
          );
          log(
            `${plan.name}, epsilon ${epsilon}, split ${i + 1}, seed ${seed}: ${describe(runs.at(-1) as PlanOutcome)}`,
          );
          if (!noise && plan.stages.every((s) => requireFedSgd(s).samplingProbability === 1)) break;
        }
      }
      const name = `${plan.name}, ${noise ? `epsilon ${epsilon}` : 'no noise'}`;
      const accuracy = mean(runs.map((r) => r.test.accuracy));
      plain = noise ? plain : accuracy;
      rows.push(percent(name, accuracy, plain));
      rows.push(percent(`${name}, F1 of spam`, mean(runs.map((r) => r.test.f1))));
      if (plan.stages.length > 1) {
        for (const [s, { train }] of plan.stages.entries()) {
          rows.push(
            percent(
              `${name}, best of stage ${s + 1} (${trainInWords(train)})`,
              mean(runs.map((r) => r.stages[s]?.accuracy as number)),
            ),
          );
        }
      }
    }
    await bench.dispose();
  }
  return rows;
}

/** A new model is another one at every run: there is nothing to compare. */
function directoryOf({ model }: Plan): string {
  if (typeof model.from === 'string') return model.from;
  throw new Error('the utility bench needs a plan that starts from a directory; give --model');
}

function percent(row: string, share: number, baseline: number | null = null): BenchRow {
  const least = row.endsWith('head, epsilon 3') ? 94 : row.endsWith('spam, epsilon 3') ? 93.5 : null;
  return atLeast('utility', row, 100 * share, '%', least, baseline === null ? null : 100 * baseline);
}

const describe = (o: PlanOutcome): string =>
  `${(100 * o.test.accuracy).toFixed(2)} (stages ${o.stages.map((s) => (100 * s.accuracy).toFixed(2)).join(' ')})`;

const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;

if (process.argv[1] === import.meta.filename) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      model: { type: 'string' },
      splits: { type: 'string', default: '4' },
      seeds: { type: 'string', default: '3' },
      epsilons: { type: 'string', default: 'none,3,1' },
      cohort: { type: 'string', default: 'exact' },
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
    },
    (line) => console.error(`[${((performance.now() - start) / 1000).toFixed(1)} s] ${line}`),
  );
  for (const row of rows) console.log(JSON.stringify(row));
}
