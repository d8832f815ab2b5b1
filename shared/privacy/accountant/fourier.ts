import FFT from 'fft.js';

/**
 * Discrete Fourier transforms of two real vectors at once (one as the real, one as the imaginary part), with a bound
 * on the rounding error.
 */
export interface SpectrumPair {
  /** Complex values, interleaved, of the first vector at frequencies 0…N/2. */
  readonly first: Float64Array;
  readonly second: Float64Array;
}

const plans = new Map<number, FFT>();

function planOf(size: number): FFT {
  let plan = plans.get(size);
  if (plan === undefined) {
    plan = new FFT(size);
    plans.clear();
    plans.set(size, plan);
  }
  return plan;
}

/**
 * Bound on |computed − exact| of every output of a transform of length `size`, relative to the sum of the absolute
 * inputs: log2(N) levels, each adding (1 + 4√2 + √2)u ≤ 8u (Higham, Accuracy and Stability, 2nd ed., §24.1), u = 2^-53.
 */
export function transformError(size: number): number {
  return 8 * 2 ** -53 * Math.log2(size);
}

/** Spectra of two real vectors, given interleaved (re = first, im = second), length 2·size. */
export function forwardPair(interleaved: Float64Array, size: number): SpectrumPair {
  const z = new Float64Array(2 * size);
  planOf(size).transform(z as unknown as number[], interleaved as unknown as number[]);
  const first = new Float64Array(size + 2);
  const second = new Float64Array(size + 2);
  for (let k = 0; k <= size / 2; k++) {
    const mirror = k === 0 ? 0 : size - k;
    const re = z[2 * k] as number;
    const im = z[2 * k + 1] as number;
    const mirrorRe = z[2 * mirror] as number;
    const mirrorIm = z[2 * mirror + 1] as number;
    first[2 * k] = (re + mirrorRe) / 2;
    first[2 * k + 1] = (im - mirrorIm) / 2;
    second[2 * k] = (im + mirrorIm) / 2;
    second[2 * k + 1] = (mirrorRe - re) / 2;
  }
  return { first, second };
}

/** The two real vectors, interleaved, of two spectra given at frequencies 0…N/2. Scaled by 1/N. */
export function inversePair(pair: SpectrumPair, size: number): Float64Array {
  const z = new Float64Array(2 * size);
  const { first, second } = pair;
  for (let k = 0; k <= size / 2; k++) {
    const a = first[2 * k] as number;
    const b = first[2 * k + 1] as number;
    const c = second[2 * k] as number;
    const d = second[2 * k + 1] as number;
    z[2 * k] = a - d;
    z[2 * k + 1] = b + c;
    if (k > 0 && k < size / 2) {
      z[2 * (size - k)] = a + d;
      z[2 * (size - k) + 1] = c - b;
    }
  }
  const out = new Float64Array(2 * size);
  planOf(size).inverseTransform(out as unknown as number[], z as unknown as number[]);
  return out;
}
