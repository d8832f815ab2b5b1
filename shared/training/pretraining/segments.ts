import { type Rng, uniformInt } from '../../core/rng.ts';
import type { EncodedCorpus } from './corpus.ts';

/** B single texts of T tokens, row-major. */
export interface SegmentBatch {
  readonly inputIds: Int32Array;
  readonly attentionMask: Int32Array;
  readonly tokenTypeIds: Int32Array;
  readonly tokens: number;
}

/** Shortest segment that is drawn, in pieces: shorter ones say too little. */
const SHORTEST = 8;

/**
 * One batch of texts as a classifier meets them, [CLS] text [SEP]: neighbouring sentences of a random document from a
 * random sentence on, to a length drawn uniformly from `shortest` to T − 2 pieces (less where the document ends before).
 */
export function segmentBatch(
  corpus: EncodedCorpus,
  batch: number,
  tokens: number,
  rng: Rng,
  shortest = SHORTEST,
): SegmentBatch {
  const { cls, sep, pad } = corpus.special;
  const out = {
    inputIds: new Int32Array(batch * tokens).fill(pad),
    attentionMask: new Int32Array(batch * tokens),
    tokenTypeIds: new Int32Array(batch * tokens),
    tokens,
  };
  for (let row = 0; row < batch; row++) {
    const segment = randomSegment(corpus, shortest, tokens - 2, rng);
    const at = row * tokens;
    out.inputIds[at] = cls;
    out.inputIds.set(segment, at + 1);
    out.inputIds[at + segment.length + 1] = sep;
    out.attentionMask.fill(1, at, at + segment.length + 2);
  }
  return out;
}

function randomSegment(
  { pieces, sentences, documents }: EncodedCorpus,
  shortest: number,
  most: number,
  rng: Rng,
): Int32Array {
  const target = Math.min(most, shortest + uniformInt(rng, Math.max(1, most - shortest + 1)));
  const from = uniformInt(rng, sentences.length - 1);
  const start = sentences[from] as number;
  const documentEnd = sentences[documents.find((d) => d > from) as number] as number;
  return pieces.subarray(start, Math.min(documentEnd, start + target));
}
