import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { Engine } from '../engine/engine.ts';
import type { Graph } from '../engine/graph.ts';
import type { Weights } from '../tensor/named.ts';
import { attentionBias, type BatchShape, checkTokens, invalid, sharedTableRows } from './batch.ts';
import type { BertConfig } from './config.ts';
import { dropoutMasks } from './dropout-masks.ts';
import { addRow, embed, scatter } from './embeddings.ts';
import type { BertErrorCode } from './errors.ts';
import { finiteGradients, requireWholeUnits } from './finite-gradients.ts';
import { positionEmbedding, typeEmbedding, wordEmbedding } from './names.ts';
import {
  type PretrainingSpec,
  plainPretrainingProgram,
  predictionProgram,
  privatePretrainingProgram,
} from './pretraining-programs.ts';
import { type Slots, slotsOf } from './pretraining-slots.ts';
import type { Program } from './steps.ts';
import { type ParameterStore, pretrainingStore } from './store.ts';
import { StoredModel } from './stored-model.ts';
import type { ClipOptions, GradientModel, Gradients, LabelledBatch, TokenBatch, Trainable } from './types.ts';

export interface CreatePretraining {
  readonly engine: Engine;
  readonly config: BertConfig;
  /** Hugging Face names; heads that are missing are initialised from `rng`. */
  readonly weights: Weights;
  readonly shape: {
    readonly batch: number;
    readonly tokens: number;
    /** Predicted positions an example of `tokens`, and in proportion of a shorter one. */
    readonly masked: number;
  };
  /** The next-sentence head (and pooler) too. */
  readonly nextSentence: boolean;
  /** Default `all`. */
  readonly trainable?: Trainable;
  /** Whether the heads train besides; default true. */
  readonly trainHead?: boolean;
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

/**
 * Masked LM (and next sentence) over a BERT; the decoder is tied to the word embeddings. As a GradientModel the loss of an
 * example is the mean over its own predicted positions, and its next-sentence loss besides: an example's gradient then
 * depends on no other example, which is what lets it be clipped.
 */
export interface Pretraining extends GradientModel {
  /** As Hugging Face's `BertForPreTraining` loss of a whole batch. @throws BERT_BATCH_INVALID, BERT_NOT_FINITE */
  batchGradients(batch: PretrainingBatch, options?: { readonly into?: Float32Array }): Promise<PretrainingGradients>;
  /** Logits over the vocabulary at the predicted positions, in order, and of next sentence [B,2]. */
  logits(batch: PretrainingBatch): Promise<{ predictions: Float32Array; nextSentence: Float32Array }>;
}

/** @throws BERT_WEIGHTS_SHAPE, BERT_UNSUPPORTED, ENGINE_COMPILE */
export async function createPretraining(options: CreatePretraining): Promise<Pretraining> {
  const { trainable = 'all', trainHead = true } = options;
  return new PretrainingBert(options, pretrainingStore({ ...options, trainable, trainHead }));
}

type Kind = 'plain' | 'private' | 'private+detail' | 'predict';
const builders: Readonly<Record<Kind, (spec: PretrainingSpec) => Graph>> = {
  plain: plainPretrainingProgram,
  private: (spec) => privatePretrainingProgram(spec),
  'private+detail': (spec) => privatePretrainingProgram(spec, true),
  predict: predictionProgram,
};

/** One backward pass: what each slot and each example counts, and what the engine is asked for. */
interface Pass {
  readonly kind: 'plain' | 'private' | 'private+detail';
  readonly slots: Slots;
  readonly slotWeights: Float32Array;
  readonly weights: Float32Array;
  readonly recordsPerUnit: number;
  readonly options: Pick<ClipOptions, 'into' | 'dropoutSeed'> & { readonly l2Clip?: number };
}

class PretrainingBert extends StoredModel implements Pretraining {
  readonly #options: CreatePretraining;

  constructor(options: CreatePretraining, store: ParameterStore) {
    super(options.engine, store);
    this.#options = options;
  }

  async batchGradients(
    batch: PretrainingBatch,
    options: { readonly into?: Float32Array } = {},
  ): Promise<PretrainingGradients> {
    const shape = this.#shape(batch);
    const slots = this.#slots(batch, shape, false);
    const slotWeights = Float32Array.from(slots.used, (used) => (used === 1 ? 1 / slots.total : 0));
    const weights = new Float32Array(shape.batch).fill(1 / shape.batch);
    const pass = await this.#pass(batch, shape, {
      kind: 'plain',
      slots,
      slotWeights,
      weights,
      recordsPerUnit: 1,
      options,
    });
    const maskedLoss = pass.maskedLosses.reduce((sum, loss, m) => sum + loss * (slotWeights[m] as number), 0);
    const nextSentenceLoss = pass.nextLosses.reduce((sum, loss) => sum + loss, 0) / shape.batch;
    const loss = maskedLoss + nextSentenceLoss;
    if (!Number.isFinite(loss)) {
      throw new TacitError<BertErrorCode>('BERT_NOT_FINITE', `the loss is ${loss}`, {
        fix: 'Lower the learning rate.',
      });
    }
    return { loss, maskedLoss, nextSentenceLoss, gradient: pass.sum };
  }

  async gradients(batch: LabelledBatch, options: ClipOptions): Promise<Gradients> {
    const shape = this.#shape(batch);
    const recordsPerUnit = batch.recordsPerUnit ?? 1;
    requireWholeUnits(shape.batch, recordsPerUnit);
    if (!(options.l2Clip > 0) || batch.weights.length !== shape.batch)
      throw invalid('l2Clip must be above 0, and every example have a weight');
    return finiteGradients(batch, shape, recordsPerUnit, (kept) => this.#exampleGradients(kept, shape, options));
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

  async #exampleGradients(batch: LabelledBatch, shape: BatchShape, options: ClipOptions): Promise<Gradients> {
    const plain = options.l2Clip === Number.POSITIVE_INFINITY;
    const recordsPerUnit = plain ? 1 : (batch.recordsPerUnit ?? 1);
    const slots = this.#slots(batch, shape, true);
    const share = (m: number): number =>
      slots.used[m] === 1 ? 1 / (slots.counts[slots.examples[m] as number] as number) : 0;
    // A unit that is one example is weighted after it is clipped; what is summed up before that, in the loss.
    const inside = plain || recordsPerUnit > 1;
    const slotWeights = Float32Array.from(slots.used, (_, m) =>
      inside ? share(m) * (batch.weights[slots.examples[m] as number] as number) : share(m),
    );
    const kind = plain ? 'plain' : options.detail === true ? 'private+detail' : 'private';
    const pass = await this.#pass(batch, shape, {
      kind,
      slots,
      slotWeights,
      weights: batch.weights,
      recordsPerUnit,
      options,
    });
    const losses = Float32Array.from({ length: shape.batch }, (_, b) => pass.nextLosses[b] ?? 0);
    for (const [m, loss] of pass.maskedLosses.entries()) {
      const b = slots.examples[m] as number;
      if (slots.used[m] === 1) losses[b] = (losses[b] as number) + loss * share(m);
    }
    const { norms, squaredNorms } = pass;
    return {
      losses,
      norms,
      clippedSum: pass.sum,
      dropped: [],
      ...(squaredNorms === undefined ? {} : { squaredNorms }),
    };
  }

  async #pass(batch: TokenBatch & Partial<LabelledBatch>, shape: BatchShape, pass: Pass) {
    const { kind, slots, slotWeights, recordsPerUnit, options } = pass;
    const feeds = this.#feeds(batch, shape, slots, slotWeights);
    feeds.set('weights', pass.weights);
    const targets = this.#targetRows(slots);
    feeds.set('targetEmbeddings', targets.embeddings).set('targetBias', targets.bias);
    if (options.l2Clip !== undefined && kind !== 'plain') {
      feeds.set('clip', Float32Array.of(options.l2Clip)).set('targets', slots.targets);
      if (this.store.trains(wordEmbedding)) this.#embeddingFeeds(feeds, batch, shape, recordsPerUnit);
    }
    const sum = this.store.sumArray(options.into);
    const maskedLosses = new Float32Array(slots.positions.length);
    const nextLosses = new Float32Array(this.#options.nextSentence ? shape.batch : 0);
    const norms = new Float32Array(kind === 'plain' ? 0 : shape.batch / recordsPerUnit);
    const fetches = new Map([['maskedLosses', maskedLosses]]);
    if (this.#options.nextSentence) fetches.set('nextLosses', nextLosses);
    if (kind !== 'plain') fetches.set('norms', norms);
    const squaredNorms = kind === 'private+detail' ? this.store.squaredNormFetches(fetches, norms.length) : undefined;
    const host = this.#gradientFetches(fetches, sum, shape, slots, kind);
    const { graph, step } = await this.#program(kind, shape, slots, recordsPerUnit, options.dropoutSeed !== undefined);
    if (options.dropoutSeed !== undefined)
      for (const [name, mask] of dropoutMasks(graph, this.#options.config, options.dropoutSeed)) feeds.set(name, mask);
    await step.run(feeds, fetches);
    if (host.embedded !== undefined) this.#scatter(host.embedded, sum, batch, shape);
    if (kind === 'plain') this.#takeTargets(host.transformed, slots, slotWeights, sum);
    return { sum, maskedLosses, nextLosses, norms, squaredNorms };
  }

  #shape(batch: TokenBatch & Partial<LabelledBatch>): BatchShape {
    const shape = checkTokens(batch, this.#options.shape.tokens, this.#options.config);
    if (batch.labels?.length !== batch.inputIds.length) throw invalid('labels and inputIds differ in length');
    if (this.#options.nextSentence && batch.nextSentenceLabel?.length !== shape.batch)
      throw invalid('nextSentenceLabel has not one number an example');
    return shape;
  }

  #slots(batch: Pick<LabelledBatch, 'labels'>, shape: BatchShape, grouped: boolean): Slots {
    const { masked, tokens } = this.#options.shape;
    const perExample = Math.ceil((masked * shape.tokens) / tokens);
    return slotsOf(batch.labels, shape, this.#options.config.vocabSize, perExample, grouped);
  }

  #feeds(batch: TokenBatch & Partial<LabelledBatch>, shape: BatchShape, slots: Slots, slotWeights: Float32Array) {
    const feeds = new Map<string, Float32Array | Int32Array>([
      ['embedded', embed(this.store.tables(), batch, shape.tokens)],
      ['attentionBias', attentionBias(batch.attentionMask)],
      ['positions', slots.positions],
      ['inverse', slots.inverse],
      ['slotWeights', slotWeights],
    ]);
    if (this.#options.nextSentence) {
      const labels = [...(batch.nextSentenceLabel as Int32Array)];
      feeds.set('nextTargets', Float32Array.from(labels.flatMap((label) => (label === 0 ? [1, 0] : [0, 1]))));
    }
    return feeds;
  }

  /** What the norms of the three tables and of the decoder tied to one of them need. */
  #embeddingFeeds(
    feeds: Map<string, Float32Array | Int32Array>,
    batch: TokenBatch,
    shape: BatchShape,
    recordsPerUnit: number,
  ): void {
    const { padTokenId } = this.#options.config;
    for (const [name, rows] of sharedTableRows(batch, shape, recordsPerUnit, padTokenId)) feeds.set(name, rows);
    const notPad = Float32Array.from(batch.inputIds, (id) => (id === padTokenId ? 0 : 1));
    feeds.set('ids', batch.inputIds).set('notPad', notPad);
  }

  /** Gradients go straight into the sum, but for what the host adds to the tables of embeddings. */
  #gradientFetches(
    fetches: Map<string, Float32Array>,
    sum: Float32Array,
    shape: BatchShape,
    slots: Slots,
    kind: Kind,
  ): { readonly embedded: Float32Array | undefined; readonly transformed: Float32Array } {
    const width = this.#options.config.hiddenSize;
    for (const [name, view] of this.store.views(sum))
      if (name !== positionEmbedding && name !== typeEmbedding) fetches.set(name, view);
    const embedded = this.store.trains(wordEmbedding)
      ? new Float32Array(shape.batch * shape.tokens * width)
      : undefined;
    if (embedded !== undefined) fetches.set('embedded', embedded);
    const transformed = new Float32Array(slots.positions.length * width);
    if (kind === 'plain') fetches.set('transformed', transformed);
    return { embedded, transformed };
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
    const word = views.get(wordEmbedding);
    const bias = views.get('cls.predictions.bias');
    for (const [m, piece] of targets.entries()) {
      const weight = slotWeights[m] as number;
      if (word !== undefined) addRow(word, piece * width, transformed, m * width, width, -weight);
      if (bias !== undefined) bias[piece] = (bias[piece] as number) - weight;
    }
  }

  #program(kind: Kind, shape: BatchShape, slots: Slots, recordsPerUnit = 1, dropout = false): Promise<Program> {
    return this.steps.get(`${kind} ${dropout} ${shape.batch}x${shape.tokens}/${recordsPerUnit}`, () =>
      builders[kind]({
        ...shape,
        config: this.#options.config,
        slots: slots.positions.length,
        nextSentence: this.#options.nextSentence,
        recordsPerUnit,
        shapes: new Map([...this.store.parameters].map(([name, p]) => [name, p.shape])),
        lora: this.store.lora,
        trains: (name) => this.store.trains(name),
        dropout,
      }),
    );
  }
}
