import { NOT_PREDICTED } from '../../bert/pretraining-slots.ts';
import type { Rng } from '../../core/rng.ts';
import type { EncodedCorpus } from './corpus.ts';
import { type MaskingOptions, maskPieces } from './masking.ts';
import { type PairOptions, type SegmentPair, segmentPairs } from './pairs.ts';

/** B examples of T tokens, row-major, as Hugging Face's `BertForPreTraining` takes them. */
export interface PretrainingBatch {
  readonly inputIds: Int32Array;
  readonly attentionMask: Int32Array;
  /** 0 for [CLS] first [SEP], 1 for second [SEP]. */
  readonly tokenTypeIds: Int32Array;
  /** The true piece at predicted positions, −100 elsewhere. */
  readonly labels: Int32Array;
  /** B: 0 when the second segment follows the first, 1 when it is random. */
  readonly nextSentenceLabel: Int32Array;
  readonly tokens: number;
}

export interface BatchOptions extends PairOptions, MaskingOptions {
  /** B. */
  readonly batch: number;
}

/**
 * Batches without end (none when the corpus makes no pair): each pass over the corpus draws new pairs and every example
 * a new mask.
 */
export function* pretrainingBatches(
  corpus: EncodedCorpus,
  options: BatchOptions,
  rng: Rng,
): Generator<PretrainingBatch> {
  let pairs: SegmentPair[] = [];
  let used = 0;
  for (;;) {
    if (pairs.length - used < options.batch) {
      const next = segmentPairs(corpus, options, rng);
      if (next.length === 0) return;
      pairs = [...pairs.slice(used), ...next];
      used = 0;
      continue;
    }
    yield makeBatch(corpus, pairs.slice(used, used + options.batch), options, rng);
    used += options.batch;
  }
}

function makeBatch(
  corpus: EncodedCorpus,
  pairs: readonly SegmentPair[],
  options: BatchOptions,
  rng: Rng,
): PretrainingBatch {
  const { tokens } = options;
  const numbers = pairs.length * tokens;
  const batch = {
    inputIds: new Int32Array(numbers).fill(corpus.special.pad),
    attentionMask: new Int32Array(numbers),
    tokenTypeIds: new Int32Array(numbers),
    labels: new Int32Array(numbers).fill(NOT_PREDICTED),
    nextSentenceLabel: Int32Array.from(pairs, (pair) => (pair.follows ? 0 : 1)),
    tokens,
  };
  for (const [row, pair] of pairs.entries()) {
    const first = corpus.pieces.subarray(pair.firstStart, pair.firstEnd);
    const second = corpus.pieces.subarray(pair.secondStart, pair.secondEnd);
    const at = row * tokens;
    const split = at + first.length + 2;
    const end = split + second.length + 1;
    batch.inputIds[at] = corpus.special.cls;
    batch.inputIds.set(first, at + 1);
    batch.inputIds[split - 1] = corpus.special.sep;
    batch.inputIds.set(second, split);
    batch.inputIds[end - 1] = corpus.special.sep;
    batch.attentionMask.fill(1, at, end);
    batch.tokenTypeIds.fill(1, split, end);
    maskPieces(batch.inputIds.subarray(at, end), batch.labels.subarray(at, end), corpus, options, rng);
  }
  return batch;
}
