import { type Rng, shuffle, uniform, uniformInt } from '../../core/rng.ts';
import type { EncodedCorpus } from './corpus.ts';

/** Two segments as ranges of `EncodedCorpus.pieces`: [start, end). */
export interface SegmentPair {
  firstStart: number;
  firstEnd: number;
  secondStart: number;
  secondEnd: number;
  /** Whether the second really follows the first; otherwise it is from another document. */
  readonly follows: boolean;
}

export interface PairOptions {
  /** Longest [CLS] first [SEP] second [SEP]. */
  readonly tokens: number;
  /** Share of pairs that aim at a random shorter length, so that short texts are met too. Default 0.1. */
  readonly shortShare?: number;
  /** Share of pairs whose second segment is from another document. Default 0.5. */
  readonly randomShare?: number;
}

const SPECIALS = 3;

/**
 * One pass over the corpus as packed next-sentence pairs, shuffled: sentences of a document are joined until the target
 * length, cut in two at a random sentence, and half of the time the second half is exchanged for a stretch of another
 * document while the unused sentences are used again (Devlin et al. 2019, appendix A.2 and its `create_pretraining_data`).
 */
export function segmentPairs(corpus: EncodedCorpus, options: PairOptions, rng: Rng): SegmentPair[] {
  const pairs: SegmentPair[] = [];
  const documents = corpus.documents.length - 1;
  for (let d = 0; d < documents; d++) documentPairs(corpus, d, options, rng, pairs);
  return shuffle(rng, pairs);
}

function documentPairs(
  corpus: EncodedCorpus,
  document: number,
  options: PairOptions,
  rng: Rng,
  out: SegmentPair[],
): void {
  const { sentences, documents } = corpus;
  const { tokens, shortShare = 0.1, randomShare = 0.5 } = options;
  const alone = documents.length === 2;
  const room = tokens - SPECIALS;
  const last = documents[document + 1] as number;
  const startOf = (sentence: number): number => sentences[sentence] as number;
  let at = documents[document] as number;
  while (at < last) {
    const begin = at;
    const target = uniform(rng) < shortShare ? 2 + uniformInt(rng, room - 1) : room;
    while (at < last && startOf(at) - startOf(begin) < target) at++;
    const cut = begin + (at - begin > 1 ? 1 + uniformInt(rng, at - begin - 1) : 1);
    const first = { firstStart: startOf(begin), firstEnd: startOf(cut) };
    const follows = cut < at && (alone || uniform(rng) >= randomShare);
    if (!follows && alone) continue;
    const second = follows
      ? { secondStart: startOf(cut), secondEnd: startOf(at) }
      : stretch(
          corpus,
          anotherDocument(corpus, document, rng),
          Math.max(1, target - startOf(cut) + startOf(begin)),
          rng,
        );
    if (!follows) at = cut;
    const pair: SegmentPair = { ...first, ...second, follows };
    shorten(pair, room, rng);
    out.push(pair);
  }
}

function anotherDocument(corpus: EncodedCorpus, document: number, rng: Rng): number {
  const other = uniformInt(rng, corpus.documents.length - 2);
  return other < document ? other : other + 1;
}

/** Whole sentences of a document from a random one on, until there are `wanted` pieces. */
function stretch(
  { sentences, documents }: EncodedCorpus,
  document: number,
  wanted: number,
  rng: Rng,
): { secondStart: number; secondEnd: number } {
  const [begin, last] = [documents[document] as number, documents[document + 1] as number];
  const from = begin + uniformInt(rng, last - begin);
  let to = from + 1;
  while (to < last && (sentences[to] as number) - (sentences[from] as number) < wanted) to++;
  return { secondStart: sentences[from] as number, secondEnd: sentences[to] as number };
}

/** Takes pieces from the longer segment, at its front or its back by chance, until both fit. */
function shorten(pair: SegmentPair, room: number, rng: Rng): void {
  for (;;) {
    const first = pair.firstEnd - pair.firstStart;
    const second = pair.secondEnd - pair.secondStart;
    if (first + second <= room) return;
    const front = uniform(rng) < 0.5;
    if (first > second) {
      if (front) pair.firstStart++;
      else pair.firstEnd--;
    } else if (front) pair.secondStart++;
    else pair.secondEnd--;
  }
}
