import type { Rng } from '../core/rng.ts';
import { CELL_BITS, type ColumnTable } from '../kernels/ring.ts';
import { columnSample, ringInTypeScript } from '../kernels/ring-js.ts';
import { type AliasTable, aliasCells, aliasSample, buildAliasTable, WEIGHT_BITS, type Words } from './alias-table.ts';
import { checked } from './errors.ts';
import { FRACTION_BITS, GaussianDensity, ONE } from './gaussian-density.ts';

/**
 * The discrete Gaussian N_Z(0, σ²), P(x) ∝ ρ(x) = e^{−x²/(2σ²)} on the integers (Canonne, Kamath, Steinke 2020), for any real
 * σ. Statistical distance of a sample to the exact law: below 2^-105.
 *
 * Rejection with a squeeze. Column h is the 2^k integers from h·2^k on; ρ is greatest in it at the `near` end and least at the
 * far one. G = Σ_h 2^k·ρ(near_h), over |x| up to 12.5σ (beyond is less than 2^-111), is what is under a staircase above ρ. A point
 * under it is thrown and its x is the sample when it lies below ρ, or else everything begins anew: the law is ρ's. For nearly
 * all points no ρ is needed: S_h/2^32 of each integer's share, S_h = ⌊2^32·ρ(far_h)/G⌋, lies below ρ all over the column.
 *
 * One 32-bit word throws the point: 13 bits a cell, k the place in the column, the others own or other column of the cell by a threshold
 * that is exact. S_0 is a little less than said, so that the sure points are whole cells; the J cells that are left, a thousandth of
 * all, are escapes: the point is in the rest of the staircase, where an alias table with weights of 128 bits says in which
 * column, and further words are compared lazily with a bound on ρ, to the last bit only where that does not decide.
 *
 * Every bit comes from the words handed in; nothing is drawn in floating point (Mironov, CCS 2012).
 */
export interface DiscreteGaussian {
  readonly sigma: number;
  /** The sure points, and which words are escapes. */
  readonly table: ColumnTable;
  /** S_h of the columns from `rest.first` on, 0 where nothing is sure. */
  readonly sure: Uint32Array;
  /** Columns by what the staircase has above the sure points. */
  readonly rest: AliasTable;
  /** 1 − G·S_h/(2^32·ρ(near_h)): how far down from the staircase the sure points begin, as part of its height. */
  readonly depth: Float64Array;
  /** G in fixed point. */
  readonly staircase: bigint;
}

const CELLS = 2 ** CELL_BITS;
/** Bits of a word below its cell. */
const LOW_BITS = 32 - CELL_BITS;
/** Largest σ of columns of one integer. The cells then reach 3.5σ to each side, at which escapes are fewest for the worst σ. */
const MOST_SIGMA_OF_ONE = CELLS / 7;
/** Relative error allowed for what is computed in float64 before bits are compared: thousands of times what it can be. */
const MARGIN = 2 ** -40;

/** Few distinct σ are drawn from again and again, round after round: the tables of all components of a session are kept. */
const KEPT = 24;
const kept = new Map<number, DiscreteGaussian>();

/** Prepares sampling. @param sigma - standard deviation parameter in integer units, in [0.01, 1e8] */
export function discreteGaussian(sigma: number): DiscreteGaussian {
  checked('sigma', sigma, { min: 0.01, max: 1e8 });
  const known = kept.get(sigma);
  if (known !== undefined) return known;
  const made = prepare(sigma);
  if (kept.size >= KEPT) kept.delete(kept.keys().next().value as number);
  kept.set(sigma, made);
  return made;
}

function prepare(sigma: number): DiscreteGaussian {
  let offsetBits = 0;
  while (MOST_SIGMA_OF_ONE * 2 ** offsetBits < sigma) offsetBits++;
  const width = 2 ** offsetBits;
  const reach = Math.ceil((12.5 * sigma + 2) / width);
  const density = new GaussianDensity(sigma);
  // Column −1 − j is column j turned over, one integer further out.
  const from = (start: number): bigint[] => density.along(start, width, reach);
  const near = [...from(1).reverse(), ...from(0)];
  const far = [...from(width).reverse(), ...from(width - 1)];
  const staircase = near.reduce((sum, p) => sum + p, 0n) << BigInt(offsetBits);
  const capacity = 1n << BigInt(LOW_BITS - offsetBits);
  const { sure, escapes } = surePoints(far, staircase, capacity);
  const left = near.map((p, i) => (p << 32n) - (sure[i] as bigint) * staircase);
  return {
    sigma,
    table: columnTable(sure, escapes, capacity, offsetBits),
    sure: Uint32Array.from(sure, Number),
    rest: buildAliasTable(normalised(left), -reach),
    depth: Float64Array.from(left, (l, i) => (l === 0n ? 0 : quotient(l, (near[i] as bigint) << 32n))),
    staircase,
  };
}

/** S_h of every column, and J. A cell holds `capacity` of S, and the lowest J cells hold none. */
function surePoints(far: readonly bigint[], staircase: bigint, capacity: bigint): { sure: bigint[]; escapes: number } {
  const reach = far.length / 2;
  const sure = far.map((p, i) => (i < reach + CELLS / 2 ? (p << 32n) / staircase : 0n));
  for (let escapes = 1; ; ) {
    sure.fill(0n, 0, Math.max(0, reach - CELLS / 2 + escapes));
    const total = sure.reduce((sum, s) => sum + s, 0n);
    const needed = CELLS - Number(total / capacity);
    if (needed <= escapes) {
      sure[reach] = (sure[reach] as bigint) - (total - BigInt(CELLS - escapes) * capacity);
      return { sure, escapes };
    }
    escapes = needed;
  }
}

function columnTable(sure: readonly bigint[], escapes: number, capacity: bigint, offsetBits: number): ColumnTable {
  const lowest = escapes - CELLS / 2;
  const weights = Array.from({ length: CELLS - escapes }, (_, i) => sure[sure.length / 2 + lowest + i] ?? 0n);
  const { own, other } = aliasCells(weights, capacity);
  const cells = new Uint32Array(CELLS);
  for (const [i, threshold] of own.entries()) {
    const column = lowest + i;
    const turn = (column ^ (lowest + (other[i] as number))) << LOW_BITS;
    // A full cell's threshold has a bit too many; both its columns are its own.
    cells[column & (CELLS - 1)] = threshold === capacity ? 0 : turn | Number(threshold << BigInt(offsetBits));
  }
  return { cells, offsetBits, limit: lowest * 2 ** LOW_BITS };
}

/** Weights in proportion that add up to exactly 2^128, each within 1; the largest takes the rest. */
function normalised(parts: readonly bigint[]): bigint[] {
  const total = parts.reduce((sum, p) => sum + p, 0n);
  const weights = parts.map((p) => (p << WEIGHT_BITS) / total);
  const largest = parts.reduce((best, p, i) => (p > (parts[best] as bigint) ? i : best), 0);
  const others = weights.reduce((sum, w) => sum + w, 0n) - (weights[largest] as bigint);
  weights[largest] = (1n << WEIGHT_BITS) - others;
  return weights;
}

function quotient(a: bigint, b: bigint): number {
  return Number((a << 128n) / b) / 2 ** 128;
}

/** Adds an independent sample to every element, modulo 2^32. */
export function addNoise(noise: DiscreteGaussian, target: Uint32Array, rng: Rng): void {
  const escapes = new Uint32Array(BATCH);
  for (let start = 0; start < target.length; start += BATCH) {
    const part = target.subarray(start, start + BATCH);
    const words = randomWords(rng, part.length);
    const count = ringInTypeScript.noise(part, words, noise.table, 1, escapes);
    settleEscapes(noise, part, words, escapes.subarray(0, count), 1, () => randomWords(rng, 1)[0] as number);
  }
}

/** Words drawn from the Rng at a time. */
const BATCH = 16_384;

/**
 * Puts samples where the noise kernel met escapes and added what means nothing.
 * @param sign - what the kernel was given
 * @param next - further uniform words, in the order of the positions
 */
export function settleEscapes(
  noise: DiscreteGaussian,
  target: Uint32Array,
  words: Uint32Array,
  positions: Uint32Array,
  sign: 1 | -1,
  next: Words,
): void {
  for (const i of positions) {
    const difference = escaped(noise, next) - columnSample(noise.table, words[i] as number);
    target[i] = (target[i] as number) + sign * difference;
  }
}

/** A sample, given that its first word was an escape. */
export function escaped(noise: DiscreteGaussian, next: Words): number {
  const { table, rest } = noise;
  for (;;) {
    const column = aliasSample(rest, next);
    const offset = table.offsetBits === 0 ? 0 : next() >>> (32 - table.offsetBits);
    const x = column * 2 ** table.offsetBits + offset;
    if (liesBelow(noise, column, x, next)) return x;
    const word = next() | 0;
    if (word >= table.limit) return columnSample(table, word);
  }
}

/**
 * True when a point at x, uniform between the staircase and the sure points, lies below ρ: v·depth > 1 − ρ(x)/ρ(near), v uniform.
 * One word of v decides but for one in 2^32 times or so; then 128 bits do, in fixed point.
 */
export function liesBelow(noise: DiscreteGaussian, column: number, x: number, next: Words): boolean {
  const { sigma, rest, depth, table } = noise;
  const width = 2 ** table.offsetBits;
  const near = column >= 0 ? column * width : (column + 1) * width - 1;
  // Below 2^51, so exact.
  const further = (x - near) * (x + near);
  const most = depth[column - rest.first] as number;
  const fall = fallen(further / (2 * sigma * sigma));
  const word = next();
  if (word * 2 ** -32 * most > fall * (1 + MARGIN)) return true;
  if ((word + 1) * 2 ** -32 * most < fall * (1 - MARGIN)) return false;
  const v = [word, next(), next(), next()].reduce((bits, w) => (bits << 32n) | BigInt(w), 0n);
  return v * exactDepth(noise, column, near) > exactFall(sigma, further) << 128n;
}

/** 1 − e^{−y} for y = (far² − near²)/(2σ²) < 12.6/585 at most, in IEEE operations only; what is left out is below 2^-53 of it. */
function fallen(y: number): number {
  const further = 1 - (y / 5) * (1 - (y / 6) * (1 - y / 7));
  return y * (1 - (y / 2) * (1 - (y / 3) * (1 - (y / 4) * further)));
}

function exactFall(sigma: number, further: number): bigint {
  return ONE - new GaussianDensity(sigma).at(BigInt(further));
}

function exactDepth({ sigma, sure, staircase, rest }: DiscreteGaussian, column: number, near: number): bigint {
  const points = BigInt(sure[column - rest.first] as number) * staircase;
  const height = new GaussianDensity(sigma).at(BigInt(near) ** 2n);
  return ONE - (points << (FRACTION_BITS - 32n)) / height;
}

/** Uniform 32-bit words. Their byte order differs between machines, which changes no distribution. */
export function randomWords(rng: Rng, count: number): Uint32Array {
  const bytes = rng.bytes(4 * count);
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, count);
}
