import { expect, test } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { extentInTypeScript, extentOf } from '../../../shared/kernels/extent.ts';

function drawn(length: number): Float32Array {
  const words = new Int32Array(seededRng('extent').bytes(4 * length).buffer, 0, length);
  return Float32Array.from(words, (x) => 3 * (x / 2 ** 31));
}

test.each([1, 7, 8, 9, 16_383, 16_384, 16_385, 40_001])(
  'WebAssembly and TypeScript give the same bits for %i numbers',
  (length) => {
    const vector = drawn(length);
    let square = 0;
    for (let at = 0; at < length; at += 2 ** 14) {
      const part = vector.subarray(at, at + 2 ** 14);
      const padded = new Float32Array(Math.ceil(part.length / 8) * 8);
      padded.set(part);
      square += extentInTypeScript(padded).square;
    }
    const { largest } = extentInTypeScript(vector);
    expect(extentOf(vector)).toEqual({ square, largest });
    const exact = vector.reduce((sum, x) => sum + x * x, 0);
    expect(Math.abs(square - exact)).toBeLessThanOrEqual(1e-12 * exact);
    expect(largest).toBe(vector.reduce((most, x) => Math.max(most, Math.abs(x)), 0));
  },
);

test('the largest is found at every place, with either sign', () => {
  for (let i = 0; i < 19; i++)
    for (const sign of [1, -1]) {
      const vector = new Float32Array(19).fill(0.5);
      vector[i] = 7 * sign;
      expect(extentOf(vector)).toEqual({ square: 49 + 18 * 0.25, largest: 7 });
    }
});

test('a vector that is not finite has a square that is not, wherever it is', () => {
  const vector = drawn(20_000);
  for (const i of [0, 8_191, 16_384, 19_999]) {
    const before = vector[i] as number;
    vector[i] = Number.NaN;
    expect(extentOf(vector).square).toBeNaN();
    vector[i] = Number.NEGATIVE_INFINITY;
    expect(extentOf(vector)).toEqual({ square: Number.POSITIVE_INFINITY, largest: Number.POSITIVE_INFINITY });
    vector[i] = before;
  }
  expect(extentOf(new Float32Array(0))).toEqual({ square: 0, largest: 0 });
});
