/** L with L·Lᵀ = the symmetric positive definite matrix [n × n, row-major] whose lower triangle is given. */
export function cholesky(matrix: Float64Array, n: number): Float64Array {
  const lower = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j] as number;
      for (let k = 0; k < j; k++) sum -= (lower[i * n + k] as number) * (lower[j * n + k] as number);
      lower[i * n + j] = i === j ? Math.sqrt(sum) : sum / (lower[j * n + j] as number);
    }
  }
  return lower;
}

/** Inverse of a lower triangular matrix, by forward substitution. */
export function invertLower(lower: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = i === j ? 1 : 0;
      for (let k = j; k < i; k++) sum -= (lower[i * n + k] as number) * (inverse[k * n + j] as number);
      inverse[i * n + j] = sum / (lower[i * n + i] as number);
    }
  }
  return inverse;
}

/** Lower triangle of Σ rowᵀ·row over the rows of a matrix with `width` columns. */
export function gram(rows: Float64Array, width: number): Float64Array {
  const out = new Float64Array(width * width);
  for (let at = 0; at < rows.length; at += width) {
    for (let i = 0; i < width; i++) {
      const x = rows[at + i] as number;
      for (let j = 0, to = i * width; j <= i; j++, to++) out[to] = (out[to] as number) + x * (rows[at + j] as number);
    }
  }
  return out;
}

/** Makes the columns orthonormal in place: Cholesky QR, Q = Y·L⁻ᵀ for L·Lᵀ = Yᵀ·Y. Columns must not be almost parallel. */
export function orthonormalise(rows: Float64Array, width: number): void {
  const inverse = invertLower(cholesky(gram(rows, width), width), width);
  const row = new Float64Array(width);
  for (let at = 0; at < rows.length; at += width) {
    for (let j = 0; j < width; j++) {
      let sum = 0;
      for (let k = 0; k <= j; k++) sum += (rows[at + k] as number) * (inverse[j * width + k] as number);
      row[j] = sum;
    }
    rows.set(row, at);
  }
}
