import { packingWasm } from './generated/packing.ts';
import { instantiate, type Workspace } from './module.ts';
import { packingInTypeScript } from './packing-js.ts';

/** Bits of a word that travel: b of the ring mod 2^b. */
export type RingBits = 16 | 20 | 32;
export const RING_BITS: readonly RingBits[] = [16, 20, 32];

/** Bytes of `count` words of b bits: word i takes bits [b·i, b·(i + 1)), lowest first; what is left of the last byte is 0. */
export function packedBytes(count: number, bits: RingBits): number {
  return Math.ceil((count * bits) / 8);
}

/** Words of a piece of whole words; how many begin in it when it is not. */
export function wordsIn(bytes: number, bits: RingBits): number {
  return Math.floor((8 * bytes) / bits);
}

/** Bytes that `packed` has to be longer than what is in it: the compiled kernels read and write a little further. */
export const PACKING_SPARE = 16;

/** Every array is a view of the workspace that came with the kernels. */
export interface PackingKernels {
  readonly kind: 'wasm' | 'typescript';
  /** The low bits of each word, next to one another. */
  pack(packed: Uint8Array, words: Uint32Array, bits: RingBits): void;
  /** The other way: high bits are 0. */
  unpack(words: Uint32Array, packed: Uint8Array, bits: RingBits): void;
}

/** Over a workspace that outlives the result. */
export function openPacking(space: Workspace): PackingKernels {
  return packingInWasm(space) ?? packingInTypeScript;
}

/** Undefined where the platform has no WebAssembly SIMD. */
export function packingInWasm(space: Workspace): PackingKernels | undefined {
  const wasm = instantiate<'pack16' | 'pack20' | 'unpack16' | 'unpack20'>(packingWasm, space.memory);
  if (wasm === undefined) return undefined;
  return {
    kind: 'wasm',
    pack(packed, words, bits) {
      checkRoom(packed, packedBytes(words.length, bits));
      const [to, from, count] = [space.at(packed), space.at(words), words.length];
      if (bits === 20) wasm.pack20(to, from, count);
      else if (bits === 16) wasm.pack16(to, from, count);
      else packingInTypeScript.pack(packed, words, bits);
    },
    unpack(words, packed, bits) {
      checkRoom(packed, packedBytes(words.length, bits));
      const [to, from, count] = [space.at(words), space.at(packed), words.length];
      if (bits === 20) wasm.unpack20(to, from, count);
      else if (bits === 16) wasm.unpack16(to, from, count);
      else packingInTypeScript.unpack(words, packed, bits);
    },
  };
}

/** The kernels check no bounds. */
function checkRoom(packed: Uint8Array, bytes: number): void {
  if (packed.length < bytes + PACKING_SPARE)
    throw new RangeError(`${packed.length} bytes for ${bytes} and ${PACKING_SPARE} to spare`);
}
