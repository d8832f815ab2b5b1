import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { Engine } from '../engine/engine.ts';
import type { Graph } from '../engine/graph.ts';
import type { Weights } from '../tensor/named.ts';
import { attentionBias, type BatchShape, checkTokens, meanMask } from './batch.ts';
import type { BertConfig } from './config.ts';
import {
  type DistillationLossWeights,
  type DistillationSpec,
  distillationProgram,
  studentMeansProgram,
} from './distillation-programs.ts';
import { embed, scatter } from './embeddings.ts';
import type { BertErrorCode } from './errors.ts';
import { positionEmbedding, typeEmbedding, wordEmbedding } from './names.ts';
import type { Program } from './steps.ts';
import { distillationStore, type ParameterStore } from './store.ts';
import { StoredModel } from './stored-model.ts';
import type { TokenBatch, TrainableModel } from './types.ts';

export interface CreateDistillation {
  readonly engine: Engine;
  readonly config: BertConfig;
  /** The student's start under Hugging Face names, and the two maps where they are known. */
  readonly weights: Weights;
  /** D, width of the teacher's sentence space. */
  readonly targetWidth: number;
  readonly loss: DistillationLossWeights;
  readonly rng: Rng;
}

export interface DistillationGradients {
  /** What is minimised. */
  readonly loss: number;
  /** Mean cosine of the mapped last layer to the targets. */
  readonly cosine: number;
  /** The same of the embedding layer. */
  readonly firstCosine: number;
  /** In `trainableLayout` order. */
  readonly gradient: Float32Array;
}

/** Training of a whole BERT, and of linear maps from its means, towards a teacher's sentence vectors. */
export interface Distillation extends TrainableModel {
  /** @param targets B × D, each text's at unit length. @throws BERT_BATCH_INVALID, BERT_NOT_FINITE */
  gradients(
    batch: TokenBatch,
    targets: Float32Array,
    options?: { readonly into?: Float32Array },
  ): Promise<DistillationGradients>;
  /** Means of the embedding layer's and the last layer's token vectors, [B × H] each. */
  means(batch: TokenBatch): Promise<{ first: Float32Array; last: Float32Array }>;
}

/** @throws BERT_WEIGHTS_SHAPE, ENGINE_COMPILE */
export async function createDistillation(options: CreateDistillation): Promise<Distillation> {
  return new DistillationBert(options, distillationStore(options));
}

type Kind = 'train' | 'means';
const builders: Readonly<Record<Kind, (spec: DistillationSpec) => Graph>> = {
  train: distillationProgram,
  means: studentMeansProgram,
};

class DistillationBert extends StoredModel implements Distillation {
  readonly #options: CreateDistillation;

  constructor(options: CreateDistillation, store: ParameterStore) {
    super(options.engine, store);
    this.#options = options;
  }

  async gradients(
    batch: TokenBatch,
    targets: Float32Array,
    options: { readonly into?: Float32Array } = {},
  ): Promise<DistillationGradients> {
    const shape = this.#shape(batch);
    if (targets.length !== shape.batch * this.#options.targetWidth) {
      throw new TacitError<BertErrorCode>('BERT_BATCH_INVALID', 'the targets have not one row a text', {
        where: 'targets',
      });
    }
    const gradient = this.store.sumArray(options.into);
    const embedded = new Float32Array(batch.inputIds.length * this.#options.config.hiddenSize);
    const cosines = new Float32Array(shape.batch);
    const firstCosines = new Float32Array(shape.batch);
    const similarity = new Float32Array(1);
    const views = this.store.views(gradient);
    const tables = [wordEmbedding, positionEmbedding, typeEmbedding];
    const dense = [...views].filter(([name]) => !tables.includes(name));
    const fetches = new Map([...dense, ...Object.entries({ cosines, firstCosines, similarity, embedded })]);
    const feeds = this.#feeds(batch, shape).set('targets', targets);
    await (await this.#program('train', shape)).step.run(feeds, fetches);
    const [word, position, type] = tables.map((name) => (views.get(name) as Float32Array).fill(0)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    scatter(embedded, { ...this.store.tables(), word, position, type }, batch, shape.tokens);
    const cosine = meanOf(cosines);
    const firstCosine = meanOf(firstCosines);
    const loss = 1 - cosine + this.#options.loss.first * (1 - firstCosine) + (similarity[0] as number);
    if (!Number.isFinite(loss)) {
      throw new TacitError<BertErrorCode>('BERT_NOT_FINITE', `the loss is ${loss}`, {
        fix: 'Lower the learning rate.',
      });
    }
    return { loss, cosine, firstCosine, gradient };
  }

  async means(batch: TokenBatch): Promise<{ first: Float32Array; last: Float32Array }> {
    const shape = this.#shape(batch);
    const length = shape.batch * this.#options.config.hiddenSize;
    const means = { first: new Float32Array(length), last: new Float32Array(length) };
    await (await this.#program('means', shape)).step.run(this.#feeds(batch, shape), new Map(Object.entries(means)));
    return means;
  }

  #shape(batch: TokenBatch): BatchShape {
    return checkTokens(batch, this.#options.config.maxPositions, this.#options.config);
  }

  #feeds(batch: TokenBatch, shape: BatchShape): Map<string, Float32Array> {
    return new Map([
      ['embedded', embed(this.store.tables(), batch, shape.tokens)],
      ['attentionBias', attentionBias(batch.attentionMask)],
      ['meanMask', meanMask(batch.attentionMask, shape.tokens)],
    ]);
  }

  #program(kind: Kind, shape: BatchShape): Promise<Program> {
    const { config, targetWidth, loss } = this.#options;
    return this.steps.get(`${kind} ${shape.batch}x${shape.tokens}`, () =>
      builders[kind]({
        ...shape,
        ...loss,
        config,
        targetWidth,
        shapes: new Map([...this.store.parameters].map(([name, p]) => [name, p.shape])),
        trains: (name) => this.store.trains(name),
      }),
    );
  }
}

function meanOf(numbers: Float32Array): number {
  return numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
}
