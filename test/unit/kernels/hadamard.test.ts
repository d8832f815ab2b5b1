import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { type HadamardKernels, hadamardInWasm } from '../../../shared/kernels/hadamard.ts';
import { hadamardInTypeScript } from '../../../shared/kernels/hadamard-js.ts';
import { Workspace } from '../../../shared/kernels/module.ts';

const random = (seed: string, count: number): Uint32Array =>
  new Uint32Array(seededRng(seed).bytes(4 * count).buffer, 0, count);

function room(count: number) {
  const space = new Workspace(40 * count + 512);
  return {
    kernels: hadamardInWasm(space) as HadamardKernels,
    block: space.doubles(count),
    values: space.floats(count),
    signs: space.words(Math.ceil(count / 32)),
    words: space.words(count),
    out: space.words(count),
  };
}

describe('WebAssembly and TypeScript give the same bits', () => {
  test.each([1, 4, 16, 64, 1024, 4096, 16_384, 65_536])('transform of %d numbers', (count) => {
    const { kernels, block } = room(count);
    random(`transform ${count}`, count).forEach((word, i) => {
      block[i] = (word / 2 ** 31 - 1) * 2 ** ((i % 40) - 20);
    });
    const twin = block.slice();
    hadamardInTypeScript.transform(twin);
    kernels.transform(block);
    expect(Buffer.compare(Buffer.from(block.slice().buffer), Buffer.from(twin.buffer))).toBe(0);
  });

  test('signs and rounding, of any length', () => {
    const cases = fc.record({ seed: fc.string(), count: fc.integer({ min: 0, max: 200 }) });
    fc.assert(
      fc.property(cases, ({ seed, count }) => {
        const { kernels, block, values, signs, words, out } = room(count);
        signs.set(random(`${seed} signs`, signs.length));
        words.set(random(`${seed} words`, count));
        random(`${seed} values`, count).forEach((word, i) => {
          values[i] = word / 2 ** 31 - 1;
        });
        const twin = new Float64Array(count);
        hadamardInTypeScript.spread(twin, values, signs, 2 ** -8);
        kernels.spread(block, values, signs, 2 ** -8);
        expect(block).toEqual(twin);
        const rounded = new Uint32Array(count);
        hadamardInTypeScript.quantise(rounded, twin, words, 3e10);
        kernels.quantise(out, block, words, 3e10);
        expect(out).toEqual(rounded);
      }),
    );
  });
});

test('the transform is the Walsh–Hadamard matrix', () => {
  const { kernels, block } = room(16);
  for (let column = 0; column < 16; column++) {
    block.fill(0);
    block[column] = 1;
    kernels.transform(block);
    for (let row = 0; row < 16; row++) {
      const ones = (row & column).toString(2).replaceAll('0', '').length;
      expect(block[row]).toBe(ones % 2 === 0 ? 1 : -1);
    }
  }
});

test('only powers of 4, and only inside of what was given', () => {
  const { kernels, block, values, signs } = room(64);
  expect(() => kernels.transform(block.subarray(0, 32))).toThrow(/power of 4/);
  expect(() => kernels.spread(block.subarray(0, 32), values, signs, 1)).toThrow(RangeError);
  expect(() => kernels.spread(block, values, signs.subarray(0, 1), 1)).toThrow(RangeError);
});
