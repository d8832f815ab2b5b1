import { type BatchShape, invalid } from './batch.ts';
import type { LabelledBatch } from './types.ts';

/** Hugging Face's label of a position that is not predicted. */
export const NOT_PREDICTED = -100;

/** Which row of the batch each slot predicts, and what. */
export interface Slots {
  /** M: row of each slot; unused slots point to row 0 with weight 0. */
  readonly positions: Int32Array;
  /** B·T: slot of each row, M for none. */
  readonly inverse: Int32Array;
  readonly targets: Int32Array;
  readonly used: Uint8Array;
  /** M: the example that a slot belongs to. */
  readonly examples: Int32Array;
  /** Predicted positions of each example. */
  readonly counts: Int32Array;
  readonly total: number;
}

/**
 * @param perExample - slots for each example: a batch has so many times its rows
 * @param grouped - an example's slots stand together, in the examples' order; else they are filled one after another
 * @throws BERT_BATCH_INVALID for a label outside the vocabulary or more predicted positions than slots
 */
export function slotsOf(
  labels: LabelledBatch['labels'],
  shape: BatchShape,
  vocabSize: number,
  perExample: number,
  grouped: boolean,
): Slots {
  const size = shape.batch * perExample;
  const slots = {
    positions: new Int32Array(size),
    inverse: new Int32Array(labels.length).fill(size),
    targets: new Int32Array(size),
    used: new Uint8Array(size),
    examples: new Int32Array(size),
    counts: new Int32Array(shape.batch),
  };
  let total = 0;
  for (const [row, label] of labels.entries()) {
    if (label === NOT_PREDICTED) continue;
    if (label < 0 || label >= vocabSize) throw invalid(`label ${label} is no piece of the vocabulary`);
    const example = Math.floor(row / shape.tokens);
    const before = slots.counts[example] as number;
    const slot = grouped ? example * perExample + before : total;
    slots.counts[example] = before + 1;
    total += 1;
    if (slot >= size || (grouped && before >= perExample)) {
      throw invalid(`more predicted positions than shape.masked (${perExample} an example) has room for`);
    }
    slots.positions[slot] = row;
    slots.inverse[row] = slot;
    slots.targets[slot] = label;
    slots.used[slot] = 1;
    slots.examples[slot] = example;
  }
  return { ...slots, total };
}
