/**
 * Discrete Fourier transforms of two real vectors at once (one as the real, one as the imaginary part), with a bound
 * on the rounding error.
 */
export interface SpectrumPair {
  /** Complex values, interleaved, of the first vector at frequencies 0…N/2. */
  readonly first: Float64Array;
  readonly second: Float64Array;
}

/** Roots of unity of the last few lengths; an accountant's query uses two or three. */
const roots = new Map<number, Float64Array>();
const MOST_TABLES = 3;

/** e^{−2πik/N} for k = 0…N − 1, interleaved, each computed by itself. */
function rootsOf(size: number): Float64Array {
  const known = roots.get(size);
  if (known !== undefined) return known;
  const table = new Float64Array(2 * size);
  const unit = (2 * Math.PI) / size;
  for (let k = 0; k <= size / 8; k++) {
    const c = Math.cos(unit * k);
    const s = Math.sin(unit * k);
    setOctants(table, size, k, c, s);
  }
  if (roots.size >= MOST_TABLES) roots.delete(roots.keys().next().value as number);
  roots.set(size, table);
  return table;
}

/** The roots at all eight reflections of one angle in the first octant. */
function setOctants(table: Float64Array, size: number, k: number, c: number, s: number): void {
  const quarter = size / 4;
  const put = (at: number, re: number, im: number): void => {
    table[2 * (at % size)] = re;
    table[2 * (at % size) + 1] = im;
  };
  put(k, c, -s);
  put(quarter - k, s, -c);
  put(quarter + k, -s, -c);
  put(2 * quarter - k, -c, -s);
  put(2 * quarter + k, -c, s);
  put(3 * quarter - k, -s, c);
  put(3 * quarter + k, s, c);
  put(4 * quarter - k, c, s);
}

/**
 * Forward transform of `size` complex numbers, a power of two ≥ 8: Stockham's self-sorting form with radix 4 (Van Loan,
 * Computational Frameworks for the FFT, §1.7), which reads and writes in order. Overwrites both arrays; returns the one
 * that holds the result.
 */
function transform(values: Float64Array, spare: Float64Array, size: number): Float64Array {
  const table = rootsOf(size);
  let from = values;
  let to = spare;
  let stride = 1;
  for (let length = size; length >= 4; length /= 4) {
    radix4(from, to, length, stride, table);
    [from, to] = [to, from];
    stride *= 4;
  }
  if (stride === size) return from;
  radix2(from, to, stride);
  return to;
}

function radix4(x: Float64Array, y: Float64Array, length: number, stride: number, table: Float64Array): void {
  const parts = length / 4;
  const quarter = 2 * stride * parts;
  const row = 2 * stride;
  for (let p = 0; p < parts; p++) {
    const turn = 2 * p * stride;
    const c1 = table[turn] as number;
    const s1 = table[turn + 1] as number;
    const c2 = table[2 * turn] as number;
    const s2 = table[2 * turn + 1] as number;
    const c3 = table[3 * turn] as number;
    const s3 = table[3 * turn + 1] as number;
    const end = row * (p + 1);
    for (let a = row * p, o = 4 * row * p; a < end; a += 2, o += 2) {
      const ar = x[a] as number;
      const ai = x[a + 1] as number;
      const br = x[a + quarter] as number;
      const bi = x[a + quarter + 1] as number;
      const cr = x[a + 2 * quarter] as number;
      const ci = x[a + 2 * quarter + 1] as number;
      const dr = x[a + 3 * quarter] as number;
      const di = x[a + 3 * quarter + 1] as number;
      const sumRe = ar + cr;
      const sumIm = ai + ci;
      const gapRe = ar - cr;
      const gapIm = ai - ci;
      const pairRe = br + dr;
      const pairIm = bi + di;
      const oddRe = br - dr;
      const oddIm = bi - di;
      y[o] = sumRe + pairRe;
      y[o + 1] = sumIm + pairIm;
      const oneRe = gapRe + oddIm;
      const oneIm = gapIm - oddRe;
      y[o + row] = oneRe * c1 - oneIm * s1;
      y[o + row + 1] = oneRe * s1 + oneIm * c1;
      const twoRe = sumRe - pairRe;
      const twoIm = sumIm - pairIm;
      y[o + 2 * row] = twoRe * c2 - twoIm * s2;
      y[o + 2 * row + 1] = twoRe * s2 + twoIm * c2;
      const threeRe = gapRe - oddIm;
      const threeIm = gapIm + oddRe;
      y[o + 3 * row] = threeRe * c3 - threeIm * s3;
      y[o + 3 * row + 1] = threeRe * s3 + threeIm * c3;
    }
  }
}

function radix2(x: Float64Array, y: Float64Array, stride: number): void {
  const half = 2 * stride;
  for (let a = 0; a < half; a++) {
    const first = x[a] as number;
    const second = x[a + half] as number;
    y[a] = first + second;
    y[a + half] = first - second;
  }
}

/**
 * Bound on |computed − exact| of every output of a transform of length `size`, relative to the sum of the absolute
 * inputs: log2(N) levels, each adding (1 + 4√2 + √2)u ≤ 8u (Higham, Accuracy and Stability, 2nd ed., §24.1), u = 2^-53.
 * A radix-4 pass rounds less than the two levels it stands for.
 */
export function transformError(size: number): number {
  return 8 * 2 ** -53 * Math.log2(size);
}

/** Spectra of two real vectors, given interleaved (re = first, im = second), length 2·size; `interleaved` is overwritten. */
export function forwardPair(interleaved: Float64Array, size: number): SpectrumPair {
  const z = transform(interleaved, new Float64Array(2 * size), size);
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
  // The inverse is the forward transform of the conjugate, conjugated: the imaginary parts are negated on both ways.
  const z = new Float64Array(2 * size);
  const { first, second } = pair;
  for (let k = 0; k <= size / 2; k++) {
    const a = first[2 * k] as number;
    const b = first[2 * k + 1] as number;
    const c = second[2 * k] as number;
    const d = second[2 * k + 1] as number;
    z[2 * k] = a - d;
    z[2 * k + 1] = -(b + c);
    if (k > 0 && k < size / 2) {
      z[2 * (size - k)] = a + d;
      z[2 * (size - k) + 1] = b - c;
    }
  }
  const out = transform(z, new Float64Array(2 * size), size);
  for (let j = 0; j < out.length; j += 2) {
    out[j] = (out[j] as number) / size;
    out[j + 1] = -(out[j + 1] as number) / size;
  }
  return out;
}
