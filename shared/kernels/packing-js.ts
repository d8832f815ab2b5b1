import { littleEndianBytes, littleEndianWords } from '../core/keystream.ts';
import type { PackingKernels } from './packing.ts';

/** Packing in TypeScript: where there is no WebAssembly, and what the compiled kernels are compared with. */
export const packingInTypeScript: PackingKernels = {
  kind: 'typescript',
  pack(packed, words, bits) {
    if (bits === 32) return packed.set(littleEndianBytes(words));
    const mask = 2 ** bits - 1;
    let [held, free, at] = [0, 0, 0];
    for (let i = 0; i < words.length; i++) {
      // At most 4 bits are left over from the word before: 24 in all.
      held |= ((words[i] as number) & mask) << free;
      for (free += bits; free >= 8; free -= 8) {
        packed[at++] = held;
        held >>>= 8;
      }
    }
    if (free > 0) packed[at] = held;
  },
  unpack(words, packed, bits) {
    if (bits === 32) return words.set(littleEndianWords(packed.subarray(0, 4 * words.length)));
    const mask = 2 ** bits - 1;
    let [held, there, at] = [0, 0, 0];
    for (let i = 0; i < words.length; i++) {
      for (; there < bits; there += 8) held |= (packed[at++] as number) << there;
      words[i] = held & mask;
      held >>>= bits;
      there -= bits;
    }
  },
};
