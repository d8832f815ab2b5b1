import type { Rng } from '../core/rng.ts';
import type { ChunkSpace } from '../kernels/chunk-space.ts';
import { type AliasTable, belowThreshold, buildAliasTable, WEIGHT_BITS } from './alias-table.ts';
import { checked } from './errors.ts';

/**
 * The discrete Gaussian N_Z(0, σ²), P(x) ∝ e^{−x²/(2σ²)} on the integers (Canonne, Kamath, Steinke 2020), for any real
 * σ. Statistical distance of a sample to the exact law: below 2^-105.
 *
 * σ ≤ 1024: one alias table with weights of 128 bits over |x| ≤ 12.5σ + 2. What is cut off is below 2^-111, what
 * rounding 2^15 weights moves below 2^-112.
 *
 * Larger σ: x = x₁ + m·x₂ with x₁, x₂ from tables of σ₁ and σ₂, σ² = σ₁² + m²σ₂². Completing the square, P(x) is
 * e^{−x²/(2σ²)} times a sum of a Gaussian of width σ₃ = σ₁σ₂/σ over a shifted Z, which by Poisson summation is constant
 * to a factor 1 ± 2.1·e^{−2π²σ₃²} (Peikert, CRYPTO 2010, Theorem 3.1). With σ₁ = 2.2m that is below 2^-120.
 *
 * Every bit comes from the Rng handed in; nothing is drawn in floating point (Mironov, CCS 2012).
 */
export interface DiscreteGaussian {
  readonly sigma: number;
  readonly fine: AliasTable;
  /** The second component, m·x₂, of a large σ. */
  readonly coarse: { readonly table: AliasTable; readonly multiple: number } | undefined;
}

/** Largest σ of a single table: 2^15 cells, which stay in a second-level cache. */
const LARGEST_TABLE_SIGMA = 1024;
/** σ₁ in multiples of m: σ₃ = 2.2·√(1 − σ₁²/σ²) ≥ 2.19, so 2π²σ₃² ≥ 94. */
const FINE_OVER_MULTIPLE = 2.2;
/** Fixed-point bits in which the weights are computed. */
const FRACTION_BITS = 256n;

/** Prepares sampling. @param sigma - standard deviation parameter in integer units, in [0.01, 1e8] */
export function discreteGaussian(sigma: number): DiscreteGaussian {
  checked('sigma', sigma, { min: 0.01, max: 1e8 });
  if (sigma <= LARGEST_TABLE_SIGMA) return { sigma, fine: gaussianTable(sigma), coarse: undefined };
  const multiple = Math.floor(Math.sqrt(sigma / FINE_OVER_MULTIPLE));
  const fineSigma = FINE_OVER_MULTIPLE * multiple;
  const coarseSigma = Math.sqrt(sigma - fineSigma) * (Math.sqrt(sigma + fineSigma) / multiple);
  return { sigma, fine: gaussianTable(fineSigma), coarse: { table: gaussianTable(coarseSigma), multiple } };
}

/** Adds an independent sample to every element, modulo 2^32. */
export function addNoise(noise: DiscreteGaussian, target: Uint32Array, rng: Rng): void {
  const tie = (): Uint32Array => randomWords(rng, 3);
  for (const { table, multiple } of tablesOf(noise)) {
    for (let start = 0; start < target.length; start += BATCH) {
      const part = target.subarray(start, start + BATCH);
      addSamples(table, multiple, part, randomWords(rng, part.length), tie);
    }
  }
}

/** Words drawn from the Rng at a time. */
const BATCH = 16_384;

/** What a sample is a sum of: one value of each table, times its multiple. */
export function tablesOf({ fine, coarse }: DiscreteGaussian): { table: AliasTable; multiple: number }[] {
  return [{ table: fine, multiple: 1 }, ...(coarse === undefined ? [] : [coarse])];
}

/**
 * Adds `multiple` times a value of the table to every element, modulo 2^32.
 * @param words - one uniform word an element
 * @param tie - three more uniform words for element i, on a tie: the next 32 bits and the last 64
 */
export function addSamples(
  table: AliasTable,
  multiple: number,
  target: Uint32Array,
  words: Uint32Array,
  tie: (i: number) => Uint32Array,
): void {
  const { cellBits, high, other, first } = table;
  const shift = 32 - cellBits;
  const mask = 2 ** shift - 1;
  for (let i = 0; i < target.length; i++) {
    const word = words[i] as number;
    const cell = word >>> shift;
    const bits = word & mask;
    const threshold = high[cell] as number;
    let value = bits < threshold ? first + cell : (other[cell] as number);
    if (bits === threshold && belowThreshold(table, cell, tie(i))) value = first + cell;
    target[i] = (target[i] as number) + Math.imul(value, multiple);
  }
}

/**
 * {@link addSamples} by the kernels: the first `count` uniform words of the space, added to the first `count` of its target.
 */
export function addSamplesOf(
  table: AliasTable,
  multiple: number,
  space: ChunkSpace,
  count: number,
  tie: (i: number) => Uint32Array,
): void {
  const { ring, target, ties } = space;
  const packed = space.packed(table);
  const words = space.words.subarray(0, count);
  const tied = ring.noise(target, words, packed, multiple, ties);
  for (const i of ties.slice(0, tied)) {
    const cell = (words[i] as number) >>> packed.shift;
    if (!belowThreshold(table, cell, tie(i))) continue;
    // The kernel took the cell's other value; the further bits say its own.
    const difference = table.first + cell - (table.other[cell] as number);
    target[i] = (target[i] as number) + Math.imul(difference, multiple);
  }
}

/** Uniform 32-bit words. Their byte order differs between machines, which changes no distribution. */
export function randomWords(rng: Rng, count: number): Uint32Array {
  const bytes = rng.bytes(4 * count);
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, count);
}

/** Few distinct σ are drawn from again and again, round after round: the tables of all components of a session are kept. */
const KEPT_TABLES = 24;
const tables = new Map<number, AliasTable>();

function gaussianTable(sigma: number): AliasTable {
  const known = tables.get(sigma);
  if (known !== undefined) return known;
  const reach = Math.ceil(12.5 * sigma) + 2;
  const table = buildAliasTable(gaussianWeights(sigma, reach), -reach);
  if (tables.size >= KEPT_TABLES) tables.delete(tables.keys().next().value as number);
  tables.set(sigma, table);
  return table;
}

/** Weights of −reach…reach that add up to exactly 2^128, each within 1 of e^{−x²/(2σ²)}·2^128/Z (x = 0 takes the rest). */
function gaussianWeights(sigma: number, reach: number): bigint[] {
  const one = 1n << FRACTION_BITS;
  const inverseVariance = invertSquare(sigma);
  const drop = expNegative(inverseVariance);
  // e^{−(x+1)²/2σ²} = e^{−x²/2σ²}·e^{−(2x+1)/2σ²}, whose second factor falls by e^{−1/σ²} each time.
  let factor = expNegative(inverseVariance >> 1n);
  let density = one;
  const densities: bigint[] = [one];
  for (let x = 1; x <= reach; x++) {
    density = (density * factor) >> FRACTION_BITS;
    factor = (factor * drop) >> FRACTION_BITS;
    densities.push(density);
  }
  const total = 2n * densities.reduce((sum, p) => sum + p, 0n) - one;
  const weights = densities.map((p) => (p << WEIGHT_BITS) / total);
  const tail = weights.slice(1).reduce((sum, w) => sum + w, 0n);
  weights[0] = (1n << WEIGHT_BITS) - 2n * tail;
  return [...weights.slice(1).reverse(), ...weights];
}

/** 1/σ² in fixed point, of the exact value of the double σ. */
function invertSquare(sigma: number): bigint {
  // σ = numerator/2^60 exactly for σ ≥ 0.01: 52 bits below a leading bit of at least 2^-7.
  const numerator = BigInt(Math.floor(sigma)) * (1n << 60n) + BigInt((sigma - Math.floor(sigma)) * 2 ** 60);
  return (1n << (120n + FRACTION_BITS)) / (numerator * numerator);
}

/** e^{−x} in fixed point for x ≥ 0: Taylor series of x/2^k < 2^-8, squared k times with 64 guard bits. */
function expNegative(x: bigint): bigint {
  const bits = FRACTION_BITS + 64n;
  const one = 1n << bits;
  let reduced = x << 64n;
  let squarings = 0;
  while (reduced > one >> 8n) {
    reduced >>= 1n;
    squarings++;
  }
  let term = one;
  let sum = one;
  for (let n = 1n; term !== 0n; n++) {
    term = -((term * reduced) >> bits) / n;
    sum += term;
  }
  for (; squarings > 0; squarings--) sum = (sum * sum) >> bits;
  return sum >> 64n;
}
