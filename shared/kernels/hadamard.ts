import { hadamardWasm } from './generated/hadamard.ts';
import { instantiate, type Workspace } from './module.ts';

/** What spreads a vector over all its numbers. Every array is a view of the workspace that came with the kernels. */
export interface HadamardKernels {
  readonly kind: 'wasm' | 'typescript';
  /** out[i] = ±values[i]·factor, minus where bit i of `signs` (little-endian 32-bit words) is set. */
  spread(out: Float64Array, values: Float32Array, signs: Uint32Array, factor: number): void;
  /** H·x in place: the Walsh–Hadamard matrix of ±1, which is √length times an orthogonal one. The length is a power of 4. */
  transform(x: Float64Array): void;
  /** out[i] = ⌊values[i]·scale + (words[i] + ½)/2^32⌋; |values[i]·scale| < 2^31 − 1. */
  quantise(out: Uint32Array, values: Float64Array, words: Uint32Array, scale: number): void;
}

/** Undefined where the platform has no WebAssembly SIMD. */
export function hadamardInWasm(space: Workspace): HadamardKernels | undefined {
  const wasm = instantiate<'spread' | 'transform' | 'quantise'>(hadamardWasm, space.memory);
  if (wasm === undefined) return undefined;
  return {
    kind: 'wasm',
    spread(out, values, signs, factor) {
      checkRoom(out, values.length);
      checkRoom(signs, Math.ceil(values.length / 32));
      wasm.spread(space.at(out), space.at(values), space.at(signs), values.length, factor);
    },
    transform(x) {
      if (4 ** Math.round(Math.log2(x.length) / 2) !== x.length) throw new RangeError(`${x.length} is no power of 4`);
      wasm.transform(space.at(x), x.length);
    },
    quantise(out, values, words, scale) {
      checkRoom(values, out.length);
      checkRoom(words, out.length);
      wasm.quantise(space.at(out), space.at(values), space.at(words), out.length, scale);
    },
  };
}

/** The kernels check no bounds. */
function checkRoom(view: { readonly length: number }, count: number): void {
  if (view.length < count) throw new RangeError(`${view.length} places for ${count} numbers`);
}
