import { expect, test } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { squaresWasm } from '../../../shared/kernels/generated/squares.ts';
import { instantiate, memoryOf, Workspace } from '../../../shared/kernels/module.ts';
import { squaresInTypeScript, sumOfSquares } from '../../../shared/kernels/squares.ts';

function drawn(length: number, space?: Workspace): Float32Array {
  const view = new DataView(seededRng('squares').bytes(4 * length).buffer);
  const vector = space?.floats(length) ?? new Float32Array(length);
  for (let i = 0; i < length; i++) vector[i] = 3 * (view.getInt32(4 * i, true) / 2 ** 31);
  return vector;
}

test.each([0, 1, 7, 8, 9, 10_007])('WebAssembly and TypeScript give the same bits for %i numbers', (length) => {
  const space = new Workspace(4 * length + 64);
  space.floats(3);
  const inside = drawn(length, space);
  const memory = memoryOf(inside.buffer);
  expect(memory).toBe(space.memory);
  const whole = length - (length % 8);
  const kernel = instantiate<'squares'>(squaresWasm, memory);
  expect(kernel?.squares(inside.byteOffset, whole)).toBe(squaresInTypeScript(inside.subarray(0, whole)));
  expect(sumOfSquares(inside)).toBe(squaresInTypeScript(drawn(length)));
  const exact = drawn(length).reduce((sum, x) => sum + x * x, 0);
  expect(Math.abs(sumOfSquares(inside) - exact)).toBeLessThanOrEqual(1e-12 * exact);
});

test('a part of a workspace that begins at any number counts that part alone', () => {
  const inside = drawn(40, new Workspace(4096));
  expect(sumOfSquares(inside.subarray(3, 30))).toBe(squaresInTypeScript(inside.slice(3, 30)));
});

test('not finite numbers stay so', () => {
  const inside = drawn(16, new Workspace(4096));
  inside[5] = Number.NaN;
  expect(sumOfSquares(inside)).toBeNaN();
  inside[5] = Number.POSITIVE_INFINITY;
  expect(sumOfSquares(inside)).toBe(Number.POSITIVE_INFINITY);
});
