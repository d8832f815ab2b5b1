import { TacitError } from '../../core/errors.ts';
import type { PretrainingErrorCode } from './corpus.ts';
import { cholesky, gram, invertLower } from './linear-algebra.ts';

/** The affine map W·x + b after which public vectors have mean 0 and covariance close to the identity. */
export interface Whitening {
  /** W, row-major [width × width]; the mean head's `head.dense.weight`. */
  readonly weight: Float32Array;
  /** b = −W·mean, [width]; `head.dense.bias`. */
  readonly bias: Float32Array;
}

/**
 * Whitening from the Cholesky factor of the shrunk covariance (1 − s)·Σ + s·(tr Σ / D)·I = L·Lᵀ: W = L⁻¹. It differs
 * from ZCA or PCA whitening by a rotation only, which changes neither the length of a vector, nor what a linear head
 * can learn, nor how a Gaussian on its gradient acts.
 * @param vectors n × width, row-major
 * @param shrinkage s in (0, 1]
 * @throws PRETRAIN_INVALID for fewer than two vectors or a shrinkage outside (0, 1]
 */
export function fitWhitening(vectors: Float32Array, width: number, shrinkage: number): Whitening {
  const count = vectors.length / width;
  if (!(count >= 2) || !Number.isInteger(count) || !(shrinkage > 0 && shrinkage <= 1)) {
    throw new TacitError<PretrainingErrorCode>(
      'PRETRAIN_INVALID',
      `cannot whiten with ${count} vectors and shrinkage ${shrinkage}`,
      { fix: 'Give at least two vectors and a shrinkage above 0 and at most 1.' },
    );
  }
  const mean = meanOf(vectors, width);
  const lower = cholesky(shrink(covarianceOf(vectors, mean), width, shrinkage), width);
  const inverse = invertLower(lower, width);
  const bias = new Float32Array(width);
  for (let i = 0; i < width; i++) {
    let sum = 0;
    for (let j = 0; j <= i; j++) sum += (inverse[i * width + j] as number) * (mean[j] as number);
    bias[i] = -sum;
  }
  return { weight: Float32Array.from(inverse), bias };
}

function meanOf(vectors: Float32Array, width: number): Float64Array {
  const mean = new Float64Array(width);
  for (let at = 0; at < vectors.length; at++) mean[at % width] = (mean[at % width] as number) + (vectors[at] as number);
  return mean.map((sum) => (sum * width) / vectors.length);
}

/** Lower triangle of the maximum-likelihood covariance. */
function covarianceOf(vectors: Float32Array, mean: Float64Array): Float64Array {
  const width = mean.length;
  const centred = Float64Array.from(vectors, (x, at) => x - (mean[at % width] as number));
  return gram(centred, width).map((sum) => (sum * width) / vectors.length);
}

function shrink(covariance: Float64Array, width: number, shrinkage: number): Float64Array {
  let trace = 0;
  for (let i = 0; i < width; i++) trace += covariance[i * width + i] as number;
  const out = covariance.map((value) => (1 - shrinkage) * value);
  for (let i = 0; i < width; i++) out[i * width + i] = (out[i * width + i] as number) + (shrinkage * trace) / width;
  return out;
}
