import { type ModelFiles, readModelDirectory, writeModelDirectory } from '../../shared/bert/directory.ts';
import { peftName } from '../../shared/bert/lora.ts';
import { wordEmbedding } from '../../shared/bert/names.ts';
import { type Rng, seededRng } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { headOf, labelsOf, type Plan } from '../../shared/protocol/plan.ts';
import { heldOutColumns } from '../../shared/protocol/plan-columns.ts';
import { examplesOf } from '../../shared/protocol/plan-examples.ts';
import { openStageModel, openTokenizer, type StageModel } from '../../shared/protocol/stage-model.ts';
import type { Layout } from '../../shared/tensor/layout.ts';
import type { NamedTensor, Weights } from '../../shared/tensor/named.ts';
import { readWeights, writeSafetensors } from '../../shared/tensor/safetensors.ts';
import { type EncodedExample, type Examples, readExamples } from '../../shared/text/encode.ts';
import { parseJsonl, requireRecords } from '../../shared/text/records.ts';
import type { Tokenizer } from '../../shared/text/tokenizer.ts';
import { logitsOf } from '../../shared/training/evaluate.ts';
import { createFeatureCache, type FeatureCache } from '../../shared/training/features.ts';
import { fillMasks } from '../../shared/training/pretraining/fill-masks.ts';
import { pretrainingMetrics } from '../../shared/training/pretraining/measure.ts';
import { BERT_TASK, type TaskMetrics, taskMetrics } from '../../shared/training/task-metrics.ts';
import { filled, prediction } from '../models/local-model.ts';
import type { Prediction } from '../service.ts';

type OpenStage = StageModel & { readonly key: string };

/** The coordinator's own copy of the model: to size updates, to evaluate on held-out text, to publish, to predict. */
export class GlobalModel {
  readonly plan: Plan;
  readonly #files: ModelFiles;
  readonly #engine: Engine;
  readonly #rng: Rng;
  readonly #tokenizer: Tokenizer;
  readonly #features = new WeakMap<readonly EncodedExample[], { key: string; cache: FeatureCache }>();
  #stage: OpenStage | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: {
    readonly plan: Plan;
    readonly files: ModelFiles;
    readonly engine: Engine;
    readonly rng: Rng;
  }) {
    this.plan = options.plan;
    this.#files = options.files;
    this.#engine = options.engine;
    this.#rng = options.rng;
    this.#tokenizer = openTokenizer(options.files);
  }

  /** Held-out texts of a JSON Lines file as the model reads them, pre-training texts with the same masks every time. @throws DATA_* */
  encode(jsonl: Uint8Array): EncodedExample[] {
    const examples = this.examples(jsonl, seededRng('held-out masks'));
    return [...readExamples(examples, [...Array(examples.length).keys()])];
  }

  /** Texts of a JSON Lines file as a participant that holds them reads them. @throws DATA_* */
  examples(jsonl: Uint8Array, rng: Rng): Examples {
    const columns = heldOutColumns(this.plan);
    const { records } = requireRecords(parseJsonl(jsonl, columns), columns);
    return examplesOf(this.plan, records, this.#tokenizer, rng);
  }

  /** What each stage's update looks like. */
  async layouts(): Promise<Layout[]> {
    const layouts: Layout[] = [];
    for (const stage of this.plan.stages.keys()) {
      layouts.push(await this.#withStage(stage, [], async ({ bert }) => bert.trainableLayout));
    }
    return layouts;
  }

  /**
   * Where a stage starts: a head that says nothing yet where none was trained, adapters that change nothing, and as one more
   * overlay everything drawn here that every participant must have alike: adapters, and a pooler that the checkpoint lacks.
   */
  start(
    stage: number,
    carried: readonly Uint8Array[],
  ): Promise<{ readonly flat: Float32Array; readonly overlay: Uint8Array | undefined }> {
    return this.#withStage(stage, carried, async ({ bert, directory }) => {
      const flat = bert.trainable();
      const trains = new Set(bert.trainableLayout.entries.map((e) => e.name));
      const known = new Set([
        ...directory.weights.keys(),
        ...carried.flatMap((c) => [...readWeights(c, 'carried').keys()]),
      ]);
      startHead(flat, bert.trainableLayout, known, directory.weights);
      const frozen = [...bert.weightsNow()].filter(([name]) => !known.has(name) && !trains.has(peftName(name)));
      const adapters = [...bert.adapterNow()].filter(([name]) => name.includes('.lora_'));
      const drawn = new Map([...frozen.filter(([name]) => !trains.has(name)), ...adapters]);
      return { flat, overlay: drawn.size === 0 ? undefined : writeSafetensors(drawn, { dtype: 'F32' }) };
    });
  }

  evaluate(
    stage: number,
    overlays: readonly Uint8Array[],
    flat: Float32Array,
    examples: readonly EncodedExample[],
  ): Promise<TaskMetrics> {
    return this.#withStage(stage, overlays, async (model) => {
      model.bert.setTrainable(flat);
      if (model.kind === 'pretraining') return pretrainingMetrics(model.bert, examples, model.shape);
      const features = this.plan.stages[stage]?.train === 'head' ? this.#featuresOf(examples, model) : undefined;
      const width = labelsOf(this.plan).length;
      const logits = await logitsOf(model.bert, examples, width, model.shape, features);
      return taskMetrics(model.task, logits, examples, width);
    });
  }

  /** What a stage brought, as an overlay on the starting model: every tensor that is not as it was. */
  brought(stage: number, overlays: readonly Uint8Array[], flat: Float32Array): Promise<Uint8Array> {
    return this.#withStage(stage, overlays, async ({ bert, directory }) => {
      bert.setTrainable(flat);
      const changed = [...bert.weightsNow()].filter(
        ([name, tensor]) => !name.includes('lora_') && differs(tensor, directory.weights.get(name)),
      );
      return writeSafetensors(new Map(changed), { dtype: 'F32' });
    });
  }

  /** The Hugging Face directory with an overlay in it. */
  directory(overlay: ReadonlyMap<string, NamedTensor>): Map<string, Uint8Array> {
    const { config, weights, tokenizer } = readModelDirectory(this.#files);
    const { task } = this.plan;
    const model = { config, weights: new Map([...weights, ...overlay]), tokenizer };
    if (task.kind === 'pretraining') return writeModelDirectory({ ...model, pretraining: true });
    return writeModelDirectory({
      ...model,
      labelNames: labelsOf(this.plan),
      task: BERT_TASK[task.kind],
      head: headOf(this.plan),
    });
  }

  /** Label and scores of each text, or what fills its masks, by the directory as it is. */
  predict(texts: readonly string[]): Promise<Prediction[]> {
    return this.#withStage(0, [], async (model) => {
      const { shape } = model;
      if (model.kind === 'pretraining')
        return (await fillMasks(model.bert, this.#tokenizer, texts, { ...shape, masked: model.masked })).map(filled);
      const names = labelsOf(this.plan);
      const examples = texts.map(
        (text): EncodedExample => ({ ids: this.#tokenizer.encode(text, shape.tokens).ids, label: 0 }),
      );
      const logits = await logitsOf(model.bert, examples, names.length, shape);
      return texts.map((_, i) =>
        prediction(model.task, names, logits.subarray(i * names.length, (i + 1) * names.length)),
      );
    });
  }

  async dispose(): Promise<void> {
    await this.#turn;
    await this.#stage?.bert.dispose();
    this.#stage = undefined;
  }

  #featuresOf(
    examples: readonly EncodedExample[],
    { key, bert, shape }: Extract<OpenStage, { kind: 'labelled' }>,
  ): FeatureCache {
    const known = this.#features.get(examples);
    if (known?.key === key) return known.cache;
    const cache = createFeatureCache(bert, examples, shape);
    this.#features.set(examples, { key, cache });
    return cache;
  }

  /** One model is open at a time, and one caller uses it at a time. */
  #withStage<T>(stage: number, overlays: readonly Uint8Array[], use: (model: OpenStage) => Promise<T>): Promise<T> {
    const mine = this.#turn.then(async () => use(await this.#open(stage, overlays)));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #open(stage: number, overlays: readonly Uint8Array[]): Promise<OpenStage> {
    const key = `${stage} ${overlays.map(overlayId).join(' ')}`;
    if (this.#stage?.key === key) return this.#stage;
    await this.#stage?.bert.dispose();
    this.#stage = undefined;
    const model = await openStageModel({
      engine: this.#engine,
      files: this.#files,
      overlays,
      plan: this.plan,
      stage,
      rng: this.#rng,
    });
    this.#stage = { ...model, key };
    return this.#stage;
  }
}

const ids = new WeakMap<Uint8Array, string>();
let nextId = 0;

const MASKED_NORM = 'cls.predictions.transform.LayerNorm.weight';

/**
 * Of a head that no checkpoint has: a classifier of zeros, and a masked-LM head whose logits have a variance of about 1: the
 * embeddings that it is tied to are as long as they are, and long ones would make it sure of what it does not know.
 */
function startHead(flat: Float32Array, layout: Layout, known: ReadonlySet<string>, weights: Weights): void {
  for (const { name, offset, length } of layout.entries) {
    const plain = name.replace(/^base_model\.model\./, '');
    if (known.has(plain)) continue;
    if (plain.startsWith('classifier.')) flat.fill(0, offset, offset + length);
    if (plain === MASKED_NORM) flat.fill(1 / lengthOfRows(weights.get(wordEmbedding)), offset, offset + length);
  }
}

/** Root mean square of the lengths of a table's rows; 1 for none. */
function lengthOfRows(table: NamedTensor | undefined): number {
  if (table === undefined) return 1;
  const squares = table.data.reduce((sum, x) => sum + x * x, 0);
  return Math.sqrt(squares / (table.shape[0] as number)) || 1;
}

/** Overlays are loaded once and kept, so identity of the array is identity of the content. */
function overlayId(bytes: Uint8Array): string {
  let id = ids.get(bytes);
  if (id === undefined) {
    id = String(nextId++);
    ids.set(bytes, id);
  }
  return id;
}

function differs(tensor: NamedTensor, before: NamedTensor | undefined): boolean {
  return (
    before === undefined ||
    tensor.data.length !== before.data.length ||
    tensor.data.some((x, i) => x !== before.data[i])
  );
}
