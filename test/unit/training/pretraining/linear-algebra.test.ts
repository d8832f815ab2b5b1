import { expect, test } from 'vitest';
import { seededRng, uniform } from '../../../../shared/core/rng.ts';
import { cholesky, gram, invertLower, orthonormalise } from '../../../../shared/training/pretraining/linear-algebra.ts';

const rng = seededRng('algebra');
const n = 6;
const rows = Float64Array.from({ length: 20 * n }, () => uniform(rng) - 0.3);
const at = (m: Float64Array, i: number, j: number): number => m[i * n + j] as number;

test('gram is the lower triangle of rowsᵀ·rows', () => {
  const found = gram(rows, n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let r = 0; r < 20; r++) sum += at(rows, r, i) * at(rows, r, j);
      expect(at(found, i, j)).toBeCloseTo(j <= i ? sum : 0, 12);
    }
  }
});

test('cholesky·choleskyᵀ is the matrix, and invertLower inverts it', () => {
  const matrix = gram(rows, n);
  const lower = cholesky(matrix, n);
  const inverse = invertLower(lower, n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let [square, one] = [0, 0];
      for (let k = 0; k < n; k++) {
        square += at(lower, i, k) * at(lower, j, k);
        one += at(lower, i, k) * at(inverse, k, j);
      }
      if (j <= i) expect(square).toBeCloseTo(at(matrix, i, j), 10);
      else expect(at(lower, i, j)).toBe(0);
      expect(one).toBeCloseTo(i === j ? 1 : 0, 10);
    }
  }
});

test('orthonormalise leaves the span and makes the columns orthonormal', () => {
  const q = rows.slice();
  orthonormalise(q, n);
  const g = gram(q, n);
  for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) expect(at(g, i, j)).toBeCloseTo(i === j ? 1 : 0, 10);
  // Every old column is the sum of its projections on the new ones.
  for (let c = 0; c < n; c++) {
    for (let r = 0; r < 20; r++) {
      let sum = 0;
      for (let k = 0; k < n; k++) {
        let along = 0;
        for (let s = 0; s < 20; s++) along += at(rows, s, c) * at(q, s, k);
        sum += along * at(q, r, k);
      }
      expect(sum).toBeCloseTo(at(rows, r, c), 10);
    }
  }
});
