import { ringWasm } from './generated/ring.ts';
import { instantiate, type Workspace } from './module.ts';

/** Bits of a word that choose a cell: 2^13 cells of 4 bytes fit the first-level cache, and a shift by a constant costs a quarter. */
export const CELL_BITS = 13;

/**
 * A sampler as the noise kernel reads it: signed 32-bit words stand for integers. Of a word the first 13 bits, signed, are a column and
 * the last k the place in it, which is column·2^k + place; where the last 19 are not below the cell's threshold, another column
 * takes the column's place. Words below `limit` are escapes, which the host settles.
 */
export interface ColumnTable {
  /** Of the column c at c mod 2^13: (c XOR the other column)·2^19 + threshold. */
  readonly cells: Uint32Array;
  /** k, at most 18. */
  readonly offsetBits: number;
  readonly limit: number;
}

/** Arithmetic on 32-bit words mod 2^32. Every array is a view of the workspace that came with the kernels. */
export interface RingKernels {
  readonly kind: 'wasm' | 'typescript';
  /** target[i] += words[i]. */
  add(target: Uint32Array, words: Uint32Array): void;
  /** target[i] -= words[i]. */
  subtract(target: Uint32Array, words: Uint32Array): void;
  /** out[i] = ⌊values[i]·scale + (words[i] + ½)/2^32⌋; |values[i]·scale| < 2^31 − 1. */
  quantise(out: Uint32Array, values: Float32Array, words: Uint32Array, scale: number): void;
  /**
   * target[i] += sign · what words[i] stands for. Positions of escapes go to `escapes`, their own column having been added.
   * @returns how many
   */
  noise(target: Uint32Array, words: Uint32Array, table: ColumnTable, sign: 1 | -1, escapes: Uint32Array): number;
}

type RingFunction = 'add' | 'subtract' | 'quantise' | 'noise';

/** Undefined where the platform has no WebAssembly SIMD. */
export function ringInWasm(space: Workspace): RingKernels | undefined {
  const wasm = instantiate<RingFunction>(ringWasm, space.memory);
  if (wasm === undefined) return undefined;
  return {
    kind: 'wasm',
    add(target, words) {
      checkRoom(target, words.length);
      wasm.add(space.at(target), space.at(words), words.length);
    },
    subtract(target, words) {
      checkRoom(target, words.length);
      wasm.subtract(space.at(target), space.at(words), words.length);
    },
    quantise(out, values, words, scale) {
      checkRoom(values, out.length);
      checkRoom(words, out.length);
      wasm.quantise(space.at(out), space.at(values), space.at(words), out.length, scale);
    },
    noise(target, words, { cells, offsetBits, limit }, sign, escapes) {
      checkRoom(target, words.length);
      checkRoom(escapes, words.length);
      checkRoom(cells, 2 ** CELL_BITS);
      const [to, from, count] = [space.at(target), space.at(words), words.length];
      return wasm.noise(to, from, count, space.at(cells), offsetBits, limit, sign, space.at(escapes));
    },
  };
}

/** The kernels check no bounds. */
function checkRoom(view: { readonly length: number }, count: number): void {
  if (view.length < count) throw new RangeError(`${view.length} places for ${count} words`);
}
