import { expect, test } from 'vitest';
import { seededRng, uniform } from '../../../../shared/core/rng.ts';
import {
  cholesky,
  gram,
  invertLower,
  leadingSubspace,
  orthonormalise,
  ridge,
} from '../../../../shared/training/pretraining/linear-algebra.ts';

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

test('ridge finds the map and the intercept that made the outputs, and a penalty shrinks the map', () => {
  const inputs = Float32Array.from(rows);
  const truth = [2, -1, 0.5, 0, 3, 1];
  const outputs = Float32Array.from({ length: 40 }, (_, o) => {
    const row = Math.floor(o / 2);
    const sum = truth.reduce((t, w, i) => t + w * at(rows, row, i), 0);
    return o % 2 === 0 ? sum + 7 : -sum;
  });
  const { weight, bias } = ridge(inputs, n, outputs, 2, 1e-9);
  for (const [i, w] of truth.entries()) {
    expect(weight[i]).toBeCloseTo(w, 4);
    expect(weight[n + i]).toBeCloseTo(-w, 4);
  }
  expect(bias[0]).toBeCloseTo(7, 4);
  expect(bias[1]).toBeCloseTo(0, 4);
  const shrunk = ridge(inputs, n, outputs, 2, 10).weight;
  expect(Math.hypot(...shrunk)).toBeLessThan(0.5 * Math.hypot(...weight));
});

test('leadingSubspace is the span of the largest eigenvectors', () => {
  // A matrix with known eigenvectors: Q·diag(9, 4, 1, …)·Qᵀ.
  const q = rows.slice(0, n * n);
  orthonormalise(q, n);
  const values = [9, 4, 1, 0.5, 0.2, 0.1];
  const matrix = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++)
      matrix[i * n + j] = values.reduce((sum, v, k) => sum + v * at(q, i, k) * at(q, j, k), 0);
  const found = leadingSubspace(matrix, n, rows.slice(0, 2 * n), 30);
  for (const k of [0, 1]) {
    let inside = 0;
    for (const c of [0, 1]) {
      let along = 0;
      for (let i = 0; i < n; i++) along += at(q, i, k) * (found[i * 2 + c] as number);
      inside += along ** 2;
    }
    expect(inside).toBeCloseTo(1, 8);
  }
});
