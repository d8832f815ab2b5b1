import { expect, test } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { GEMM_SCRATCH_BYTES, openGemm, type PlacedMatrix } from '../../../shared/kernels/gemm.ts';
import { Workspace } from '../../../shared/kernels/module.ts';

function drawn(space: Workspace, seed: string, count: number): Float32Array {
  const view = new DataView(seededRng(seed).bytes(4 * count).buffer);
  const numbers = space.floats(count);
  for (let i = 0; i < count; i++) numbers[i] = view.getInt32(4 * i, true) / 2 ** 31;
  return numbers;
}

function at(numbers: Float32Array, { rows, columns, transposed }: PlacedMatrix, i: number, j: number): number {
  return numbers[transposed ? j * rows + i : i * columns + j] as number;
}

/** Below, at and above every block and tile edge. */
const sizes = [
  [1, 1, 1],
  [1, 8, 700],
  [3, 5, 7],
  [4, 256, 8],
  [5, 257, 9],
  [64, 300, 128],
  [67, 513, 131],
] as const;
const ways = [false, true].flatMap((left) => [false, true].map((right) => [left, right] as const));

test.each(sizes.flatMap((size) => ways.map((way) => [...size, ...way] as const)))(
  'A [%i, %i] times B [.., %i], transposed %s and %s, as float64 has it',
  (m, k, n, left, right) => {
    const space = new Workspace(4 * (m * k + k * n + m * n) + GEMM_SCRATCH_BYTES + 64 + 16);
    const [a, b] = [drawn(space, 'a', m * k), drawn(space, 'b', k * n)];
    const [c, guard, scratch] = [space.floats(m * n), space.floats(4).fill(7), space.bytes(GEMM_SCRATCH_BYTES)];
    const placedA = { at: space.at(a), rows: m, columns: k, transposed: left };
    const placedB = { at: space.at(b), rows: k, columns: n, transposed: right };
    const gemm = openGemm(space.memory as WebAssembly.Memory, space.at(scratch));
    expect(gemm).toBeDefined();
    c.fill(Number.NaN);
    gemm?.(placedA, placedB, space.at(c));
    let worst = 0;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let p = 0; p < k; p++) sum += at(a, placedA, i, p) * at(b, placedB, p, j);
        worst = Math.max(worst, Math.abs(sum - (c[i * n + j] as number)));
      }
    }
    expect(worst).toBeLessThanOrEqual(2 ** -24 * k);
    expect([...guard]).toEqual([7, 7, 7, 7]);
  },
);

test('matrices that do not fit one another or the memory are refused', () => {
  const space = new Workspace(GEMM_SCRATCH_BYTES + 4096);
  const gemm = openGemm(space.memory as WebAssembly.Memory, space.at(space.bytes(GEMM_SCRATCH_BYTES)));
  const end = (space.memory as WebAssembly.Memory).buffer.byteLength;
  const square = { at: 0, rows: 2, columns: 2, transposed: false };
  expect(() => gemm?.(square, { ...square, rows: 3 }, 0)).toThrow(RangeError);
  expect(() => gemm?.({ ...square, at: end - 12 }, square, 0)).toThrow(RangeError);
  expect(() => gemm?.(square, square, end - 12)).toThrow(RangeError);
});
