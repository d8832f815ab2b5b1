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

/**
 * Leading eigenvectors, as the columns of an n × count matrix, of the symmetric positive semi-definite n × n matrix
 * whose lower triangle is given: block power iteration from `start`, whose columns must be independent.
 */
export function leadingSubspace(
  matrix: Float64Array,
  n: number,
  start: Float64Array,
  iterations: number,
): Float64Array {
  const count = start.length / n;
  let vectors = start;
  for (let iteration = 0; iteration < iterations; iteration++) {
    orthonormalise(vectors, count);
    const next = new Float64Array(n * count);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        const x = (i >= j ? matrix[i * n + j] : matrix[j * n + i]) as number;
        for (let c = 0; c < count; c++)
          next[i * count + c] = (next[i * count + c] as number) + x * (vectors[j * count + c] as number);
      }
    }
    vectors = next;
  }
  orthonormalise(vectors, count);
  return vectors;
}

/**
 * The linear map with intercept that takes inputs to outputs with the least squared error plus a penalty on its
 * numbers: weight [outputs × inputs] and bias [outputs].
 * @param inputs rows × width
 * @param penalty share of the mean input variance that is added to each
 */
export function ridge(
  inputs: Float32Array,
  width: number,
  outputs: Float32Array,
  outputWidth: number,
  penalty: number,
): { weight: Float32Array; bias: Float32Array } {
  const inputMean = columnMeans(inputs, width);
  const outputMean = columnMeans(outputs, outputWidth);
  const centred = Float64Array.from(inputs, (x, at) => x - (inputMean[at % width] as number));
  const products = gram(centred, width);
  let trace = 0;
  for (let i = 0; i < width; i++) trace += products[i * width + i] as number;
  for (let i = 0; i < width; i++)
    products[i * width + i] = (products[i * width + i] as number) + (penalty * trace) / width;
  const cross = new Float64Array(width * outputWidth);
  for (let row = 0; row < inputs.length / width; row++) {
    for (let i = 0; i < width; i++) {
      const x = centred[row * width + i] as number;
      for (let j = 0; j < outputWidth; j++)
        cross[i * outputWidth + j] =
          (cross[i * outputWidth + j] as number) +
          x * ((outputs[row * outputWidth + j] as number) - (outputMean[j] as number));
    }
  }
  const solved = solveLower(cholesky(products, width), width, cross, outputWidth);
  const weight = new Float32Array(outputWidth * width);
  const bias = Float32Array.from(outputMean);
  for (let j = 0; j < outputWidth; j++) {
    for (let i = 0; i < width; i++) {
      const w = solved[i * outputWidth + j] as number;
      weight[j * width + i] = w;
      bias[j] = (bias[j] as number) - w * (inputMean[i] as number);
    }
  }
  return { weight, bias };
}

/** X with L·Lᵀ·X = right [n × columns]. */
function solveLower(lower: Float64Array, n: number, right: Float64Array, columns: number): Float64Array {
  const x = right.slice();
  const take = (to: number, from: number, factor: number): void => {
    for (let j = 0; j < columns; j++)
      x[to * columns + j] = (x[to * columns + j] as number) - factor * (x[from * columns + j] as number);
  };
  const divide = (row: number): void => {
    const pivot = lower[row * n + row] as number;
    for (let j = 0; j < columns; j++) x[row * columns + j] = (x[row * columns + j] as number) / pivot;
  };
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) take(i, k, lower[i * n + k] as number);
    divide(i);
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) take(i, k, lower[k * n + i] as number);
    divide(i);
  }
  return x;
}

/** Mean of each column. */
export function columnMeans(rows: ArrayLike<number>, width: number): Float64Array {
  const sums = new Float64Array(width);
  for (let at = 0; at < rows.length; at++) sums[at % width] = (sums[at % width] as number) + (rows[at] as number);
  return sums.map((sum) => (sum * width) / rows.length);
}
