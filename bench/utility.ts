import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readModelDirectory } from '../shared/bert/directory.ts';
import { type Bert, createBert } from '../shared/bert/model.ts';
import { seededRng } from '../shared/core/rng.ts';
import { readSpamAssassin, splitSpamAssassin } from '../shared/node/datasets/spam-assassin.ts';
import { onnxCpuEngine } from '../shared/node/engines.ts';
import { calibrateNoise } from '../shared/privacy/accountant/index.ts';
import { mechanismParameters } from '../shared/privacy/mechanism.ts';
import { encodeRecords } from '../shared/text/encode.ts';
import type { PreparedMail } from '../shared/text/mail-corpus.ts';
import type { TextRecord } from '../shared/text/records.ts';
import { createTokenizer } from '../shared/text/tokenizer.ts';
import { centralRounds } from '../shared/training/central.ts';
import { evaluate } from '../shared/training/evaluate.ts';
import { createFeatureCache, type FeatureCache } from '../shared/training/features.ts';
import type { Metrics } from '../shared/training/metrics.ts';
import { bagOfWords } from './bag-of-words.ts';
import { atLeast, type BenchRow } from './row.ts';

export interface UtilityOptions {
  readonly model: string;
  readonly splits: number;
  readonly seeds: number;
  /** Infinity: without noise. */
  readonly epsilons: readonly number[];
  readonly maxTokens: number;
  readonly rounds: number;
  readonly l2Clip: number;
  readonly learningRate: number;
  readonly momentum: number;
  readonly average: number;
  /** Noise of how many of the five silos has to do: minimum cohort less colluders. */
  readonly minimumCohort: number;
  readonly colluders: number;
}

const LABELS = ['ham', 'spam'];
const DELTA = 1e-5;

/**
 * Accuracy of the `head` plan on the real mails, with the real sampling, clipping, noise and server step: the mean over
 * splits and seeds of what the last published model scores on test mails that nothing was chosen on.
 */
export async function utilityBench(options: UtilityOptions, log: (line: string) => void): Promise<BenchRow[]> {
  const corpus = await readSpamAssassin();
  const splits = Array.from({ length: options.splits }, (_, i) => splitSpamAssassin(corpus, i + 1));
  const records = corpus.kept.map((k) => k.record);
  const setup = await loadHead(options, records);
  log(
    `${records.length} mails, features of ${setup.bert.featureLength} numbers, ${setup.bert.trainableLayout.length} trained`,
  );
  const rows: BenchRow[] = [];
  const floor = mean(splits.map((s) => s.test.filter((r) => r.label === 'ham').length / s.test.length)) * 100;
  rows.push(atLeast('utility', 'always ham', floor, '% accuracy', null));
  const words = splits.map((s) =>
    bagOfWords(
      s.silos.flatMap((o) => o.records),
      s.test,
      'spam',
    ),
  );
  rows.push(
    atLeast('utility', 'bag of words, not private', mean(words.map((m) => m.accuracy)) * 100, '% accuracy', null),
  );
  let plain: number | null = null;
  for (const epsilon of options.epsilons) {
    const runs: Metrics[] = [];
    for (const [i, split] of splits.entries()) {
      for (let seed = 1; seed <= options.seeds; seed++)
        runs.push(await headRun(setup, split, options, epsilon, `utility ${i} ${seed} ${epsilon}`));
      log(
        `epsilon ${epsilon}, split ${i + 1}: ${runs
          .slice(-options.seeds)
          .map((m) => (100 * m.accuracy).toFixed(2))
          .join(' ')}`,
      );
    }
    const accuracy = mean(runs.map((m) => m.accuracy)) * 100;
    const name = epsilon === Number.POSITIVE_INFINITY ? 'head, no noise' : `head, epsilon ${epsilon}`;
    plain = epsilon === Number.POSITIVE_INFINITY ? accuracy : plain;
    rows.push(atLeast('utility', name, accuracy, '% accuracy', epsilon === 3 ? 94 : null, plain));
    rows.push(atLeast('utility', `${name}, F1`, mean(runs.map((m) => m.f1)) * 100, '% F1 of spam', null));
  }
  await setup.bert.dispose();
  return rows;
}

interface Setup {
  readonly bert: Bert;
  readonly initial: Float32Array;
  readonly features: FeatureCache;
  readonly examples: ReturnType<typeof encodeRecords>;
  readonly indexOf: ReadonlyMap<string, number>;
  readonly shape: { readonly batch: number; readonly tokens: number };
}

async function loadHead(options: UtilityOptions, records: readonly TextRecord[]): Promise<Setup> {
  const files = new Map(
    readdirSync(options.model).map((name) => [name, readFileSync(join(options.model, name)) as Uint8Array]),
  );
  const directory = readModelDirectory(files);
  const tokenizer = createTokenizer({ tokenizerJson: readFileSync(join(options.model, 'tokenizer.json'), 'utf8') });
  const shape = { batch: 16, tokens: options.maxTokens };
  const bert = await createBert({
    engine: onnxCpuEngine(1),
    config: directory.config,
    weights: directory.weights,
    head: directory.head,
    labels: LABELS.length,
    task: 'single_label',
    trainable: 'head',
    shape,
    rng: seededRng('utility head'),
  });
  const examples = encodeRecords(records, tokenizer, { labels: LABELS, maxTokens: options.maxTokens });
  const indexOf = new Map(records.map((r, i) => [r.id, i]));
  return {
    bert,
    initial: bert.trainable(),
    features: createFeatureCache(bert, examples, shape),
    examples,
    indexOf,
    shape,
  };
}

/** The examples of some records and their share of the features. */
function view(setup: Setup, records: readonly TextRecord[]) {
  const indices = records.map((r) => setup.indexOf.get(r.id) as number);
  const features: FeatureCache = {
    rows: (rows) => setup.features.rows(rows.map((i) => indices[i] as number)),
    cachedBytes: 0,
  };
  return { examples: indices.map((i) => setup.examples[i] as (typeof setup.examples)[number]), features };
}

async function headRun(
  setup: Setup,
  split: PreparedMail,
  options: UtilityOptions,
  epsilon: number,
  seed: string,
): Promise<Metrics> {
  const { bert, shape } = setup;
  const { rounds, l2Clip, minimumCohort, colluders } = options;
  bert.setTrainable(setup.initial);
  const stage = {
    bert,
    shape,
    rounds,
    l2Clip,
    samplingProbability: 1,
    silos: split.silos.map((s) => view(setup, s.records)),
    server: { optimizer: 'sgd', learningRate: options.learningRate, momentum: options.momentum },
    average: options.average,
    rng: seededRng(seed),
  } as const;
  let mechanism: ReturnType<typeof mechanismParameters> | undefined;
  if (epsilon !== Number.POSITIVE_INFINITY) {
    const [noiseMultiplier] = calibrateNoise({
      epsilon,
      delta: DELTA,
      stages: [{ samplingProbability: 1, rounds, share: 1 }],
    });
    const dimension = bert.trainableLayout.length;
    mechanism = mechanismParameters({
      dimension,
      l2Clip,
      noiseMultiplier: noiseMultiplier as number,
      minimumCohort,
      colluders,
      cohortMax: 5,
      ringBits: 32,
    });
  }
  let published = setup.initial;
  for await (const round of centralRounds(mechanism === undefined ? stage : { ...stage, mechanism }))
    published = round.published;
  bert.setTrainable(published);
  const test = view(setup, split.test);
  return evaluate(bert, test.examples, LABELS.length, shape, test.features);
}

const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', default: 'models/tacit-mini' },
      splits: { type: 'string', default: '4' },
      seeds: { type: 'string', default: '3' },
      epsilons: { type: 'string', default: 'none,8,3,1' },
      tokens: { type: 'string', default: '128' },
      rounds: { type: 'string', default: '100' },
      clip: { type: 'string', default: '0.2' },
      rate: { type: 'string', default: '10' },
      momentum: { type: 'string', default: '0.9' },
      average: { type: 'string', default: '50' },
      cohort: { type: 'string', default: '5' },
      colluders: { type: 'string', default: '0' },
    },
  });
  const start = performance.now();
  const rows = await utilityBench(
    {
      model: values.model,
      splits: Number(values.splits),
      seeds: Number(values.seeds),
      epsilons: values.epsilons.split(',').map((e) => (e === 'none' ? Number.POSITIVE_INFINITY : Number(e))),
      maxTokens: Number(values.tokens),
      rounds: Number(values.rounds),
      l2Clip: Number(values.clip),
      learningRate: Number(values.rate),
      momentum: Number(values.momentum),
      average: Number(values.average),
      minimumCohort: Number(values.cohort),
      colluders: Number(values.colluders),
    },
    (line) => console.error(`[${((performance.now() - start) / 1000).toFixed(1)} s] ${line}`),
  );
  for (const row of rows) console.log(JSON.stringify(row));
}
