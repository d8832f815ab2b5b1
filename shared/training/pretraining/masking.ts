import { NOT_PREDICTED } from '../../bert/pretraining-slots.ts';
import { type Rng, uniform, uniformInt } from '../../core/rng.ts';
import type { Vocabulary } from './corpus.ts';

export interface MaskingOptions {
  /** Share of an example's pieces that are to be predicted, 0.15 in BERT. At least one is. */
  readonly share: number;
  /** Most predicted pieces in one example. */
  readonly most: number;
  /** All pieces of a word are predicted together. */
  readonly wholeWords: boolean;
}

/**
 * Chooses pieces to predict and hides them in place: 80 % become [MASK], 10 % a random piece, 10 % stay
 * (Devlin et al. 2019, §3.1).
 * @param ids one example, special tokens included; changed in place
 * @param labels same length; receives the true piece at predicted positions, NOT_PREDICTED elsewhere
 */
export function maskPieces(
  ids: Int32Array,
  labels: Int32Array,
  vocabulary: Vocabulary,
  options: MaskingOptions,
  rng: Rng,
): void {
  labels.fill(NOT_PREDICTED);
  const units = predictable(ids, vocabulary, options.wholeWords);
  const pieces = units.reduce((n, [from, to]) => n + to - from, 0);
  let left = Math.min(options.most, Math.max(1, Math.round(pieces * options.share)));
  for (let drawn = 0; drawn < units.length && left > 0; drawn++) {
    const other = drawn + uniformInt(rng, units.length - drawn);
    const unit = units[other] as readonly [number, number];
    units[other] = units[drawn] as readonly [number, number];
    const [from, to] = unit;
    if (to - from > left) continue;
    left -= to - from;
    for (let at = from; at < to; at++) {
      labels[at] = ids[at] as number;
      ids[at] = hidden(ids[at] as number, vocabulary, rng);
    }
  }
}

/** Positions that may be predicted, [from, to): single pieces, or whole words. */
function predictable(
  ids: Int32Array,
  { continues, special }: Vocabulary,
  wholeWords: boolean,
): (readonly [number, number])[] {
  const out: (readonly [number, number])[] = [];
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at] as number;
    if (id === special.cls || id === special.sep || id === special.pad) continue;
    const from = at;
    if (wholeWords) while (at + 1 < ids.length && continues[ids[at + 1] as number] === 1) at++;
    out.push([from, at + 1]);
  }
  return out;
}

function hidden(id: number, { special, vocabularySize }: Vocabulary, rng: Rng): number {
  const chance = uniform(rng);
  if (chance < 0.8) return special.mask;
  return chance < 0.9 ? uniformInt(rng, vocabularySize) : id;
}
