import { ringWasm } from './generated/ring.ts';
import { instantiate, type Workspace } from './module.ts';

/** An alias table of 2^(32 − shift) cells as the kernel reads it: one word a cell, so that most tables stay in first-level cache. */
export interface PackedTable {
  /** Index of the other value·2^shift + threshold, of each cell. */
  readonly cells: Uint32Array;
  readonly shift: number;
  /** Value of cell 0. */
  readonly first: number;
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
   * target[i] += multiple · the table's sample for words[i]. Positions where the word alone does not decide go to `ties`, the
   * cell's other value having been added. @returns how many
   */
  noise(target: Uint32Array, words: Uint32Array, table: PackedTable, multiple: number, ties: Uint32Array): number;
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
    noise(target, words, table, multiple, ties) {
      checkRoom(target, words.length);
      checkRoom(ties, words.length);
      checkRoom(table.cells, 2 ** (32 - table.shift));
      const { shift, first } = table;
      const cells = space.at(table.cells);
      return wasm.noise(space.at(target), space.at(words), words.length, cells, shift, first, multiple, space.at(ties));
    },
  };
}

/** The kernels check no bounds. */
function checkRoom(view: { readonly length: number }, count: number): void {
  if (view.length < count) throw new RangeError(`${view.length} places for ${count} words`);
}
