import type { LabelledBatch } from '../bert/model.ts';
import { NOT_PREDICTED } from '../bert/pretraining-slots.ts';
import type { EncodedExample, MaskedTargets } from '../text/encode.ts';

/** Fixed shapes, so that no batch of any size makes an engine prepare a new program. */
export interface BatchShape {
  /** Rows. */
  readonly batch: number;
  /** Longest sequence; ids beyond are cut off. */
  readonly tokens: number;
}

export interface MicroBatch {
  readonly batch: LabelledBatch & { readonly tokens: number };
  /** Index of the example in each row; rows beyond are padding with weight 0. */
  readonly rows: readonly number[];
}

/** Sequence lengths that a model of at most `tokens` is prepared for: powers of two from 16, and `tokens` itself. */
export function lengthBuckets(tokens: number): number[] {
  const buckets: number[] = [];
  for (let length = 16; length < tokens; length *= 2) buckets.push(length);
  return [...buckets, tokens];
}

/**
 * Micro-batches of a fixed shape per length bucket. Examples are grouped by length, in the order of `indices` inside a
 * bucket; the last batch of a bucket is filled up with empty rows of weight 0, which add exactly nothing.
 */
export function* microBatches(
  examples: readonly EncodedExample[],
  indices: readonly number[],
  shape: BatchShape,
): Generator<MicroBatch> {
  const buckets = lengthBuckets(shape.tokens);
  const queues = buckets.map((): number[] => []);
  for (const index of indices) {
    const length = Math.min(shape.tokens, lengthOf(examples, index));
    (queues[buckets.findIndex((b) => length <= b)] as number[]).push(index);
  }
  for (const [i, queue] of queues.entries()) {
    for (let start = 0; start < queue.length; start += shape.batch) {
      const rows = queue.slice(start, start + shape.batch);
      yield { rows, batch: fill(examples, rows, shape.batch, buckets[i] as number) };
    }
  }
}

/** A row of a micro-batch of units that holds no example. */
export const PADDING_ROW = -1;

/**
 * Micro-batches in which the examples of a unit lie next to one another, each weighted 1/n so that the unit's gradient
 * is the mean of its examples'. Units are grouped by their longest text and by how many places they take, a power of
 * two up to the shape's rows; no unit may be larger than those. `rows` has PADDING_ROW where a place is empty.
 */
export function* unitMicroBatches(
  examples: readonly EncodedExample[],
  members: readonly (readonly number[])[],
  shape: BatchShape,
): Generator<MicroBatch> {
  const buckets = lengthBuckets(shape.tokens);
  const queues = new Map<string, { tokens: number; places: number; units: (readonly number[])[] }>();
  for (const unit of members) {
    const length = Math.min(shape.tokens, Math.max(...unit.map((index) => lengthOf(examples, index))));
    const tokens = buckets.find((b) => length <= b) as number;
    const places = Math.min(shape.batch, 2 ** Math.ceil(Math.log2(unit.length)));
    const key = `${tokens} ${places}`;
    const queue = queues.get(key) ?? { tokens, places, units: [] };
    queue.units.push(unit);
    queues.set(key, queue);
  }
  for (const { tokens, places, units } of queues.values()) {
    const each = Math.floor(shape.batch / places);
    for (let start = 0; start < units.length; start += each) {
      const rows = units.slice(start, start + each).flatMap((unit) => [...unit, ...empty(places - unit.length)]);
      const batch = fill(examples, rows, each * places, tokens);
      for (const [row, index] of rows.entries())
        if (index !== PADDING_ROW) batch.weights[row] = 1 / (units[start + Math.floor(row / places)] ?? []).length;
      yield { rows, batch: { ...batch, recordsPerUnit: places } };
    }
  }
}

/** Labels of these examples, as the engine takes them: class numbers, or a row of values each. Empty rows have zeros. */
export function labelsOf(
  examples: readonly EncodedExample[],
  rows: readonly number[],
  batch = rows.length,
): Int32Array | Float32Array {
  const width = firstOf(examples, rows)?.values?.length;
  const labels = width === undefined ? new Int32Array(batch) : new Float32Array(batch * width);
  for (const [row, index] of rows.entries()) {
    if (index === PADDING_ROW) continue;
    const { label, values } = examples[index] as EncodedExample;
    if (values === undefined) labels[row] = label;
    else labels.set(values, row * values.length);
  }
  return labels;
}

function empty(count: number): number[] {
  return new Array<number>(count).fill(PADDING_ROW);
}

function lengthOf(examples: readonly EncodedExample[], index: number): number {
  return (examples[index] as EncodedExample).ids.length;
}

function fill(
  examples: readonly EncodedExample[],
  rows: readonly number[],
  batch: number,
  tokens: number,
): MicroBatch['batch'] {
  const inputIds = new Int32Array(batch * tokens);
  const attentionMask = new Int32Array(batch * tokens);
  const weights = new Float32Array(batch);
  // A padding row reads one token: a row that attends to nothing has no softmax.
  for (let row = 0; row < batch; row++) attentionMask[row * tokens] = 1;
  for (const [row, index] of rows.entries()) {
    if (index === PADDING_ROW) continue;
    const { ids } = examples[index] as EncodedExample;
    const length = Math.min(tokens, ids.length);
    inputIds.set(ids.subarray(0, length), row * tokens);
    attentionMask.fill(1, row * tokens, row * tokens + length);
    weights[row] = 1;
  }
  const read = { inputIds, attentionMask, tokenTypeIds: new Int32Array(batch * tokens), weights, tokens };
  return { ...read, ...targetsOf(examples, rows, batch, read) };
}

/** Labels of the examples; of a masked LM those of every position, and where an example's second part begins. */
function targetsOf(
  examples: readonly EncodedExample[],
  rows: readonly number[],
  batch: number,
  { tokenTypeIds, tokens }: Pick<MicroBatch['batch'], 'tokenTypeIds' | 'tokens'>,
): Pick<LabelledBatch, 'labels' | 'nextSentenceLabel'> {
  if (firstOf(examples, rows)?.masked === undefined) return { labels: labelsOf(examples, rows, batch) };
  const labels = new Int32Array(batch * tokens).fill(NOT_PREDICTED);
  const nextSentenceLabel = new Int32Array(batch);
  for (const [row, index] of rows.entries()) {
    if (index === PADDING_ROW) continue;
    const { masked, label } = examples[index] as EncodedExample;
    const known = masked as MaskedTargets;
    labels.set(known.labels, row * tokens);
    tokenTypeIds.fill(1, row * tokens + known.second, row * tokens + known.labels.length);
    nextSentenceLabel[row] = label;
  }
  return { labels, nextSentenceLabel };
}

function firstOf(examples: readonly EncodedExample[], rows: readonly number[]): EncodedExample | undefined {
  return examples[rows.find((index) => index !== PADDING_ROW) ?? 0];
}
