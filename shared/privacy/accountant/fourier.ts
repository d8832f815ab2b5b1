/** Roots of unity of the last few lengths; an accountant's query uses two or three. */
const roots = new Map<number, Float64Array>();
const MOST_TABLES = 4;

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
 * Forward transform of `size` complex numbers, 2^a or 3·2^a with a ≥ 3: Stockham's self-sorting form with radix 4 (Van Loan,
 * Computational Frameworks for the FFT, §1.7), which reads and writes in order. Overwrites both arrays; returns the one
 * that holds the result.
 */
function transform(values: Float64Array, spare: Float64Array, size: number): Float64Array {
  const table = rootsOf(size);
  let from = values;
  let to = spare;
  let stride = 1;
  for (let length = size; length > 1; ) {
    const radix = length % 4 === 0 ? 4 : length % 2 === 0 ? 2 : 3;
    if (radix === 4) radix4(from, to, length, stride, table);
    else if (radix === 2) radix2(from, to, length, stride, table);
    else radix3(from, to, stride);
    [from, to] = [to, from];
    stride *= radix;
    length /= radix;
  }
  return from;
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

function radix2(x: Float64Array, y: Float64Array, length: number, stride: number, table: Float64Array): void {
  const half = stride * length;
  const row = 2 * stride;
  for (let p = 0; 2 * p < length; p++) {
    const c = table[2 * p * stride] as number;
    const s = table[2 * p * stride + 1] as number;
    for (let a = row * p, o = 2 * row * p; a < row * (p + 1); a += 2, o += 2) {
      const re = (x[a] as number) - (x[a + half] as number);
      const im = (x[a + 1] as number) - (x[a + half + 1] as number);
      y[o] = (x[a] as number) + (x[a + half] as number);
      y[o + 1] = (x[a + 1] as number) + (x[a + half + 1] as number);
      y[o + row] = re * c - im * s;
      y[o + row + 1] = re * s + im * c;
    }
  }
}

/** The last pass of a length with a factor 3, whose roots are all 1. */
function radix3(x: Float64Array, y: Float64Array, stride: number): void {
  const third = 2 * stride;
  const sine = Math.sqrt(3) / 2;
  for (let a = 0; a < third; a += 2) {
    const re = x[a] as number;
    const im = x[a + 1] as number;
    const sumRe = (x[a + third] as number) + (x[a + 2 * third] as number);
    const sumIm = (x[a + third + 1] as number) + (x[a + 2 * third + 1] as number);
    const turnRe = sine * ((x[a + third + 1] as number) - (x[a + 2 * third + 1] as number));
    const turnIm = -sine * ((x[a + third] as number) - (x[a + 2 * third] as number));
    y[a] = re + sumRe;
    y[a + 1] = im + sumIm;
    y[a + third] = re - sumRe / 2 + turnRe;
    y[a + third + 1] = im - sumIm / 2 + turnIm;
    y[a + 2 * third] = re - sumRe / 2 - turnRe;
    y[a + 2 * third + 1] = im - sumIm / 2 - turnIm;
  }
}

/** The least length ≥ `atoms` that the transforms take: 2^a or 3·2^a. */
export function transformLength(atoms: number): number {
  const power = 2 ** Math.ceil(Math.log2(Math.max(atoms, 1024)));
  return 0.75 * power >= atoms ? 0.75 * power : power;
}

/**
 * Bound on |computed − exact| of every value of a real transform, relative to the sum of the absolute inputs (of the
 * inverse: to the mean modulus), and of their Euclidean norm relative to the input's. A complex transform adds
 * (1 + 4√2 + √2)u ≤ 8u at each of its log2 levels (Higham, Accuracy and Stability, 2nd ed., §24.1), u = 2^-53; a pass of
 * radix 4 or 3 rounds less than two levels. Two of its values make one of the real transform, with less than 16u of their own.
 */
export function transformError(size: number): number {
  return 16 * 2 ** -53 * Math.ceil(Math.log2(size));
}

/** Spectrum at frequencies 0…N/2, interleaved, of a real vector of even length N, which is overwritten. */
export function forwardReal(values: Float64Array): Float64Array {
  // Even elements as the real part and odd ones as the imaginary part of a vector of half the length.
  const half = values.length / 2;
  const z = transform(values, new Float64Array(values.length), half);
  const table = rootsOf(half);
  const [stepRe, stepIm] = halfStep(half);
  const out = new Float64Array(2 * half + 2);
  for (let k = 0; k <= half; k++) {
    const at = k === half ? 0 : 2 * k;
    const mirror = k === 0 || k === half ? 0 : 2 * (half - k);
    const evenRe = ((z[at] as number) + (z[mirror] as number)) / 2;
    const evenIm = ((z[at + 1] as number) - (z[mirror + 1] as number)) / 2;
    const oddRe = ((z[at + 1] as number) + (z[mirror + 1] as number)) / 2;
    const oddIm = ((z[mirror] as number) - (z[at] as number)) / 2;
    const c = rootRe(table, k, stepRe, stepIm);
    const s = rootIm(table, k, stepRe, stepIm);
    out[2 * k] = evenRe + oddRe * c - oddIm * s;
    out[2 * k + 1] = evenIm + oddRe * s + oddIm * c;
  }
  return out;
}

/** The real vector of a spectrum given at frequencies 0…N/2. Scaled by 1/N. */
export function inverseReal(spectrum: Float64Array): Float64Array {
  const half = spectrum.length / 2 - 1;
  const table = rootsOf(half);
  const [stepRe, stepIm] = halfStep(half);
  // The inverse is the forward transform of the conjugate, conjugated.
  const z = new Float64Array(2 * half);
  for (let k = 0; k < half; k++) {
    const mirror = 2 * (half - k);
    const evenRe = (spectrum[2 * k] as number) + (spectrum[mirror] as number);
    const evenIm = (spectrum[2 * k + 1] as number) - (spectrum[mirror + 1] as number);
    const gapRe = (spectrum[2 * k] as number) - (spectrum[mirror] as number);
    const gapIm = (spectrum[2 * k + 1] as number) + (spectrum[mirror + 1] as number);
    const c = rootRe(table, k, stepRe, stepIm);
    const s = -rootIm(table, k, stepRe, stepIm);
    z[2 * k] = evenRe - (gapRe * s + gapIm * c);
    z[2 * k + 1] = -(evenIm + gapRe * c - gapIm * s);
  }
  const out = transform(z, new Float64Array(2 * half), half);
  const scale = 1 / (2 * half);
  for (let j = 0; j < out.length; j += 2) {
    out[j] = (out[j] as number) * scale;
    out[j + 1] = -(out[j + 1] as number) * scale;
  }
  return out;
}

/** e^{−πi/half}. */
function halfStep(half: number): [number, number] {
  return [Math.cos(Math.PI / half), -Math.sin(Math.PI / half)];
}

/** Real part of e^{−πik/half} from the roots of length `half`. */
function rootRe(table: Float64Array, k: number, stepRe: number, stepIm: number): number {
  const at = k - (k % 2);
  const re = table[at % table.length] as number;
  return k % 2 === 0 ? re : re * stepRe - (table[(at + 1) % table.length] as number) * stepIm;
}

function rootIm(table: Float64Array, k: number, stepRe: number, stepIm: number): number {
  const at = k - (k % 2);
  const im = table[(at + 1) % table.length] as number;
  return k % 2 === 0 ? im : (table[at % table.length] as number) * stepIm + im * stepRe;
}
