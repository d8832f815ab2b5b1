import { forwardReal, transformError } from './fourier.ts';
import type { LossDistribution } from './step.ts';
import type { Sums } from './tail.ts';

/** A tilted, normalised step distribution on grid indices. */
export interface TiltedStep {
  readonly low: number;
  readonly masses: Float64Array;
  /** E|X − median| in atoms, which bounds how fast the modulus of the characteristic function changes. */
  readonly spread: number;
  readonly count: number;
}

/** One direction of a composition, ready for inversion over few frequencies. */
export interface NarrowDemand {
  readonly theta: number;
  readonly interval: number;
  readonly steps: readonly TiltedStep[];
  /** Period of the circle that the total is laid on, in atoms. */
  readonly period: number;
}

/** The tail sums of a composition in closed form, with a bound on the error of any tilted mass. */
export interface NarrowTail {
  readonly sumsAbove: (index: number) => Sums;
  readonly noise: number;
}

/** Atoms of the circle on which the spectrum's width is measured. */
const PROBE = 2 ** 17;
/** Past the band every frequency of the total is below e^{LOG_NOTHING}: 1e-20, far below what rounding leaves. */
const LOG_NOTHING = -46;
/** Most blocks visited over all frequencies of one direction, about 0.1 s: beyond that a long transform is quicker. */
const MOST_VISITS = 1_000_000;
const MOMENTS = 14;
/** Terms that are added up before they are added to the rest. */
const PART = 64;
const INVERSE = Float64Array.from({ length: MOMENTS }, (_, m) => 1 / (m + 1));

/**
 * Many releases make the spectrum of their total narrow: |Π φ_i^{n_i}| is nothing but near 0. Then the few frequencies
 * inside the band are summed directly, on a circle as long as one likes, and the geometric tail weights are summed in
 * closed form; no long transform is needed and the cost does not grow with the number of rounds.
 * @returns undefined where the band is not narrow
 */
export function narrowTail(demand: NarrowDemand): NarrowTail | undefined {
  const edge = bandEdge(demand.steps);
  const frequencies = Math.ceil((edge / PROBE) * demand.period);
  if (edge * 4 >= PROBE || visits(demand, frequencies) > MOST_VISITS) return undefined;
  return bandTail(demand, frequencies);
}

/**
 * The least probe index s beyond which every frequency is nothing. |φ| is that of X − c for any c, so it changes by at most
 * E|X − c| per radian: each probed value, raised by spread·π/PROBE, bounds all frequencies up to half a probe step away.
 */
function bandEdge(steps: readonly TiltedStep[]): number {
  const log = new Float64Array(PROBE / 2 + 1);
  for (const { low, masses, spread, count } of steps) {
    const circle = new Float64Array(PROBE);
    let at = ((low % PROBE) + PROBE) % PROBE;
    for (let k = 0; k < masses.length; k++) {
      circle[at] = (circle[at] as number) + (masses[k] as number);
      at = at + 1 === PROBE ? 0 : at + 1;
    }
    const values = forwardReal(circle);
    const raise = (spread * Math.PI) / PROBE + 2 * transformError(PROBE);
    for (let s = 0; s < log.length; s++) {
      const re = values[2 * s] as number;
      const im = values[2 * s + 1] as number;
      log[s] = (log[s] as number) + count * Math.log(Math.min(1, Math.sqrt(re * re + im * im) + raise));
    }
  }
  let s = log.length - 1;
  while (s >= 0 && (log[s] as number) < LOG_NOTHING) s--;
  return s + 1.5;
}

/** Blocks that the characteristic functions at so many frequencies would visit. */
function visits({ steps, period }: NarrowDemand, frequencies: number): number {
  const width = 2 * halfWidth((2 * Math.PI * frequencies) / period) + 1;
  return frequencies * steps.reduce((sum, step) => sum + step.masses.length / width, 0);
}

/** Half a block: a frequency in the band turns by at most a quarter radian over it. */
function halfWidth(fastest: number): number {
  return Math.max(1, Math.floor(0.25 / fastest));
}

function bandTail(demand: NarrowDemand, frequencies: number): NarrowTail {
  const { steps, period } = demand;
  const spectrum = new Float64Array(2 * (frequencies + 1));
  const unit = (2 * Math.PI) / period;
  const blocks = steps.map((step) => blocksOf(step, frequencies * unit));
  let noise = 0;
  for (let k = 0; k <= frequencies; k++) {
    let re = 1;
    let im = 0;
    let slope = 0;
    for (const [i, step] of steps.entries()) {
      const b = blocks[i] as Blocks;
      const value = characteristic(b, k, period);
      const modulus = Math.hypot(value.re, value.im) + b.error;
      slope += step.count * (b.error / modulus + 3 * 2 ** -53);
      const power = raised(value.re, value.im, step.count);
      [re, im] = [re * power.re - im * power.im, re * power.im + im * power.re];
    }
    spectrum[2 * k] = re;
    spectrum[2 * k + 1] = im;
    noise += (k === 0 ? 1 : 2) * (Math.hypot(re, im) * (1 + slope) * slope + 1e-40);
  }
  return { sumsAbove: tailSums(demand, spectrum), noise: noise / period + Math.exp(LOG_NOTHING) };
}

/** Moments about their centres of runs of atoms, so short that a frequency in the band hardly turns within one. */
interface Blocks {
  readonly first: number;
  readonly width: number;
  /** MOMENTS numbers for each block: Σ mass·(offset/half width)^m / m!. */
  readonly moments: Float64Array;
  /** Bound on the error of the characteristic function from these moments. */
  readonly error: number;
}

function blocksOf(step: TiltedStep, fastest: number): Blocks {
  const half = halfWidth(fastest);
  const width = 2 * half + 1;
  const blocks = Math.ceil(step.masses.length / width);
  const moments = new Float64Array(blocks * MOMENTS);
  const part = new Float64Array(MOMENTS);
  for (let start = 0, block = 0; block < blocks; block++) {
    const end = Math.min(step.masses.length, start + width);
    const middle = start + half;
    // In parts, so that rounding grows with their length and their number, not with the width.
    for (; start < end; start = Math.min(start + PART, end)) {
      part.fill(0);
      for (let x = start; x < Math.min(start + PART, end); x++) {
        let term = step.masses[x] as number;
        if (term === 0) continue;
        const offset = (x - middle) / half;
        for (let m = 0; m < MOMENTS; m++) {
          part[m] = (part[m] as number) + term;
          term *= offset * (INVERSE[m] as number);
        }
      }
      for (let m = 0; m < MOMENTS; m++)
        moments[block * MOMENTS + m] = (moments[block * MOMENTS + m] as number) + (part[m] as number);
    }
  }
  // Left out: 0.25^14/14! < 1e-19; rounding: sums in parts within a block and over the blocks, each block's terms up to e^{0.25}.
  const error = 2 ** -53 * (2 * (PART + width / PART) + 2 * (PART + blocks / PART) + 64);
  return { first: step.low + half, width, moments, error };
}

/** φ(2πk/period) = Σ over blocks of e^{iωc}·Σ_m (iω·half)^m·moment_m. */
function characteristic({ first, width, moments }: Blocks, k: number, period: number): { re: number; im: number } {
  const reach = ((2 * Math.PI * k) / period) * ((width - 1) / 2);
  const blocks = moments.length / MOMENTS;
  let re = 0;
  let im = 0;
  for (let start = 0; start < blocks; start += PART) {
    let partRe = 0;
    let partIm = 0;
    for (let block = start; block < Math.min(start + PART, blocks); block++) {
      if (moments[block * MOMENTS] === 0) continue;
      let even = 0;
      let odd = 0;
      for (let m = MOMENTS - 2; m >= 0; m -= 2) {
        even = (moments[block * MOMENTS + m] as number) - even * reach * reach;
        odd = (moments[block * MOMENTS + m + 1] as number) - odd * reach * reach;
      }
      odd *= reach;
      const angle = (2 * Math.PI * ((k * (first + block * width)) % period)) / period;
      const c = Math.cos(angle);
      const s = Math.sin(angle);
      partRe += c * even - s * odd;
      partIm += s * even + c * odd;
    }
    re += partRe;
    im += partIm;
  }
  return { re, im };
}

function raised(re: number, im: number, count: number): { re: number; im: number } {
  let [outRe, outIm, baseRe, baseIm] = [1, 0, re, im];
  for (let n = count; n > 0; n = Math.floor(n / 2)) {
    if (n % 2 === 1) [outRe, outIm] = [outRe * baseRe - outIm * baseIm, outRe * baseIm + outIm * baseRe];
    [baseRe, baseIm] = [baseRe * baseRe - baseIm * baseIm, 2 * baseRe * baseIm];
  }
  return { re: outRe, im: outIm };
}

/**
 * Σ_{m ≥ 1} r_{J+m}·a^m with r_s = (1/N)Σ_k F_k e^{−iω_k s}: each frequency is a geometric series, a e^{−iω}/(1 − a e^{−iω}).
 * The sum runs on over the circle's further turns, all of them positive, so it is an upper bound.
 */
function tailSums({ theta, interval, period }: NarrowDemand, spectrum: Float64Array): (index: number) => Sums {
  const plain = weighted(spectrum, theta * interval, period);
  const steep = weighted(spectrum, (theta + 1) * interval, period);
  return (index) => {
    let weights = 0;
    let discounted = 0;
    for (let k = 0; 2 * k < spectrum.length; k++) {
      const angle = (-2 * Math.PI * ((k * index) % period)) / period;
      const c = Math.cos(angle);
      const s = Math.sin(angle);
      const share = k === 0 ? 1 : 2;
      weights += share * (c * (plain[2 * k] as number) - s * (plain[2 * k + 1] as number));
      discounted += share * (c * (steep[2 * k] as number) - s * (steep[2 * k + 1] as number));
    }
    return { weights: weights / period, discounted: discounted / period };
  };
}

/** F_k·a e^{−iω}/(1 − a e^{−iω}) with a = e^{−decay}; 1 − a e^{−iω} is formed without cancellation. */
function weighted(spectrum: Float64Array, decay: number, period: number): Float64Array {
  const out = new Float64Array(spectrum.length);
  const a = Math.exp(-decay);
  for (let k = 0; 2 * k < out.length; k++) {
    const omega = (2 * Math.PI * k) / period;
    const nearRe = -Math.expm1(-decay) + 2 * a * Math.sin(omega / 2) ** 2;
    const nearIm = a * Math.sin(omega);
    const size = nearRe * nearRe + nearIm * nearIm;
    const ratioRe = (a * (Math.cos(omega) * nearRe - Math.sin(omega) * nearIm)) / size;
    const ratioIm = (-a * (Math.cos(omega) * nearIm + Math.sin(omega) * nearRe)) / size;
    const re = spectrum[2 * k] as number;
    const im = spectrum[2 * k + 1] as number;
    out[2 * k] = re * ratioRe - im * ratioIm;
    out[2 * k + 1] = re * ratioIm + im * ratioRe;
  }
  return out;
}

/** The step distribution tilted by e^{θ·loss} and normalised (sums compensated: their error would be raised to the n). */
export function tiltedStep(losses: LossDistribution, theta: number, normaliser: number, count: number): TiltedStep {
  const masses = new Float64Array(losses.masses.length);
  let total = 0;
  let lost = 0;
  let median = 0;
  for (let k = 0; k < masses.length; k++) {
    const mass = losses.masses[k] as number;
    if (mass === 0) continue;
    const tilted = mass * Math.exp(theta * (losses.low + k) * losses.interval - normaliser);
    masses[k] = tilted;
    const addend = tilted - lost;
    const next = total + addend;
    lost = next - total - addend;
    total = next;
    if (total <= 0.5) median = k;
  }
  let away = 0;
  for (let k = 0; k < masses.length; k++) {
    masses[k] = (masses[k] as number) / total;
    away += (masses[k] as number) * Math.abs(k - median);
  }
  return { low: losses.low, masses, spread: away * (1 + 1e-9), count };
}
