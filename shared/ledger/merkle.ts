import { equalBytes } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import { sha256 } from '../core/hash.ts';
import type { LedgerErrorCode } from './errors.ts';

/**
 * The Merkle tree of RFC 6962 §2.1 (RFC 9162 §2.1). Hashes are 32 bytes; the domain bytes 0x00 and 0x01 keep a leaf
 * from being read as a node.
 */
const LEAF = new Uint8Array([0]);
const NODE = new Uint8Array([1]);
export const HASH_BYTES = 32;

/** MTH of one entry: SHA-256(0x00 ‖ entry). */
export function leafHash(entry: Uint8Array): Uint8Array {
  return sha256(LEAF, entry);
}

/** SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(NODE, left, right);
}

/** Root of the empty tree: SHA-256 of nothing. */
export function emptyRoot(): Uint8Array {
  return sha256();
}

/** 32-byte hashes in one growing buffer: a million leaves are 64 MB, not a million objects. */
class HashList {
  #bytes = new Uint8Array(64 * HASH_BYTES);
  length = 0;

  push(hash: Uint8Array): void {
    if ((this.length + 1) * HASH_BYTES > this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(hash, this.length * HASH_BYTES);
    this.length++;
  }

  at(index: number): Uint8Array {
    return this.#bytes.slice(index * HASH_BYTES, (index + 1) * HASH_BYTES);
  }
}

/** An append-only tree that keeps the hash of every complete subtree: appending costs O(1) hashes on average, a proof O(log n). */
export class MerkleTree {
  /** levels[k][i] = MTH of leaves [i·2^k, (i+1)·2^k). */
  readonly #levels: HashList[] = [new HashList()];

  get size(): number {
    return (this.#levels[0] as HashList).length;
  }

  append(hash: Uint8Array): void {
    if (hash.length !== HASH_BYTES) throw range(`a hash of ${hash.length} bytes`);
    let carried = hash;
    for (let k = 0; ; k++) {
      const level = this.#levels[k] ?? new HashList();
      this.#levels[k] = level;
      level.push(carried);
      if (level.length % 2 === 1) return;
      carried = nodeHash(level.at(level.length - 2), level.at(level.length - 1));
    }
  }

  /** Hash of the complete subtree of leaves [index·2^level, (index+1)·2^level). @throws LEDGER_RANGE when not complete */
  subtree(level: number, index: number): Uint8Array {
    const hashes = this.#levels[level];
    if (hashes === undefined || index < 0 || index >= hashes.length) throw range(`subtree ${index} of level ${level}`);
    return hashes.at(index);
  }

  /** Root of the first `size` leaves (all by default). @throws LEDGER_RANGE */
  root(size: number = this.size): Uint8Array {
    this.#check(size);
    return size === 0 ? emptyRoot() : this.#hash(0, size);
  }

  /** Audit path of leaf `index` in the tree of the first `size` leaves, leaf side first (RFC 6962 §2.1.1). @throws LEDGER_RANGE */
  inclusionProof(index: number, size: number = this.size): Uint8Array[] {
    this.#check(size);
    if (!Number.isSafeInteger(index) || index < 0 || index >= size) throw range(`index ${index} in a tree of ${size}`);
    const path = (at: number, from: number, to: number): Uint8Array[] => {
      if (to - from === 1) return [];
      const split = from + largestPowerBelow(to - from);
      return at < split
        ? [...path(at, from, split), this.#hash(split, to)]
        : [...path(at, split, to), this.#hash(from, split)];
    };
    return path(index, 0, size);
  }

  /** Proof that the tree of `from` leaves is a prefix of the tree of `to` leaves (RFC 6962 §2.1.2); empty for from = 0. @throws LEDGER_RANGE */
  consistencyProof(from: number, to: number = this.size): Uint8Array[] {
    this.#check(to);
    if (!Number.isSafeInteger(from) || from < 0 || from > to) throw range(`sizes ${from} and ${to}`);
    const sub = (m: number, start: number, end: number, whole: boolean): Uint8Array[] => {
      if (m === end - start) return whole ? [] : [this.#hash(start, end)];
      const k = largestPowerBelow(end - start);
      return m <= k
        ? [...sub(m, start, start + k, whole), this.#hash(start + k, end)]
        : [...sub(m - k, start + k, end, false), this.#hash(start, start + k)];
    };
    return from === 0 || from === to ? [] : sub(from, 0, to, true);
  }

  /** MTH of leaves [from, to) where `from` is a multiple of the smallest power of two ≥ to − from. */
  #hash(from: number, to: number): Uint8Array {
    const width = to - from;
    const level = Math.log2(width);
    if (Number.isInteger(level)) return this.subtree(level, from / width);
    const split = from + largestPowerBelow(width);
    return nodeHash(this.#hash(from, split), this.#hash(split, to));
  }

  #check(size: number): void {
    if (!Number.isSafeInteger(size) || size < 0 || size > this.size)
      throw range(`size ${size} of a tree of ${this.size}`);
  }
}

/** Largest power of two smaller than n ≥ 2. */
function largestPowerBelow(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/**
 * Root that `proof` gives for the leaf at `index` in a tree of `size` leaves (RFC 9162 §2.1.3.2).
 * @throws PROOF_INVALID when the proof has the wrong length
 */
export function rootFromInclusion(
  index: number,
  size: number,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
): Uint8Array {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) {
    throw invalidProof(`index ${index} is not in a tree of ${size}`);
  }
  let [fn, sn, root] = [index, size - 1, leaf];
  for (const hash of proof) {
    if (hash.length !== HASH_BYTES) throw invalidProof('a hash is not 32 bytes');
    if (sn === 0) throw invalidProof('it is too long');
    if (fn % 2 === 1 || fn === sn) {
      root = nodeHash(hash, root);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, half(sn)];
    } else {
      root = nodeHash(root, hash);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) throw invalidProof('it is too short');
  return root;
}

/** @throws PROOF_INVALID unless `proof` shows the leaf at `index` under `root`, the root of `size` leaves */
export function verifyInclusion(
  index: number,
  size: number,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): void {
  if (!equalBytes(rootFromInclusion(index, size, leaf, proof), root)) throw invalidProof('it leads to another root');
}

/**
 * @throws PROOF_INVALID unless `proof` shows that the tree (fromSize, fromRoot) is a prefix of (toSize, toRoot)
 * (RFC 9162 §2.1.4.2). Every tree extends the empty one.
 */
export function verifyConsistency(
  fromSize: number,
  toSize: number,
  fromRoot: Uint8Array,
  toRoot: Uint8Array,
  proof: readonly Uint8Array[],
): void {
  if (!Number.isSafeInteger(fromSize) || !Number.isSafeInteger(toSize) || fromSize < 0 || fromSize > toSize) {
    throw invalidProof(`a tree of ${toSize} cannot extend one of ${fromSize}`);
  }
  if (proof.some((h) => h.length !== HASH_BYTES)) throw invalidProof('a hash is not 32 bytes');
  if (fromSize === toSize || fromSize === 0) {
    const knownRoot = fromSize === 0 ? emptyRoot() : toRoot;
    if (proof.length > 0) throw invalidProof('it should be empty');
    if (!equalBytes(fromRoot, knownRoot)) throw invalidProof(`two roots for size ${fromSize}`);
    return;
  }
  if (proof.length === 0) throw invalidProof('it is empty');
  let [fn, sn] = [fromSize - 1, toSize - 1];
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)];
  // A power of two is itself a node of the new tree, so the proof does not repeat it.
  const hashes = fn === 0 ? [fromRoot, ...proof] : proof;
  let fr = hashes[0] as Uint8Array;
  let sr = fr;
  for (const hash of hashes.slice(1)) {
    if (sn === 0) throw invalidProof('it is too long');
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(hash, fr);
      sr = nodeHash(hash, sr);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, half(sn)];
    } else {
      sr = nodeHash(sr, hash);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) throw invalidProof('it is too short');
  if (!equalBytes(fr, fromRoot)) throw invalidProof('it does not lead to the old root');
  if (!equalBytes(sr, toRoot)) throw invalidProof('it does not lead to the new root');
}

function half(n: number): number {
  return Math.floor(n / 2);
}

function range(what: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('LEDGER_RANGE', `${what} is not in this ledger`);
}

function invalidProof(why: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('PROOF_INVALID', `the Merkle proof does not hold: ${why}`, {
    fix: 'Ask the ledger again; if it repeats, keep both checkpoints and the proof as evidence of a fork.',
  });
}
