import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { Engine } from '../engine/engine.ts';
import type { Graph } from '../engine/graph.ts';
import type { Weights } from '../tensor/named.ts';
import { attentionBias, type BatchShape, checkTokens, sameKeys } from './batch.ts';
import type { BertConfig } from './config.ts';
import { addRow, embed, scatter } from './embeddings.ts';
import type { BertErrorCode } from './errors.ts';
import { positionEmbedding, typeEmbedding, wordEmbedding } from './names.ts';
import {
  type PretrainingSpec,
  plainPretrainingProgram,
  predictionProgram,
  privatePretrainingProgram,
} from './pretraining-programs.ts';
import type { Program } from './steps.ts';
import { type ParameterStore, pretrainingStore } from './store.ts';
import { StoredModel } from './stored-model.ts';
import type { TokenBatch, TrainableModel } from './types.ts';

export interface CreatePretraining {
  readonly engine: Engine;
  readonly config: BertConfig;
  /** Hugging Face names; heads that are missing are initialised from `rng`. */
  readonly weights: Weights;
  readonly shape: {
    readonly batch: number;
    readonly tokens: number;
    /** Predicted positions an example: a batch holds at most batch × this many. */
    readonly masked: number;
  };
  /** Train the next-sentence head (and pooler) too. */
  readonly nextSentence: boolean;
  readonly rng: Rng;
}

export interface PretrainingBatch extends TokenBatch {
  /** B·T: the true piece at predicted positions, −100 elsewhere. */
  readonly labels: Int32Array;
  /** B: 0 follows, 1 random. Not read without next sentence. */
  readonly nextSentenceLabel: Int32Array;
}

export interface PretrainingGradients {
  /** maskedLoss + nextSentenceLoss */
  readonly loss: number;
  /** Mean over all predicted positions of the batch. */
  readonly maskedLoss: number;
  /** Mean over the batch; 0 without next sentence. */
  readonly nextSentenceLoss: number;
  /** Gradient of `loss`, in `trainableLayout` order. */
  readonly gradient: Float32Array;
}

export interface PrivatePretrainingGradients {
  /** B: the example's mean over its own predicted positions + its next-sentence loss. */
  readonly losses: Float32Array;
  readonly norms: Float32Array;
  readonly clippedSum: Float32Array;
  readonly squaredNorms?: ReadonlyMap<string, Float32Array>;
}

/** Masked-LM (and next-sentence) training of all of a BERT; the decoder is tied to the word embeddings. */
export interface Pretraining extends TrainableModel {
  /** As Hugging Face's `BertForPreTraining` loss. @throws BERT_BATCH_INVALID, BERT_NOT_FINITE */
  gradients(batch: PretrainingBatch, options?: { readonly into?: Float32Array }): Promise<PretrainingGradients>;
  /** Per-example clipped sum; no example may have more than `shape.masked` predicted positions. */
  privateGradients(
    batch: PretrainingBatch,
    weights: Float32Array,
    options: { readonly l2Clip: number; readonly detail?: boolean },
  ): Promise<PrivatePretrainingGradients>;
  /** Logits over the vocabulary at the predicted positions, in order, and of next sentence [B,2]. */
  logits(batch: PretrainingBatch): Promise<{ predictions: Float32Array; nextSentence: Float32Array }>;
}

/** @throws BERT_WEIGHTS_SHAPE, ENGINE_COMPILE */
export async function createPretraining(options: CreatePretraining): Promise<Pretraining> {
  return new PretrainingBert(options, pretrainingStore(options, options.nextSentence));
}

type Kind = 'plain' | 'private' | 'private+detail' | 'predict';
const builders: Readonly<Record<Kind, (spec: PretrainingSpec) => Graph>> = {
  plain: plainPretrainingProgram,
  private: (spec) => privatePretrainingProgram(spec),
  'private+detail': (spec) => privatePretrainingProgram(spec, true),
  predict: predictionProgram,
};

/** Which row of the batch each slot predicts, and what. */
interface Slots {
  /** M: row of each slot; unused slots point to row 0 with weight 0. */
  readonly positions: Int32Array;
  /** B·T: slot of each row, M for none. */
  readonly inverse: Int32Array;
  readonly targets: Int32Array;
  readonly used: Uint8Array;
  /** Predicted positions of each example. */
  readonly counts: Int32Array;
  readonly total: number;
}

class PretrainingBert extends StoredModel implements Pretraining {
  readonly #options: CreatePretraining;

  constructor(options: CreatePretraining, store: ParameterStore) {
    super(options.engine, store);
    this.#options = options;
  }

  async gradients(
    batch: PretrainingBatch,
    options: { readonly into?: Float32Array } = {},
  ): Promise<PretrainingGradients> {
    const shape = this.#shape(batch);
    const slots = this.#slots(batch, shape, false);
    const slotWeights = Float32Array.from(slots.used, (used) => (used === 1 ? 1 / slots.total : 0));
    const feeds = this.#feeds(batch, shape, slots, slotWeights);
    feeds.set('weights', new Float32Array(shape.batch).fill(1 / shape.batch));
    const targets = this.#targetRows(slots);
    feeds.set('targetEmbeddings', targets.embeddings).set('targetBias', targets.bias);
    const gradient = this.store.sumArray(options.into);
    const transformed = new Float32Array(slots.positions.length * this.#options.config.hiddenSize);
    const { fetches, embedded, maskedLosses, nextLosses } = this.#fetches(shape, slots, gradient);
    fetches.set('transformed', transformed);
    await (await this.#program('plain', shape, slots)).step.run(feeds, fetches);
    this.#scatter(embedded, gradient, batch, shape);
    this.#takeTargets(transformed, slots, slotWeights, gradient);
    const maskedLoss = maskedLosses.reduce((sum, loss, m) => sum + loss * (slotWeights[m] as number), 0);
    const nextSentenceLoss = nextLosses.reduce((sum, loss) => sum + loss, 0) / shape.batch;
    const loss = maskedLoss + nextSentenceLoss;
    if (!Number.isFinite(loss)) {
      throw new TacitError<BertErrorCode>('BERT_NOT_FINITE', `the loss is ${loss}`, {
        fix: 'Lower the learning rate.',
      });
    }
    return { loss, maskedLoss, nextSentenceLoss, gradient };
  }

  async privateGradients(
    batch: PretrainingBatch,
    weights: Float32Array,
    { l2Clip, detail }: { readonly l2Clip: number; readonly detail?: boolean },
  ): Promise<PrivatePretrainingGradients> {
    const shape = this.#shape(batch);
    if (!(l2Clip > 0) || weights.length !== shape.batch)
      throw invalid('l2Clip must be above 0, and every example have a weight');
    const slots = this.#slots(batch, shape, true);
    const perExample = slots.positions.length / shape.batch;
    const slotWeights = Float32Array.from(slots.used, (used, m) =>
      used === 1 ? 1 / (slots.counts[Math.floor(m / perExample)] as number) : 0,
    );
    const feeds = this.#feeds(batch, shape, slots, slotWeights);
    this.#privateFeeds(feeds, batch, shape, slots);
    feeds.set('weights', weights).set('clip', Float32Array.of(l2Clip));
    const clippedSum = this.store.sumArray(undefined);
    const { fetches, embedded, maskedLosses, nextLosses } = this.#fetches(shape, slots, clippedSum);
    const norms = new Float32Array(shape.batch);
    fetches.set('norms', norms);
    const squaredNorms = new Map<string, Float32Array>();
    if (detail === true) {
      for (const { name } of this.trainableLayout.entries) squaredNorms.set(name, new Float32Array(shape.batch));
      for (const [name, squares] of squaredNorms) fetches.set(`squared:${name}`, squares);
    }
    await (await this.#program(detail === true ? 'private+detail' : 'private', shape, slots)).step.run(feeds, fetches);
    this.#scatter(embedded, clippedSum, batch, shape);
    const losses = Float32Array.from({ length: shape.batch }, (_, b) => nextLosses[b] ?? 0);
    maskedLosses.forEach((loss, m) => {
      const b = Math.floor(m / perExample);
      losses[b] = (losses[b] as number) + loss * (slotWeights[m] as number);
    });
    if (!norms.every(Number.isFinite))
      throw new TacitError<BertErrorCode>('BERT_NOT_FINITE', 'a gradient norm is not finite');
    return { losses, norms, clippedSum, ...(detail === true ? { squaredNorms } : {}) };
  }

  async logits(batch: PretrainingBatch): Promise<{ predictions: Float32Array; nextSentence: Float32Array }> {
    const shape = this.#shape(batch);
    const slots = this.#slots(batch, shape, false);
    const predictions = new Float32Array(slots.positions.length * this.#options.config.vocabSize);
    const nextSentence = new Float32Array(this.#options.nextSentence ? 2 * shape.batch : 0);
    const fetches = new Map([['predictions', predictions]]);
    if (this.#options.nextSentence) fetches.set('nextSentence', nextSentence);
    const feeds = this.#feeds(batch, shape, slots, new Float32Array(slots.positions.length));
    await (await this.#program('predict', shape, slots)).step.run(feeds, fetches);
    return { predictions: predictions.subarray(0, slots.total * this.#options.config.vocabSize), nextSentence };
  }

  #shape(batch: PretrainingBatch): BatchShape {
    const shape = checkTokens(batch, this.#options.shape.tokens, this.#options.config);
    if (batch.labels.length !== batch.inputIds.length) throw invalid('labels and inputIds differ in length');
    if (this.#options.nextSentence && batch.nextSentenceLabel.length !== shape.batch)
      throw invalid('nextSentenceLabel has not one number an example');
    return shape;
  }

  #slots(batch: PretrainingBatch, shape: BatchShape, byExample: boolean): Slots {
    const perExample = this.#options.shape.masked;
    const size = shape.batch * perExample;
    const slots = {
      positions: new Int32Array(size),
      inverse: new Int32Array(batch.labels.length).fill(size),
      targets: new Int32Array(size),
      used: new Uint8Array(size),
      counts: new Int32Array(shape.batch),
    };
    let total = 0;
    for (const [row, label] of batch.labels.entries()) {
      if (label === -100) continue;
      if (label < 0 || label >= this.#options.config.vocabSize)
        throw invalid(`label ${label} is no piece of the vocabulary`);
      const example = Math.floor(row / shape.tokens);
      const slot = byExample ? example * perExample + (slots.counts[example] as number) : total;
      slots.counts[example] = (slots.counts[example] as number) + 1;
      total += 1;
      if (slot >= size || (byExample && (slots.counts[example] as number) > perExample)) {
        throw invalid(`more predicted positions than shape.masked (${perExample} an example) has room for`);
      }
      slots.positions[slot] = row;
      slots.inverse[row] = slot;
      slots.targets[slot] = label;
      slots.used[slot] = 1;
    }
    return { ...slots, total };
  }

  #feeds(batch: PretrainingBatch, shape: BatchShape, slots: Slots, slotWeights: Float32Array) {
    const feeds = new Map<string, Float32Array | Int32Array>([
      ['embedded', embed(this.store.tables(), batch, shape.tokens)],
      ['attentionBias', attentionBias(batch.attentionMask)],
      ['positions', slots.positions],
      ['inverse', slots.inverse],
      ['slotWeights', slotWeights],
    ]);
    if (this.#options.nextSentence) {
      feeds.set(
        'nextTargets',
        Float32Array.from([...batch.nextSentenceLabel].flatMap((label) => (label === 0 ? [1, 0] : [0, 1]))),
      );
    }
    return feeds;
  }

  #privateFeeds(
    feeds: Map<string, Float32Array | Int32Array>,
    batch: PretrainingBatch,
    shape: BatchShape,
    slots: Slots,
  ): void {
    const pad = this.#options.config.padTokenId;
    feeds.set('targets', slots.targets).set('ids', batch.inputIds);
    feeds.set(
      'notPad',
      Float32Array.from(batch.inputIds, (id) => (id === pad ? 0 : 1)),
    );
    feeds.set(
      'sameToken',
      sameKeys(
        batch.inputIds.map((id) => (id === pad ? -1 : id)),
        shape.tokens,
      ),
    );
    feeds.set('sameType', sameKeys(batch.tokenTypeIds, shape.tokens));
  }

  #fetches(shape: BatchShape, slots: Slots, sum: Float32Array) {
    const embedded = new Float32Array(shape.batch * shape.tokens * this.#options.config.hiddenSize);
    const maskedLosses = new Float32Array(slots.positions.length);
    const nextLosses = new Float32Array(this.#options.nextSentence ? shape.batch : 0);
    const views = this.store.views(sum);
    views.delete(positionEmbedding);
    views.delete(typeEmbedding);
    const fetches = new Map([['maskedLosses', maskedLosses], ['embedded', embedded], ...views]);
    if (this.#options.nextSentence) fetches.set('nextLosses', nextLosses);
    return { fetches, embedded, maskedLosses, nextLosses };
  }

  /** The engine wrote the decoder's part of the tied weight; the embedding's part is added to it. */
  #scatter(gradient: Float32Array, sum: Float32Array, batch: TokenBatch, shape: BatchShape): void {
    const views = this.store.views(sum);
    const word = views.get(wordEmbedding) as Float32Array;
    const position = (views.get(positionEmbedding) as Float32Array).fill(0);
    const type = (views.get(typeEmbedding) as Float32Array).fill(0);
    scatter(gradient, { ...this.store.tables(), word, position, type }, batch, shape.tokens);
  }

  #targetRows({ targets }: Slots): { embeddings: Float32Array; bias: Float32Array } {
    const width = this.#options.config.hiddenSize;
    const word = this.store.data(wordEmbedding);
    const bias = this.store.data('cls.predictions.bias');
    const embeddings = new Float32Array(targets.length * width);
    for (const [m, piece] of targets.entries())
      embeddings.set(word.subarray(piece * width, (piece + 1) * width), m * width);
    return { embeddings, bias: Float32Array.from(targets, (piece) => bias[piece] as number) };
  }

  /** The true piece's part of softmax − one-hot, in the decoder's weight and bias. */
  #takeTargets(transformed: Float32Array, { targets }: Slots, slotWeights: Float32Array, sum: Float32Array): void {
    const width = this.#options.config.hiddenSize;
    const views = this.store.views(sum);
    const word = views.get(wordEmbedding) as Float32Array;
    const bias = views.get('cls.predictions.bias') as Float32Array;
    for (const [m, piece] of targets.entries()) {
      const weight = slotWeights[m] as number;
      addRow(word, piece * width, transformed, m * width, width, -weight);
      bias[piece] = (bias[piece] as number) - weight;
    }
  }

  #program(kind: Kind, shape: BatchShape, slots: Slots): Promise<Program> {
    return this.steps.get(`${kind} ${shape.batch}x${shape.tokens}`, () =>
      builders[kind]({
        ...shape,
        config: this.#options.config,
        slots: slots.positions.length,
        nextSentence: this.#options.nextSentence,
        shapes: new Map([...this.store.parameters].map(([name, p]) => [name, p.shape])),
        trains: (name) => this.store.trains(name),
      }),
    );
  }
}

function invalid(what: string): TacitError<BertErrorCode> {
  return new TacitError<BertErrorCode>('BERT_BATCH_INVALID', what, { where: 'batch' });
}
