import type { LabelledBatch } from '../bert/model.ts';
import type { EncodedExample } from '../text/encode.ts';

/** Fixed shapes, so that no batch of any size makes an engine prepare a new program. */
export interface BatchShape {
  /** Rows. */
  readonly batch: number;
  /** Longest sequence; ids beyond are cut off. */
  readonly tokens: number;
}

export interface MicroBatch {
  readonly batch: LabelledBatch & { readonly tokens: number; readonly labels: Int32Array };
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
    const length = Math.min(shape.tokens, (examples[index] as EncodedExample).ids.length);
    (queues[buckets.findIndex((b) => length <= b)] as number[]).push(index);
  }
  for (const [i, queue] of queues.entries()) {
    for (let start = 0; start < queue.length; start += shape.batch) {
      const rows = queue.slice(start, start + shape.batch);
      yield { rows, batch: fill(examples, rows, shape.batch, buckets[i] as number) };
    }
  }
}

function fill(
  examples: readonly EncodedExample[],
  rows: readonly number[],
  batch: number,
  tokens: number,
): MicroBatch['batch'] {
  const inputIds = new Int32Array(batch * tokens);
  const attentionMask = new Int32Array(batch * tokens);
  const labels = new Int32Array(batch);
  const weights = new Float32Array(batch);
  for (const [row, index] of rows.entries()) {
    const { ids, label } = examples[index] as EncodedExample;
    const length = Math.min(tokens, ids.length);
    inputIds.set(ids.subarray(0, length), row * tokens);
    attentionMask.fill(1, row * tokens, row * tokens + length);
    labels[row] = label;
    weights[row] = 1;
  }
  // A padding row reads one token: a row that attends to nothing has no softmax.
  for (let row = rows.length; row < batch; row++) attentionMask[row * tokens] = 1;
  return { inputIds, attentionMask, tokenTypeIds: new Int32Array(batch * tokens), labels, weights, tokens };
}
