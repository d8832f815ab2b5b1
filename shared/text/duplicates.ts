import { seededRng } from '../core/rng.ts';

export interface DuplicateOptions {
  /** Jaccard similarity from which the later of two texts is dropped. */
  readonly dropAt: number;
  /** Jaccard similarity from which two texts are kept on one side of every split. */
  readonly groupAt: number;
}

export interface Duplicates {
  /** Index of the earlier text that each dropped one repeats; `-1` for kept texts. */
  readonly repeats: Int32Array;
  /** True where a dropped text has exactly the words of the earlier one. */
  readonly exact: Uint8Array;
  /** Pairs of kept texts at or above `groupAt`. */
  readonly similar: readonly (readonly [number, number])[];
}

/** Words in a shingle. */
const SHINGLE = 5;
/** 64 bands of 2 rows find a pair of similarity 0.3 with probability 0.998 (Leskovec et al., Mining of Massive Datasets, §3.4). */
const BANDS = 64;
const ROWS = 2;
const HASHES = BANDS * ROWS;

/**
 * Exact and near duplicates, deterministically: MinHash signatures (Broder 1997) of word sequences and locality-sensitive
 * hashing propose pairs, the exact Jaccard similarity of their sets decides. A text is compared with earlier *kept* ones.
 */
export function findDuplicates(texts: readonly string[], { dropAt, groupAt }: DuplicateOptions): Duplicates {
  const sets = texts.map(shingles);
  const signatures = minHashes(sets);
  const buckets = new Map<number, number[]>();
  const repeats = new Int32Array(texts.length).fill(-1);
  const exact = new Uint8Array(texts.length);
  const similar: [number, number][] = [];
  const seen = new Int32Array(texts.length).fill(-1);
  for (let i = 0; i < texts.length; i++) {
    const keys = bandKeys(signatures, i);
    const mine: [number, number][] = [];
    for (const key of keys) {
      for (const j of buckets.get(key) ?? []) {
        if (seen[j] === i || repeats[i] !== -1) continue;
        seen[j] = i;
        const similarity = jaccard(sets[i] as Uint32Array, sets[j] as Uint32Array, groupAt);
        if (similarity >= dropAt) {
          repeats[i] = j;
          exact[i] = similarity === 1 ? 1 : 0;
        } else if (similarity >= groupAt) mine.push([j, i]);
      }
    }
    if (repeats[i] !== -1) continue;
    similar.push(...mine);
    for (const key of keys) {
      const bucket = buckets.get(key);
      if (bucket === undefined) buckets.set(key, [i]);
      else bucket.push(i);
    }
  }
  return { repeats, exact, similar };
}

/** Sorted distinct 32-bit hashes (FNV-1a) of the text's word sequences; of its words when it has only one. */
function shingles(text: string): Uint32Array {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const hashes = Uint32Array.from(words, fnv1a);
  const size = Math.min(SHINGLE, Math.max(1, hashes.length));
  const out = new Uint32Array(Math.max(0, hashes.length - size + 1));
  for (let i = 0; i < out.length; i++) {
    let h = 0;
    for (let k = 0; k < size; k++) h = Math.imul(h ^ (hashes[i + k] as number), 0x9e3779b1) ^ (h >>> 15);
    out[i] = h;
  }
  out.sort();
  let n = 0;
  for (let i = 0; i < out.length; i++) if (i === 0 || out[i] !== out[i - 1]) out[n++] = out[i] as number;
  return out.subarray(0, n);
}

function fnv1a(word: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) h = Math.imul(h ^ word.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/** HASHES minima a set, of multiply–shift hash functions that are fixed once and for all. */
function minHashes(sets: readonly Uint32Array[]): Uint32Array {
  const random = new Uint32Array(seededRng('tacit minhash 1').bytes(HASHES * 8).buffer);
  const out = new Uint32Array(sets.length * HASHES).fill(0xffffffff);
  for (const [row, set] of sets.entries()) {
    for (let k = 0; k < HASHES; k++) {
      const a = (random[2 * k] as number) | 1;
      const b = random[2 * k + 1] as number;
      let least = 0xffffffff;
      for (let i = 0; i < set.length; i++) {
        let h = Math.imul(set[i] as number, a) + b;
        h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
        if (h < least) least = h;
      }
      out[row * HASHES + k] = least;
    }
  }
  return out;
}

function bandKeys(signatures: Uint32Array, row: number): number[] {
  const keys: number[] = [];
  for (let band = 0; band < BANDS; band++) {
    const at = row * HASHES + band * ROWS;
    const low =
      Math.imul((signatures[at] as number) ^ Math.imul(signatures[at + 1] as number, 0x9e3779b1), 0x85ebca6b) >>> 0;
    keys.push(band * 2 ** 32 + low);
  }
  return keys;
}

/** |A ∩ B| / |A ∪ B| of two sorted sets; 0 as soon as their sizes alone keep it under `atLeast`. */
function jaccard(a: Uint32Array, b: Uint32Array, atLeast: number): number {
  const [small, large] = a.length < b.length ? [a, b] : [b, a];
  if (large.length === 0) return 1;
  if (small.length < atLeast * large.length) return 0;
  let common = 0;
  let j = 0;
  for (let i = 0; i < small.length; i++) {
    const x = small[i] as number;
    while (j < large.length && (large[j] as number) < x) j++;
    if (j < large.length && large[j] === x) common++;
  }
  return common / (a.length + b.length - common);
}
