import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { Parameter } from '../engine/engine.ts';
import { flatten, type Layout, layoutOf } from '../tensor/layout.ts';
import type { NamedTensor, TensorSpec, Weights } from '../tensor/named.ts';
import { MAP_FIRST, MAP_LAST } from './distillation-programs.ts';
import type { EmbeddingTables } from './embeddings.ts';
import type { BertErrorCode } from './errors.ts';
import { initialLora, type LoraModule, loraModules, mergeLora, peftName } from './lora.ts';
import { positionEmbedding, typeEmbedding, wordEmbedding } from './names.ts';
import {
  blockSpecs,
  blocksUsed,
  classifierSpecs,
  encoderSpecs,
  initialTensors,
  linearSpecs,
  meanLayersOf,
  poolerSpecs,
  pretrainingSpecs,
  requireTensor,
} from './parameters.ts';
import type { CreateBert, Trainable } from './types.ts';

interface Owned extends Parameter {
  data: Float32Array;
}

/** A model's numbers: trainable ones in one flat array, the frozen ones where the caller's tensors have them. */
export class ParameterStore {
  readonly parameters: ReadonlyMap<string, Owned>;
  readonly layout: Layout;
  readonly lora: readonly LoraModule[];
  #flat: Float32Array;
  readonly #given: Weights;
  readonly #trainableNames: ReadonlyMap<string, string>;
  readonly #padTokenId: number | undefined;
  readonly #width: number;

  constructor(
    given: Weights,
    tensors: Weights,
    trainable: readonly TrainableSpec[],
    lora: readonly LoraModule[],
    options: {
      padTokenId: number | undefined;
      hiddenSize: number;
    },
  ) {
    this.#given = given;
    this.#padTokenId = options.padTokenId;
    this.#width = options.hiddenSize;
    this.lora = lora;
    this.layout = layoutOf(trainable.map(({ outName, shape }) => ({ name: outName, shape })));
    this.#trainableNames = new Map(trainable.map(({ name, outName }) => [name, outName]));
    this.#flat = flatten(
      new Map(trainable.map(({ name, outName }) => [outName, tensors.get(name) as NamedTensor])),
      this.layout,
    );
    const views = new Map(this.layout.entries.map((e) => [e.name, this.#flat.subarray(e.offset, e.offset + e.length)]));
    this.parameters = new Map(
      [...tensors.values()].map(({ name, shape, data }) => {
        const outName = this.#trainableNames.get(name);
        return [
          name,
          { name, shape, data: outName === undefined ? data : (views.get(outName) as Float32Array), version: 0 },
        ];
      }),
    );
  }

  /** The trainable numbers, in the layout's order. */
  get flat(): Float32Array {
    return this.#flat;
  }

  trains(name: string): boolean {
    return this.#trainableNames.has(name);
  }

  /** The layout's name of a trainable parameter (peft's for adapters). */
  outName(name: string): string {
    return this.#trainableNames.get(name) as string;
  }

  data(name: string): Float32Array {
    return (this.parameters.get(name) as Parameter).data;
  }

  set(flat: Float32Array): void {
    this.#requireLength(flat);
    if (flat !== this.#flat) this.#flat.set(flat);
    for (const name of this.#trainableNames.keys()) (this.parameters.get(name) as Owned).version += 1;
  }

  /** From now on the trainable numbers are in `memory`, which its owner may write between two steps. @throws TENSOR_SHAPE */
  keepIn(memory: Float32Array): void {
    this.#requireLength(memory);
    memory.set(this.#flat);
    this.#flat = memory;
    for (const [name, view] of this.views(memory)) (this.parameters.get(name) as Owned).data = view;
  }

  #requireLength(flat: Float32Array): void {
    if (flat.length === this.layout.length) return;
    throw new TacitError('TENSOR_SHAPE', `the vector has ${flat.length} elements, the layout ${this.layout.length}`);
  }

  /** The parts of a flat vector by parameter name. */
  views(flat: Float32Array): Map<string, Float32Array> {
    const parts = new Map(this.layout.entries.map((e) => [e.name, flat.subarray(e.offset, e.offset + e.length)]));
    return new Map([...this.#trainableNames].map(([name, outName]) => [name, parts.get(outName) as Float32Array]));
  }

  /** `into`, checked, or a new vector for a gradient sum. @throws TENSOR_SHAPE */
  sumArray(into: Float32Array | undefined): Float32Array {
    if (into === undefined) return new Float32Array(this.layout.length);
    if (into.length === this.layout.length) return into;
    throw new TacitError('TENSOR_SHAPE', `into has ${into.length} elements, the layout ${this.layout.length}`);
  }

  /** Asks for each trained parameter's squared norms, one a unit; by the layout's names. */
  squaredNormFetches(fetches: Map<string, Float32Array>, units: number): ReadonlyMap<string, Float32Array> {
    const out = new Map<string, Float32Array>();
    for (const [name, outName] of this.#trainableNames) {
      const squares = new Float32Array(units);
      fetches.set(`squared:${name}`, squares);
      out.set(outName, squares);
    }
    return out;
  }

  tables(): EmbeddingTables {
    return {
      word: this.data(wordEmbedding),
      position: this.data(positionEmbedding),
      type: this.data(typeEmbedding),
      width: this.#width,
      padTokenId: this.#padTokenId,
    };
  }

  /** Everything given, with what trained since in its place, adapters merged; no array is shared with this store. */
  weightsNow(): Map<string, NamedTensor> {
    const current = new Map<string, NamedTensor>(this.#given);
    const adapter = new Map<string, NamedTensor>();
    for (const [name, { shape, data }] of this.parameters) {
      const isAdapter = this.lora.some((m) => m.a === name || m.b === name);
      (isAdapter ? adapter : current).set(name, { name, shape, data: data.slice() });
    }
    return mergeLora(current, this.lora, adapter);
  }

  /** Under peft's names: adapter tensors, what trains in full beside them, and what was drawn, since the base lacks it. */
  adapterNow(): Map<string, NamedTensor> {
    const out = new Map<string, NamedTensor>();
    for (const { name, shape, data } of this.parameters.values()) {
      const adapted = this.lora.some((m) => m.a === name || m.b === name);
      const drawn = this.#given.has(name) ? undefined : peftName(name);
      const outName = adapted ? name : this.trains(name) ? this.outName(name) : drawn;
      if (outName !== undefined) out.set(outName, { name: outName, shape, data: data.slice() });
    }
    return out;
  }
}

interface TrainableSpec extends TensorSpec {
  readonly outName: string;
}

/** Checks the weights, draws what is missing and may be missing, and decides what trains. */
export function sequenceStore(options: CreateBert): ParameterStore {
  const { config, weights, head, trainable, rng } = options;
  const blocks = blocksUsed(config, head);
  const width = featureLength(options);
  const body = encoderSpecs(config, blocks);
  const headSpecs = head === 'pooler' ? poolerSpecs(config) : meanDenseSpecs(options, width);
  const classifier = classifierSpecs(options.labels, width);
  const lora = adapters(options, blocks);
  const tensors = new Map<string, NamedTensor>();
  for (const spec of head === 'mean' ? [...body, ...headSpecs] : body)
    tensors.set(spec.name, requireTensor(weights, spec));
  const drawn = head === 'mean' ? classifier : [...headSpecs, ...classifier];
  for (const [name, t] of givenOrDrawn(drawn, options)) tensors.set(name, t);
  for (const [name, t] of adapterTensors(lora, weights, rng)) tensors.set(name, t);
  const above = [...(head === 'pooler' ? headSpecs : []), ...classifier];
  const names =
    typeof trainable !== 'string' && 'layers' in trainable
      ? sameNames([...layerSpecs(config, trainable.layers, blocks), ...above])
      : trainableSpecs(trainable, [...body, ...above], classifier, lora);
  return new ParameterStore(weights, tensors, names, lora, config);
}

/**
 * `BertForPreTraining` (without next sentence `BertForMaskedLM`). The head is what stands above the blocks: the masked-LM
 * transform and bias and, with next sentence, pooler and classifier. The decoder is the word embedding and so no part of it.
 */
export function pretrainingStore(options: {
  readonly config: CreateBert['config'];
  readonly weights: Weights;
  readonly rng: Rng;
  readonly nextSentence: boolean;
  readonly trainable: Trainable;
  /** Whether the head trains too; without it `trainable` may not be `head`. */
  readonly trainHead: boolean;
}): ParameterStore {
  const { config, weights, nextSentence, trainable, trainHead, rng } = options;
  const head = [...(nextSentence ? poolerSpecs(config) : []), ...pretrainingSpecs(config)].filter(
    (spec) => nextSentence || !spec.name.startsWith('cls.seq_relationship'),
  );
  const body = encoderSpecs(config);
  // A pooler is part of the head here, which trains in full or not at all.
  const lora = adapters({ config, trainable, head: 'mean' }, config.layers);
  const given = givenOrDrawn([...body, ...head], options);
  const tensors = new Map(
    [...body, ...head].map((spec): [string, NamedTensor] => [spec.name, given.get(spec.name) as NamedTensor]),
  );
  for (const [name, t] of adapterTensors(lora, weights, rng)) tensors.set(name, t);
  const above = trainHead ? head : [];
  const names =
    typeof trainable !== 'string' && 'layers' in trainable
      ? sameNames([...layerSpecs(config, trainable.layers, config.layers), ...above])
      : trainableSpecs(trainable, [...body, ...above], above, lora);
  return new ParameterStore(weights, tensors, names, lora, config);
}

/** Embeddings and blocks train, with the two maps to the teacher's space (distillation-programs.ts). */
export function distillationStore(
  options: Pick<CreateBert, 'config' | 'weights' | 'rng'> & { readonly targetWidth: number },
): ParameterStore {
  const { config, weights, targetWidth } = options;
  const maps = [MAP_FIRST, MAP_LAST].flatMap((module) => linearSpecs(module, targetWidth, config.hiddenSize));
  const specs = [...encoderSpecs(config), ...maps];
  const tensors = givenOrDrawn(specs, options);
  return new ParameterStore(
    weights,
    new Map(specs.map((spec): [string, NamedTensor] => [spec.name, tensors.get(spec.name) as NamedTensor])),
    specs.map((spec) => ({ ...spec, outName: spec.name })),
    [],
    config,
  );
}

/** Width of the features that go into the classifier. @throws BERT_WEIGHTS_MISSING */
export function featureLength({ config, head, weights }: Pick<CreateBert, 'config' | 'head' | 'weights'>): number {
  if (head === 'pooler') return config.hiddenSize;
  const dense = weights.get('head.dense.weight');
  if (dense !== undefined) return dense.shape[0] ?? 0;
  throw new TacitError<BertErrorCode>('BERT_WEIGHTS_MISSING', 'the checkpoint has no tensor head.dense.weight', {
    fix: 'A mean head needs its public whitening.',
  });
}

function meanDenseSpecs({ config }: CreateBert, width: number): TensorSpec[] {
  return [
    { name: 'head.dense.weight', shape: [width, config.hiddenSize * meanLayersOf(config).length] },
    { name: 'head.dense.bias', shape: [width] },
  ];
}

function adapters(
  { config, trainable, head }: Pick<CreateBert, 'config' | 'trainable' | 'head'>,
  blocks: number,
): LoraModule[] {
  if (typeof trainable === 'string' || !('lora' in trainable)) return [];
  const modules = loraModules(config, trainable.lora, blocks, head);
  if (modules.length > 0 && trainable.lora.rank >= 1) return modules;
  throw new TacitError<BertErrorCode>(
    'BERT_UNSUPPORTED',
    `LoRA on ${trainable.lora.targets.join(', ')} adapts nothing`,
    {
      where: 'trainable.lora',
      fix: 'Name linear modules such as query, value, attention.output.dense, and a rank of at least 1.',
    },
  );
}

/** A classifier or pooler that the checkpoint has must fit; one that it lacks is drawn, as transformers does. */
function givenOrDrawn(
  specs: readonly TensorSpec[],
  { weights, config, rng }: Pick<CreateBert, 'config' | 'weights' | 'rng'>,
): Map<string, NamedTensor> {
  const missing = specs.filter((spec) => !weights.has(spec.name));
  const given = specs.filter((spec) => weights.has(spec.name)).map((spec) => requireTensor(weights, spec));
  return new Map([...given.map((t): [string, NamedTensor] => [t.name, t]), ...initialTensors(missing, config, rng)]);
}

function adapterTensors(lora: readonly LoraModule[], weights: Weights, rng: Rng): Map<string, NamedTensor> {
  const fresh = initialLora(
    lora.filter((m) => !weights.has(m.a) || !weights.has(m.b)),
    rng,
  );
  for (const spec of lora.flatMap((m) => m.specs))
    if (!fresh.has(spec.name)) fresh.set(spec.name, requireTensor(weights, spec));
  return fresh;
}

/** Parameters of the chosen blocks, lowest first. @throws BERT_UNSUPPORTED for a block that the head does not read */
function layerSpecs(config: CreateBert['config'], layers: readonly number[], blocks: number): TensorSpec[] {
  const wrong = layers.filter((layer) => !(Number.isInteger(layer) && layer >= 0 && layer < blocks));
  if (wrong.length > 0 || layers.length === 0 || new Set(layers).size !== layers.length) {
    throw new TacitError<BertErrorCode>(
      'BERT_UNSUPPORTED',
      wrong.length > 0 ? `there is no block ${wrong.join(', ')} below this head` : 'layers must name different blocks',
      { where: 'trainable.layers', fix: `Name blocks from 0 to ${blocks - 1}, each once.` },
    );
  }
  return [...layers].sort((a, b) => a - b).flatMap((layer) => blockSpecs(config, layer));
}

function sameNames(specs: readonly TensorSpec[]): TrainableSpec[] {
  return specs.map((spec) => ({ ...spec, outName: spec.name }));
}

function trainableSpecs(
  trainable: Exclude<Trainable, { readonly layers: readonly number[] }>,
  all: readonly TensorSpec[],
  classifier: readonly TensorSpec[],
  lora: readonly LoraModule[],
): TrainableSpec[] {
  if (trainable === 'all') return sameNames(all);
  if (trainable === 'head') return sameNames(classifier);
  const parts = lora.flatMap(({ specs: [a, b] }) => (trainable.lora.freezeA === true ? [b] : [a, b]));
  const inFull = new Set(trainable.lora.inFull ?? ['classifier']);
  const saved = [
    ...(inFull.has('pooler') ? all.filter(({ name }) => name.startsWith('bert.pooler.')) : []),
    ...(inFull.has('classifier') ? classifier : []),
  ];
  return [...sameNames(parts), ...saved.map((spec) => ({ ...spec, outName: peftName(spec.name) }))];
}
