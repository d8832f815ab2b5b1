import { seededRng, shuffle } from '../../core/rng.ts';
import type { Tokenizer } from '../../text/tokenizer.ts';
import type { SegmentBatch } from '../pretraining/segments.ts';

/** A batch of texts in the student's pieces, and which texts they are. */
export interface StudentBatch extends SegmentBatch {
  readonly texts: readonly number[];
}

/** Lengths of batches are multiples of this, special pieces included. */
const LENGTH_STEP = 16;

/** The training texts as the student reads them, in batches of about one length and about so many pieces. */
export class StudentTexts {
  readonly #texts: readonly Int32Array[];
  readonly #special: Tokenizer['special'];
  readonly #byLength = new Map<number, number[]>();
  readonly #rowsOf: (tokens: number) => number;
  /** Batches in one pass over all texts. */
  readonly batches: number;

  /** @param pieces in one batch, padding included */
  constructor(texts: readonly string[], tokenizer: Tokenizer, longest: number, pieces: number) {
    this.#texts = texts.map((text) => tokenizer.encode(text, longest).ids);
    this.#special = tokenizer.special;
    this.#rowsOf = (tokens) => Math.max(1, Math.floor(pieces / tokens));
    for (const [index, { length }] of this.#texts.entries()) {
      const tokens = Math.min(longest, Math.ceil(length / LENGTH_STEP) * LENGTH_STEP);
      const alike = this.#byLength.get(tokens);
      if (alike === undefined) this.#byLength.set(tokens, [index]);
      else alike.push(index);
    }
    this.batches = [...this.#byLength].reduce(
      (n, [tokens, all]) => n + Math.floor(all.length / this.#rowsOf(tokens)),
      0,
    );
  }

  /** The batches of one pass in a fresh order, the same for a seed; what does not fill a batch is left for the next pass. */
  pass(seed: string): readonly { readonly tokens: number; readonly texts: readonly number[] }[] {
    const rng = seededRng(seed);
    const out: { tokens: number; texts: number[] }[] = [];
    for (const [tokens, all] of [...this.#byLength].sort(([a], [b]) => a - b)) {
      const rows = this.#rowsOf(tokens);
      const order = shuffle(rng, [...all]);
      for (let at = 0; at + rows <= order.length; at += rows) out.push({ tokens, texts: order.slice(at, at + rows) });
    }
    return shuffle(rng, out);
  }

  batch({ tokens, texts }: { readonly tokens: number; readonly texts: readonly number[] }): StudentBatch {
    const numbers = texts.length * tokens;
    const out = {
      inputIds: new Int32Array(numbers).fill(this.#special.pad),
      attentionMask: new Int32Array(numbers),
      tokenTypeIds: new Int32Array(numbers),
      tokens,
      texts,
    };
    for (const [row, text] of texts.entries()) {
      const ids = this.#texts[text] as Int32Array;
      out.inputIds.set(ids, row * tokens);
      out.attentionMask.fill(1, row * tokens, row * tokens + ids.length);
    }
    return out;
  }
}
