import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { Workspace } from '../../../shared/kernels/module.ts';
import {
  PACKING_SPARE,
  type PackingKernels,
  packedBytes,
  packingInWasm,
  type RingBits,
  wordsIn,
} from '../../../shared/kernels/packing.ts';
import { packingInTypeScript } from '../../../shared/kernels/packing-js.ts';

const cases = fc.record({
  seed: fc.string(),
  count: fc.oneof(fc.integer({ min: 0, max: 70 }), fc.integer({ min: 500, max: 600 })),
  bits: fc.constantFrom<RingBits>(16, 20, 32),
});
const random = (seed: string, count: number): Uint32Array =>
  new Uint32Array(seededRng(seed).bytes(4 * count).buffer, 0, count);

/** Kernels with a guard behind each array. */
function room(count: number) {
  const space = new Workspace(16 * count + 256);
  const words = space.words(count);
  const packed = space.bytes(4 * count + PACKING_SPARE);
  const guard = space.bytes(32).fill(0xaa);
  return { kernels: packingInWasm(space) as PackingKernels, words, packed, guard };
}

describe('words of b bits next to one another', () => {
  test('WebAssembly and TypeScript give the same bytes and the same words, odd lengths too', () => {
    fc.assert(
      fc.property(cases, ({ seed, count, bits }) => {
        const { kernels, words, packed, guard } = room(count);
        words.set(random(seed, count));
        const twin = new Uint8Array(packedBytes(count, bits));
        packingInTypeScript.pack(twin, words.slice(), bits);
        kernels.pack(packed, words, bits);
        expect(packed.slice(0, twin.length)).toEqual(twin);
        const low = words.map((word) => (bits === 32 ? word : word & (2 ** bits - 1)));
        words.fill(0xdeadbeef);
        kernels.unpack(words, packed, bits);
        expect(words).toEqual(low);
        const twinWords = new Uint32Array(count);
        packingInTypeScript.unpack(twinWords, twin, bits);
        expect(twinWords).toEqual(low);
        expect(guard).toEqual(new Uint8Array(32).fill(0xaa));
      }),
      { numRuns: 300 },
    );
  });

  test('word i has bits [b·i, b·(i + 1)) of the little-endian whole', () => {
    fc.assert(
      fc.property(cases, ({ seed, count, bits }) => {
        const words = random(seed, count);
        const bytes = new Uint8Array(packedBytes(count, bits));
        packingInTypeScript.pack(bytes, words, bits);
        const whole = bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
        for (let i = 0; i < count; i += 7)
          expect(BigInt.asUintN(bits, whole >> BigInt(bits * i))).toBe(
            BigInt.asUintN(bits, BigInt(words[i] as number)),
          );
        expect(whole >> BigInt(bits * count)).toBe(0n);
        expect(wordsIn(bytes.length, bits)).toBe(count);
      }),
    );
  });

  test('2, 2.5 and 4 bytes a number; the kernel refuses what has nothing to spare', () => {
    expect([16, 20, 32].map((bits) => packedBytes(110e6, bits as RingBits) / 110e6)).toEqual([2, 2.5, 4]);
    const { kernels, words, packed } = room(8);
    expect(() => kernels.pack(packed.subarray(0, 20), words, 20)).toThrow(/spare/);
  });
});
