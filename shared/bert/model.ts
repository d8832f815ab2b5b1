import { TacitError } from '../core/errors.ts';
import type { Graph } from '../engine/graph.ts';
import { attentionBias, type BatchShape, checkTokens, meanMask, sharedTableRows, targetsOf } from './batch.ts';
import { dropoutMasks } from './dropout-masks.ts';
import { embed, scatter } from './embeddings.ts';
import type { BertErrorCode } from './errors.ts';
import { finiteGradients, requireWholeUnits } from './finite-gradients.ts';
import { FrozenPart, frozenBlocks, frozenMeanLayers } from './frozen-part.ts';
import { type Classifier, classifierGradients, classifierLogits } from './head-gradients.ts';
import { positionEmbedding, typeEmbedding, wordEmbedding } from './names.ts';
import {
  featureProgram,
  forwardProgram,
  frozenProgram,
  type ProgramSpec,
  plainProgram,
  privateProgram,
} from './programs.ts';
import type { Program } from './steps.ts';
import { featureLength, type ParameterStore, sequenceStore } from './store.ts';
import { StoredModel } from './stored-model.ts';
import type { Bert, ClipOptions, CreateBert, Gradients, HeadClipOptions, LabelledBatch, TokenBatch } from './types.ts';

export type * from './types.ts';

/**
 * Makes a BERT sequence model ready on an engine and prepares its forward program for the default shape.
 * @throws BERT_WEIGHTS_MISSING, BERT_WEIGHTS_SHAPE, BERT_UNSUPPORTED, BERT_CONFIG_INVALID, ENGINE_COMPILE
 */
export async function createBert(options: CreateBert): Promise<Bert> {
  const { batch, tokens, recordsPerUnit = 1 } = options.shape;
  requireWholeUnits(batch, recordsPerUnit);
  const model = new SequenceBert(options, sequenceStore(options));
  await model.prepare({ batch, tokens });
  return model;
}

type Kind = 'forward' | 'features' | 'frozen' | 'private' | 'private+detail' | 'plain';
const builders: Readonly<Record<Kind, (spec: ProgramSpec) => Graph>> = {
  forward: forwardProgram,
  features: featureProgram,
  frozen: frozenProgram,
  private: (spec) => privateProgram(spec),
  'private+detail': (spec) => privateProgram(spec, true),
  plain: plainProgram,
};

class SequenceBert extends StoredModel implements Bert {
  readonly config: CreateBert['config'];
  readonly featureLength: number;
  readonly #options: CreateBert;
  readonly #shapes: ReadonlyMap<string, readonly number[]>;
  /** Blocks whose output does not change in training; 0 where none is kept. */
  readonly #from: number;
  readonly #frozen: FrozenPart;

  constructor(options: CreateBert, store: ParameterStore) {
    super(options.engine, store);
    this.config = options.config;
    this.featureLength = featureLength(options);
    this.#options = options;
    this.#shapes = new Map([...store.parameters].map(([name, p]) => [name, p.shape]));
    const trained = [...store.parameters.keys()].filter((name) => store.trains(name));
    this.#from = options.frozenBytes === 0 ? 0 : frozenBlocks(trained, options);
    this.#frozen = new FrozenPart(this.config.hiddenSize, frozenMeanLayers(options, this.#from), options.frozenBytes);
  }

  /** Asked each time: a fallback engine may have switched. */
  get engine(): string {
    return this.#options.engine.name;
  }

  get frozenBytes(): number {
    return this.#frozen.cachedBytes;
  }

  async prepare(shape: BatchShape): Promise<void> {
    await this.#program('forward', shape);
  }

  async logits(batch: TokenBatch): Promise<Float32Array> {
    const shape = checkTokens(batch, this.#options.shape.tokens, this.config);
    const logits = new Float32Array(shape.batch * this.#options.labels);
    const features = new Float32Array(shape.batch * this.featureLength);
    const { step } = await this.#program('forward', shape);
    await step.run(
      await this.#inputs(batch, shape, this.#from),
      new Map([
        ['logits', logits],
        ['features', features],
      ]),
    );
    return logits;
  }

  async features(batch: TokenBatch): Promise<Float32Array> {
    const shape = checkTokens(batch, this.#options.shape.tokens, this.config);
    const features = new Float32Array(shape.batch * this.featureLength);
    const { step } = await this.#program('features', shape);
    await step.run(await this.#inputs(batch, shape, this.#from), new Map([['features', features]]));
    return features;
  }

  headLogits(features: Float32Array): Float32Array {
    return classifierLogits(this.#classifier(), features);
  }

  headGradients(
    features: Float32Array,
    labels: Int32Array | Float32Array,
    weights: Float32Array,
    options: HeadClipOptions,
  ): Gradients {
    if (this.#options.trainable !== 'head') {
      throw new TacitError<BertErrorCode>('BERT_UNSUPPORTED', 'features are frozen only where the head alone trains', {
        where: 'headGradients',
        fix: 'Create the model with trainable "head", or call gradients().',
      });
    }
    return classifierGradients(this.#classifier(), this.#options.task, features, labels, weights, options);
  }

  async gradients(batch: LabelledBatch, options: ClipOptions): Promise<Gradients> {
    if (this.#options.trainable === 'head') {
      const records = this.#records(batch);
      const units = records === 1 ? {} : { units: Int32Array.from(batch.weights, (_, b) => Math.floor(b / records)) };
      return this.headGradients(await this.features(batch), batch.labels, batch.weights, { ...options, ...units });
    }
    const shape = checkTokens(batch, this.#options.shape.tokens, this.config);
    const records = this.#records(batch);
    requireWholeUnits(shape.batch, records);
    return finiteGradients(batch, shape, records, (kept) => this.#backward(kept, shape, options));
  }

  async #backward(batch: LabelledBatch, shape: BatchShape, options: ClipOptions): Promise<Gradients> {
    const { labels, task } = this.#options;
    const plain = options.l2Clip === Infinity;
    const units = shape.batch / this.#records(batch);
    const kind = plain ? 'plain' : options.detail === true ? 'private+detail' : 'private';
    const seed = options.dropoutSeed;
    // What dropout leaves of the frozen blocks differs in every step.
    const from = seed === undefined ? this.#from : 0;
    const feeds = await this.#inputs(batch, shape, from);
    feeds.set('targets', targetsOf(batch.labels, batch.weights, task, labels)).set('weights', batch.weights);
    if (!plain) this.#unitFeeds(feeds, batch, shape, options.l2Clip);
    const clippedSum = this.store.sumArray(options.into);
    const losses = new Float32Array(shape.batch);
    const norms = new Float32Array(plain ? 0 : units);
    const fetches = new Map([['losses', losses]]);
    if (!plain) fetches.set('norms', norms);
    const squaredNorms = kind === 'private+detail' ? this.store.squaredNormFetches(fetches, units) : undefined;
    const embedded = this.#gradientFetches(fetches, clippedSum, shape);
    const { graph, step } = await this.#program(kind, shape, {
      records: this.#records(batch),
      from,
      dropout: seed !== undefined,
    });
    if (seed !== undefined) for (const [name, mask] of dropoutMasks(graph, this.config, seed)) feeds.set(name, mask);
    await step.run(feeds, fetches);
    if (embedded !== undefined) this.#scatter(embedded, clippedSum, batch, shape);
    return { losses, norms, clippedSum, dropped: [], ...(squaredNorms === undefined ? {} : { squaredNorms }) };
  }

  async #inputs(batch: TokenBatch, shape: BatchShape, from: number): Promise<Map<string, Float32Array | Int32Array>> {
    const feeds = new Map<string, Float32Array | Int32Array>([['attentionBias', attentionBias(batch.attentionMask)]]);
    if (this.#options.head === 'mean') feeds.set('meanMask', meanMask(batch.attentionMask, shape.tokens));
    if (from === 0) return feeds.set('embedded', embed(this.store.tables(), batch, shape.tokens));
    const frozen = await this.#frozen.feeds(batch, shape, async (into) => {
      const { step } = await this.#program('frozen', shape);
      await step.run(await this.#inputs(batch, shape, 0), into);
    });
    for (const [name, rows] of frozen) feeds.set(name, rows);
    return feeds;
  }

  #unitFeeds(
    feeds: Map<string, Float32Array | Int32Array>,
    batch: LabelledBatch,
    shape: BatchShape,
    l2Clip: number,
  ): void {
    if (!(l2Clip > 0))
      throw new TacitError<BertErrorCode>('BERT_BATCH_INVALID', `l2Clip must be above 0, not ${l2Clip}`);
    feeds.set('clip', Float32Array.of(l2Clip));
    if (!this.store.trains(wordEmbedding)) return;
    const shared = sharedTableRows(batch, shape, this.#records(batch), this.config.padTokenId);
    for (const [name, rows] of shared) feeds.set(name, rows);
  }

  /** Gradients of dense parameters are written straight into their place in the flat sum. */
  #gradientFetches(fetches: Map<string, Float32Array>, sum: Float32Array, shape: BatchShape): Float32Array | undefined {
    const tables = new Set([wordEmbedding, positionEmbedding, typeEmbedding]);
    for (const [name, view] of this.store.views(sum)) if (!tables.has(name)) fetches.set(name, view);
    if (!this.store.trains(wordEmbedding)) return undefined;
    const embedded = new Float32Array(shape.batch * shape.tokens * this.config.hiddenSize);
    fetches.set('embedded', embedded);
    return embedded;
  }

  #scatter(gradient: Float32Array, sum: Float32Array, batch: TokenBatch, shape: BatchShape): void {
    const views = this.store.views(sum);
    const [word, position, type] = [wordEmbedding, positionEmbedding, typeEmbedding].map((name) =>
      (views.get(name) as Float32Array).fill(0),
    ) as [Float32Array, Float32Array, Float32Array];
    scatter(gradient, { ...this.store.tables(), word, position, type }, batch, shape.tokens);
  }

  #classifier(): Classifier {
    const weight = this.store.data('classifier.weight');
    const bias = this.store.data('classifier.bias');
    return { weight, bias, labels: this.#options.labels, width: this.featureLength };
  }

  #records(batch: Pick<LabelledBatch, 'recordsPerUnit'>): number {
    return batch.recordsPerUnit ?? this.#options.shape.recordsPerUnit ?? 1;
  }

  #program(
    kind: Kind,
    shape: BatchShape,
    { records = 1, from = this.#from, dropout = false }: { records?: number; from?: number; dropout?: boolean } = {},
  ): Promise<Program> {
    return this.steps.get(`${kind} ${dropout} ${from} ${shape.batch}x${shape.tokens}/${records}`, () =>
      builders[kind]({
        ...shape,
        config: this.config,
        head: this.#options.head,
        task: this.#options.task,
        labels: this.#options.labels,
        recordsPerUnit: records,
        from,
        shapes: this.#shapes,
        lora: this.store.lora,
        trains: (name) => this.store.trains(name),
        dropout,
      }),
    );
  }
}
