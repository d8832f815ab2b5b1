import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readModelDirectory } from '../shared/bert/directory.ts';
import { type Bert, createBert } from '../shared/bert/model.ts';
import { type Rng, seededRng } from '../shared/core/rng.ts';
import { onnxCpuEngine } from '../shared/node/engines.ts';
import { calibrateNoise } from '../shared/privacy/accountant/index.ts';
import { type MechanismParameters, mechanismParameters } from '../shared/privacy/mechanism.ts';
import { labelsOf, type Plan, requirePromise } from '../shared/protocol/plan.ts';
import { requireFedSgd } from '../shared/protocol/plan-stage.ts';
import { batchShape, openTokenizer } from '../shared/protocol/stage-model.ts';
import type { Weights } from '../shared/tensor/named.ts';
import { type EncodedExample, encodeRecords } from '../shared/text/encode.ts';
import type { PreparedMail } from '../shared/text/mail-corpus.ts';
import type { TextRecord } from '../shared/text/record.ts';
import { type CentralSilo, centralRounds } from '../shared/training/central.ts';
import { evaluate } from '../shared/training/evaluate.ts';
import { createFeatureCache, type FeatureCache } from '../shared/training/features.ts';
import type { Metrics } from '../shared/training/metrics.ts';

/** A run's privacy: the plan's own ε and δ, or others; `noise` false trains with the same clip and no noise. */
export interface RunPrivacy {
  readonly epsilon: number;
  readonly noise: boolean;
  /** The noise has to do without so many of five silos' shares. */
  readonly minimumCohort: number;
  readonly colluders: number;
}

/** What one published model scores. */
export interface Scores {
  readonly validation: Metrics;
  readonly test: Metrics;
}

export interface PlanOutcome extends Scores {
  /** Of the best round, on validation, of each stage. */
  readonly stages: readonly Scores[];
}

interface Point extends Scores {
  readonly flat: Float32Array;
}

/** Runs plans centrally on many splits of one corpus; what does not change between runs is computed once. */
export class PlanBench {
  readonly plan: Plan;
  readonly #model: ReturnType<typeof readModelDirectory>;
  readonly #examples: readonly EncodedExample[];
  readonly #indexOf: ReadonlyMap<string, number>;
  #frozen: { bert: Bert; features: FeatureCache } | undefined;

  constructor(plan: Plan, modelDirectory: string, records: readonly TextRecord[]) {
    this.plan = plan;
    const files = new Map(
      readdirSync(modelDirectory).map((name) => [name, readFileSync(join(modelDirectory, name)) as Uint8Array]),
    );
    this.#model = readModelDirectory(files);
    const labels = labelsOf(plan);
    this.#examples = encodeRecords(records, openTokenizer(files), { labels, maxTokens: plan.model.maxTokens });
    this.#indexOf = new Map(records.map((r, i) => [r.id, i]));
  }

  async run(split: PreparedMail, privacy: RunPrivacy, seed: string): Promise<PlanOutcome> {
    const { plan } = this;
    const rng = seededRng(seed);
    const stages: Point[] = [];
    let weights: Weights = this.#model.weights;
    let best: Point | undefined;
    for (const index of plan.stages.keys()) {
      const { bert, own, silos, validation, test } = await this.#open(index, weights, split, rng);
      if (index === 0) clearClassifier(bert);
      const mechanism = this.#mechanism(index, bert.trainableLayout.length, privacy);
      const at = await this.#stage(index, bert, { silos, validation, test }, mechanism, rng);
      stages.push(at);
      if (best === undefined || better(at.validation, best.validation)) {
        best = at;
        bert.setTrainable(at.flat);
        weights = new Map([...bert.weightsNow()].filter(([name]) => !name.includes('lora_')));
      }
      if (own) await bert.dispose();
    }
    const { test, validation } = best as Point;
    return { test, validation, stages: stages.map((s) => ({ validation: s.validation, test: s.test })) };
  }

  async dispose(): Promise<void> {
    await this.#frozen?.bert.dispose();
  }

  async #stage(
    index: number,
    bert: Bert,
    data: { silos: CentralSilo[]; validation: CentralSilo; test: CentralSilo },
    mechanism: MechanismParameters | undefined,
    rng: Rng,
  ): Promise<Point> {
    const { rounds, samplingProbability, l2Clip, ...words } = requireFedSgd(
      this.plan.stages[index] as Plan['stages'][number],
    );
    const { average, ...server } = words.server;
    const shape = batchShape(this.plan);
    const classes = labelsOf(this.plan).length;
    const look = (on: CentralSilo): Promise<Metrics> => evaluate(bert, on.examples, classes, shape, on.features);
    let best: Point | undefined;
    const stage = { bert, silos: data.silos, shape, rounds, samplingProbability, l2Clip, server, average, rng };
    for await (const { round, published } of centralRounds(mechanism === undefined ? stage : { ...stage, mechanism })) {
      if (round % this.plan.evaluation.every !== 0 && round !== rounds) continue;
      const iterate = bert.trainable();
      bert.setTrainable(published);
      const validation = await look(data.validation);
      if (best === undefined || better(validation, best.validation))
        best = { validation, test: await look(data.test), flat: published };
      bert.setTrainable(iterate);
    }
    return best as Point;
  }

  async #open(index: number, weights: Weights, split: PreparedMail, rng: Rng) {
    const stage = this.plan.stages[index] as Plan['stages'][number];
    const shape = batchShape(this.plan);
    const shared = index === 0 && stage.train === 'head';
    const make = (): Promise<Bert> =>
      createBert({
        engine: onnxCpuEngine(1),
        config: this.#model.config,
        weights,
        head: this.plan.model.head,
        labels: labelsOf(this.plan).length,
        task: 'single_label',
        trainable: stage.train,
        shape,
        rng,
      });
    if (shared && this.#frozen === undefined) {
      const bert = await make();
      this.#frozen = { bert, features: createFeatureCache(bert, this.#examples, shape) };
    }
    const bert = shared ? (this.#frozen?.bert as Bert) : await make();
    const view = (records: readonly TextRecord[]): CentralSilo => {
      const indices = records.map((r) => this.#indexOf.get(r.id) as number);
      const examples = indices.map((i) => this.#examples[i] as EncodedExample);
      if (stage.train !== 'head') return { examples };
      if (!shared) return { examples, features: createFeatureCache(bert, examples, shape) };
      const all = this.#frozen?.features as FeatureCache;
      return {
        examples,
        features: { rows: (rows) => all.rows(rows.map((i) => indices[i] as number)), cachedBytes: 0 },
      };
    };
    const silos = split.silos.map((s) => view(s.records));
    return { bert, own: !shared, silos, validation: view(split.validation), test: view(split.test) };
  }

  #mechanism(index: number, dimension: number, privacy: RunPrivacy): MechanismParameters | undefined {
    if (!privacy.noise) return undefined;
    const stages = this.plan.stages.map(requireFedSgd);
    const { delta } = requirePromise(this.plan);
    const noiseMultiplier = calibrateNoise({ epsilon: privacy.epsilon, delta, stages })[index] as number;
    const { l2Clip } = stages[index] as (typeof stages)[number];
    const { minimumCohort, colluders } = privacy;
    return mechanismParameters({
      dimension,
      l2Clip,
      noiseMultiplier,
      minimumCohort,
      colluders,
      cohortMax: 5,
      ringBits: 32,
    });
  }
}

/** As the coordinator chooses: accuracy on validation, then loss. */
function better(a: Metrics, b: Metrics): boolean {
  return a.accuracy > b.accuracy || (a.accuracy === b.accuracy && a.loss < b.loss);
}

/** A run starts from a classifier of zeros. */
function clearClassifier(bert: Bert): void {
  const flat = bert.trainable();
  for (const { name, offset, length } of bert.trainableLayout.entries) {
    if (/(^|\.)classifier\./.test(name)) flat.fill(0, offset, offset + length);
  }
  bert.setTrainable(flat);
}
