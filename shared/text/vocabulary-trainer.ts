import { TacitError } from '../core/errors.ts';
import { normalise, wordsOf } from './bert-words.ts';

export type VocabularyErrorCode =
  /** The size holds no piece beside the special tokens and the alphabet. */
  | 'VOCABULARY_SIZE'
  /** No word to learn from. */
  | 'VOCABULARY_EMPTY';

export interface VocabularyOptions {
  /** Pieces in all, special tokens included. The result is smaller only when no pair is left to join. */
  readonly size: number;
  /** A pair seen less often is not joined. Default 2. */
  readonly minimumCount?: number;
  /** The most frequent characters that are kept; words with another one become [UNK]. Default 200. */
  readonly alphabetLimit?: number;
}

/** In this order at the front of every vocabulary, as in Google's. */
export const SPECIAL_TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] as const;

/** Longer words are [UNK] to every BERT tokenizer. */
const MAX_WORD_CHARS = 100;

/**
 * How often each word occurs, words being what BERT's normaliser (lower case, accents stripped) and pre-tokenizer make
 * of the texts. Exact although it normalises from space to space: neither carries anything across a space.
 */
export function countWords(texts: Iterable<string>): Map<string, number> {
  const spaced = new Map<string, number>();
  for (const text of texts) {
    for (const part of text.split(/[ \t\n\r]+/)) if (part !== '') spaced.set(part, (spaced.get(part) ?? 0) + 1);
  }
  const words = new Map<string, number>();
  for (const [part, count] of spaced) {
    for (const word of wordsOf(normalise(part))) {
      if (word.length <= MAX_WORD_CHARS) words.set(word, (words.get(word) ?? 0) + count);
    }
  }
  return words;
}

/**
 * Learns a WordPiece vocabulary: pieces inside a word carry `##`; the most frequent neighbouring pair is joined until
 * the vocabulary is full (Sennrich et al. 2016, Algorithm 1, on `##` pieces, which is how Hugging Face trains
 * WordPiece). Depends only on the counts, not on their order: ties go to the pair of older pieces.
 * @returns one piece a line of vocab.txt: special tokens, alphabet by code point, joined pieces by age
 * @throws VOCABULARY_SIZE, VOCABULARY_EMPTY
 */
export function trainVocabulary(words: ReadonlyMap<string, number>, options: VocabularyOptions): string[] {
  const { size, minimumCount = 2, alphabetLimit = 200 } = options;
  const sorted = [...words].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const alphabet = keptCharacters(sorted, alphabetLimit);
  const spelled = sorted.flatMap(([word, count]) => {
    const letters = [...word];
    return letters.every((c) => alphabet.has(c)) ? [{ letters, count }] : [];
  });
  if (spelled.length === 0)
    throw new TacitError<VocabularyErrorCode>('VOCABULARY_EMPTY', 'there is no word to learn from');
  const pieces: string[] = [...SPECIAL_TOKENS, ...lettersUsed(spelled)];
  if (pieces.length >= size) {
    throw new TacitError<VocabularyErrorCode>(
      'VOCABULARY_SIZE',
      `a vocabulary of ${size} holds nothing beside ${pieces.length} special tokens and letters`,
      { fix: 'Ask for a larger vocabulary, or lower the alphabet limit.' },
    );
  }
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  const idOf = (piece: string): number => {
    let id = ids.get(piece);
    if (id === undefined) {
      id = pieces.length;
      pieces.push(piece);
      ids.set(piece, id);
    }
    return id;
  };
  const pairs = new PairTable(
    spelled.map(({ letters, count }) => ({ symbols: letters.map((c, i) => idOf(i === 0 ? c : `##${c}`)), count })),
  );
  while (pieces.length < size) {
    const best = pairs.best();
    if (best === undefined || best.count < minimumCount) break;
    const [left, right] = [pieces[best.left] as string, pieces[best.right] as string];
    pairs.join(best.left, best.right, idOf(left + right.slice(2)));
  }
  return pieces;
}

/** The most frequent characters; ties go to the lower code point. */
function keptCharacters(words: readonly (readonly [string, number])[], limit: number): Set<string> {
  const counts = new Map<string, number>();
  for (const [word, count] of words) for (const c of word) counts.set(c, (counts.get(c) ?? 0) + count);
  const ranked = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  return new Set(ranked.slice(0, limit).map(([c]) => c));
}

/** The first letters and the `##` letters that occur, each sorted. */
function lettersUsed(words: readonly { readonly letters: readonly string[] }[]): string[] {
  const first = new Set<string>();
  const later = new Set<string>();
  for (const { letters } of words) for (const [i, c] of letters.entries()) (i === 0 ? first : later).add(c);
  return [...[...first].sort(), ...[...later].sort().map((c) => `##${c}`)];
}

interface SpelledWord {
  symbols: number[];
  readonly count: number;
}

interface Pair {
  readonly left: number;
  readonly right: number;
  readonly count: number;
}

/** Ids stay below 2^21, so a pair is one exact number. */
const KEY = 2 ** 21;

/** Counts of neighbouring pieces, kept up to date over joins, with the most frequent one at hand. */
class PairTable {
  readonly #words: readonly SpelledWord[];
  readonly #counts = new Map<number, number>();
  /** Words in which a pair occurs or once occurred. */
  readonly #where = new Map<number, Set<number>>();
  /** Binary heap of counts as they were when pushed; a stale entry is put right when it reaches the top. */
  readonly #heap: Pair[] = [];

  constructor(words: readonly SpelledWord[]) {
    this.#words = words;
    for (let w = 0; w < words.length; w++) this.#add(w, 1);
    for (const [key, count] of this.#counts) this.#push(key, count);
  }

  best(): Pair | undefined {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined) return undefined;
      const now = this.#counts.get(top.left * KEY + top.right) ?? 0;
      if (now === top.count) return top;
      this.#pop();
      if (now > 0) this.#push(top.left * KEY + top.right, now);
    }
  }

  /** Replaces the pair by the piece `joined` everywhere. */
  join(left: number, right: number, joined: number): void {
    const touched = new Set<number>();
    for (const w of this.#where.get(left * KEY + right) ?? []) {
      const word = this.#words[w] as SpelledWord;
      this.#add(w, -1);
      word.symbols = joinPair(word.symbols, left, right, joined);
      for (const key of this.#add(w, 1)) touched.add(key);
    }
    this.#where.delete(left * KEY + right);
    for (const key of touched) {
      const count = this.#counts.get(key) ?? 0;
      if (count > 0) this.#push(key, count);
    }
  }

  /** Adds (`sign` 1) or takes away (−1) the pairs of one word. Returns their keys. */
  #add(w: number, sign: 1 | -1): number[] {
    const { symbols, count } = this.#words[w] as SpelledWord;
    const keys: number[] = [];
    for (let i = 1; i < symbols.length; i++) {
      const key = (symbols[i - 1] as number) * KEY + (symbols[i] as number);
      keys.push(key);
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + sign * count);
      if (sign < 0) continue;
      const where = this.#where.get(key);
      if (where === undefined) this.#where.set(key, new Set([w]));
      else where.add(w);
    }
    return keys;
  }

  #push(key: number, count: number): void {
    const heap = this.#heap;
    heap.push({ left: Math.floor(key / KEY), right: key % KEY, count });
    let i = heap.length - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(heap[i] as Pair, heap[parent] as Pair)) break;
      [heap[i], heap[parent]] = [heap[parent] as Pair, heap[i] as Pair];
      i = parent;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Pair;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let i = 0; ; ) {
      const [a, b] = [2 * i + 1, 2 * i + 2];
      let least = i;
      if (a < heap.length && before(heap[a] as Pair, heap[least] as Pair)) least = a;
      if (b < heap.length && before(heap[b] as Pair, heap[least] as Pair)) least = b;
      if (least === i) return;
      [heap[i], heap[least]] = [heap[least] as Pair, heap[i] as Pair];
      i = least;
    }
  }
}

function before(a: Pair, b: Pair): boolean {
  return a.count > b.count || (a.count === b.count && (a.left < b.left || (a.left === b.left && a.right < b.right)));
}

function joinPair(symbols: readonly number[], left: number, right: number, joined: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      out.push(joined);
      i++;
    } else out.push(symbols[i] as number);
  }
  return out;
}
