import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readModelDirectory } from '../shared/bert/directory.ts';
import { type Bert, createBert } from '../shared/bert/model.ts';
import { type Rng, seededRng } from '../shared/core/rng.ts';
import { onnxCpuEngine } from '../shared/node/engines.ts';
import { calibrateNoise } from '../shared/privacy/accountant/index.ts';
import { type MechanismParameters, mechanismParameters } from '../shared/privacy/mechanism.ts';
import { headOf, labelsOf, type Plan, requirePromise } from '../shared/protocol/plan.ts';
import { requireFedSgd } from '../shared/protocol/plan-stage.ts';
import { batchShape, openTokenizer, trainableOf } from '../shared/protocol/stage-model.ts';
import type { Weights } from '../shared/tensor/named.ts';
import { type EncodedExample, encodeRecords } from '../shared/text/encode.ts';
import type { PreparedMail } from '../shared/text/mail-corpus.ts';
import type { TextRecord } from '../shared/text/record.ts';
import type { BatchShape } from '../shared/training/batches.ts';
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

/** What one published model scores; a search has no test mails. */
export interface Scores {
  readonly validation: Metrics;
  readonly test?: Metrics;
}

export interface PlanOutcome extends Scores {
  /** Of the best round, on validation, of each stage. */
  readonly stages: readonly Scores[];
}

interface Point extends Scores {
  readonly flat: Float32Array;
}

/** What a bench's runs have in common. */
export type Setting = Pick<Plan, 'model' | 'task'>;

/**
 * Runs plans of one setting centrally on many splits of one corpus. Texts are encoded once, and the frozen features of
 * a head that trains first are computed once for all plans, splits and seeds: their encoder is the directory's.
 */
export class PlanBench {
  readonly #setting: Setting;
  readonly #model: ReturnType<typeof readModelDirectory>;
  readonly #examples: readonly EncodedExample[];
  readonly #indexOf: ReadonlyMap<string, number>;
  readonly #shape: BatchShape;
  #frozen: { bert: Bert; features: FeatureCache } | undefined;

  constructor(setting: Setting, modelDirectory: string, records: readonly TextRecord[]) {
    this.#setting = setting;
    this.#shape = batchShape(setting);
    const files = new Map(
      readdirSync(modelDirectory).map((name) => [name, readFileSync(join(modelDirectory, name)) as Uint8Array]),
    );
    this.#model = readModelDirectory(files);
    const { maxTokens } = setting.model;
    this.#examples = encodeRecords(records, openTokenizer(files), { labels: labelsOf(setting), maxTokens });
    this.#indexOf = new Map(records.map((r, i) => [r.id, i]));
  }

  /** @param plan of this bench's setting */
  async run(
    plan: Plan,
    split: Pick<PreparedMail, 'silos' | 'validation'> & Partial<Pick<PreparedMail, 'test'>>,
    privacy: RunPrivacy,
    seed: string,
  ): Promise<PlanOutcome> {
    const rng = seededRng(seed);
    const scores: Scores[] = [];
    const stages = plan.stages.map(requireFedSgd);
    const { delta } = requirePromise(plan);
    const multipliers = privacy.noise ? calibrateNoise({ epsilon: privacy.epsilon, delta, stages }) : [];
    let weights: Weights = this.#model.weights;
    let best: Point | undefined;
    for (const [index, stage] of stages.entries()) {
      const data = await this.#open(stage, index === 0, weights, split, rng);
      const { bert } = data;
      if (index === 0) clearClassifier(bert);
      const noise = multipliers[index];
      const mechanism = noise === undefined ? {} : { mechanism: mechanismOf(bert, stage.l2Clip, noise, privacy) };
      const at = await this.#stage(stage, plan.evaluation.every, data, mechanism, rng);
      scores.push(withoutWeights(at));
      if (best === undefined || better(at.validation, best.validation)) {
        best = at;
        bert.setTrainable(at.flat);
        weights = new Map([...bert.weightsNow()].filter(([name]) => !name.includes('lora_')));
      }
      if (data.own) await bert.dispose();
    }
    return { ...withoutWeights(best as Point), stages: scores };
  }

  async dispose(): Promise<void> {
    await this.#frozen?.bert.dispose();
  }

  async #stage(
    { rounds, samplingProbability, l2Clip, server: { average, ...server } }: FedSgdStage,
    every: number,
    data: Opened,
    mechanism: { readonly mechanism?: MechanismParameters },
    rng: Rng,
  ): Promise<Point> {
    const { bert, silos } = data;
    const shape = this.#shape;
    const classes = labelsOf(this.#setting).length;
    const look = (on: LabelledSilo): Promise<Metrics> => evaluate(bert, on.examples, classes, shape, on.features);
    let best: Omit<Point, 'test'> | undefined;
    const stage = { bert, silos, shape, rounds, samplingProbability, l2Clip, server, average, rng };
    for await (const { round, published } of centralRounds({ ...stage, ...mechanism })) {
      if (round % every !== 0 && round !== rounds) continue;
      const iterate = bert.trainable();
      bert.setTrainable(published);
      const validation = await look(data.validation);
      if (best === undefined || better(validation, best.validation)) best = { validation, flat: published };
      bert.setTrainable(iterate);
    }
    const chosen = best as Point;
    if (data.test === undefined) return chosen;
    bert.setTrainable(chosen.flat);
    return { ...chosen, test: await look(data.test) };
  }

  async #open(
    stage: FedSgdStage,
    first: boolean,
    weights: Weights,
    split: Parameters<PlanBench['run']>[1],
    rng: Rng,
  ): Promise<Opened> {
    const shape = this.#shape;
    const shared = first && stage.train === 'head';
    const make = (draws: Rng): Promise<Bert> =>
      createBert({
        engine: onnxCpuEngine(1),
        config: this.#model.config,
        weights,
        head: headOf(this.#setting),
        labels: labelsOf(this.#setting).length,
        task: 'single_label',
        trainable: trainableOf(stage),
        shape,
        rng: draws,
      });
    if (shared && this.#frozen === undefined) {
      // Its own draws: what a run's seed gives must not depend on which run came first.
      const bert = await make(seededRng('frozen'));
      this.#frozen = { bert, features: createFeatureCache(bert, this.#examples, shape) };
    }
    const bert = shared ? (this.#frozen?.bert as Bert) : await make(rng);
    const view = (records: readonly TextRecord[]): LabelledSilo => {
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
    const { silos, validation, test } = split;
    return {
      bert,
      own: !shared,
      silos: silos.map((s) => view(s.records)),
      validation: view(validation),
      ...(test === undefined ? {} : { test: view(test) }),
    };
  }
}

type LabelledSilo = CentralSilo & { readonly examples: readonly EncodedExample[] };

interface Opened {
  readonly bert: Bert;
  /** Not the shared one. */
  readonly own: boolean;
  readonly silos: readonly LabelledSilo[];
  readonly validation: LabelledSilo;
  readonly test?: LabelledSilo;
}

type FedSgdStage = ReturnType<typeof requireFedSgd>;

function mechanismOf(bert: Bert, l2Clip: number, noiseMultiplier: number, privacy: RunPrivacy): MechanismParameters {
  const { minimumCohort, colluders } = privacy;
  const dimension = bert.trainableLayout.length;
  const cohort = { minimumCohort, colluders, cohortMax: 5 };
  return mechanismParameters({ dimension, l2Clip, noiseMultiplier, ...cohort, ringBits: 32 });
}

function withoutWeights({ validation, test }: Scores): Scores {
  return test === undefined ? { validation } : { validation, test };
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
