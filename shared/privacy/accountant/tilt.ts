import type { LossDistribution } from './step.ts';

/** One direction of a composition: the loss distribution of each release and how often it is made. */
export interface Term {
  readonly losses: LossDistribution;
  readonly count: number;
}

/** Cumulant generating function of the total (finite) loss, ln E e^{θS}, and its first two derivatives. */
interface Cumulants {
  readonly value: number;
  readonly mean: number;
  readonly variance: number;
}

/** The few atoms that stand for a long distribution while a tilt is sought; never used for a reported number. */
interface Sketch {
  readonly loss: Float64Array;
  readonly mass: Float64Array;
}

/** A tilt and the ε it is for. */
export interface Target {
  readonly theta: number;
  readonly epsilon: number;
}

const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Finds exponential tilts of one direction of a composition, on a sketch of it. */
export class TiltFinder {
  readonly #parts: { sketch: Sketch; count: number }[];

  constructor(terms: readonly Term[]) {
    this.#parts = terms.map((term) => ({ sketch: sketchOf(term.losses), count: term.count }));
  }

  /**
   * The tilt θ = α − 1 of the best Rényi bound ε = (K(θ) − ln δ + θ ln θ − (θ + 1) ln(θ + 1))/θ (Canonne, Kamath, Steinke
   * 2020, Prop. 12) and that bound.
   */
  renyi(delta: number): Target {
    const bound = (theta: number): number =>
      (this.cumulants(theta).value - Math.log(delta) + theta * Math.log(theta) - (theta + 1) * Math.log1p(theta)) /
      theta;
    const theta = leastOnLogarithms(bound);
    return { theta, epsilon: bound(theta) };
  }

  /** The ε where the saddle point's δ is `delta`, with the tilt for it. */
  forDelta(delta: number): Target {
    let low = Math.log(1e-4);
    let high = Math.log(1e5);
    for (let i = 0; i < 24; i++) {
      const middle = (low + high) / 2;
      if (this.logDelta(Math.exp(middle)) > Math.log(delta)) low = middle;
      else high = middle;
    }
    return this.forEpsilon(Math.max(this.cumulants(Math.exp(low)).mean, 0));
  }

  /** ln δ(ε) by the saddle point. */
  logDeltaAt(epsilon: number): number {
    let low = Math.log(1e-4);
    let high = Math.log(1e5);
    for (let i = 0; i < 24; i++) {
      const middle = (low + high) / 2;
      if (this.cumulants(Math.exp(middle)).mean < epsilon) low = middle;
      else high = middle;
    }
    return Math.min(0, this.logDelta(Math.exp(low)));
  }

  /** ln δ at the mean of the total under `theta`, by the saddle point: e^{K − θε}/((1 + θ)(1 + θ√(2πV))). */
  logDelta(theta: number): number {
    const { value, mean, variance } = this.cumulants(theta);
    return value - theta * mean - Math.log1p(theta) - Math.log1p(theta * Math.sqrt(2 * Math.PI * variance));
  }

  /** The tilt under which rounding leaves least in δ(ε): e^{K − θε} of a tail whose weights sum up to 1/(θ(θ + 1)h). */
  forEpsilon(epsilon: number): Target {
    const theta = leastOnLogarithms((t) => this.cumulants(t).value - t * epsilon - Math.log(t) - Math.log1p(t));
    return { theta, epsilon };
  }

  /** ln E e^{θS} on the sketch. */
  cumulants(theta: number): Cumulants {
    let value = 0;
    let mean = 0;
    let variance = 0;
    for (const { sketch, count } of this.#parts) {
      const c = sketchCumulants(sketch, theta);
      value += count * c.value;
      mean += count * c.mean;
      variance += count * c.variance;
    }
    return { value, mean, variance };
  }
}

/** Where a function with one valley is least on [1e-4, 1e5], by golden sections on the logarithm. */
function leastOnLogarithms(f: (x: number) => number): number {
  let low = Math.log(1e-4);
  let high = Math.log(1e5);
  let left = high - GOLDEN * (high - low);
  let right = low + GOLDEN * (high - low);
  let [atLeft, atRight] = [f(Math.exp(left)), f(Math.exp(right))];
  for (let i = 0; i < 28; i++) {
    if (atLeft < atRight) {
      [high, right, atRight] = [right, left, atLeft];
      left = high - GOLDEN * (high - low);
      atLeft = f(Math.exp(left));
    } else {
      [low, left, atLeft] = [left, right, atRight];
      right = low + GOLDEN * (high - low);
      atRight = f(Math.exp(right));
    }
  }
  return Math.exp((low + high) / 2);
}

/** Blocks of one atom near zero loss, widening to 1/128 of the loss away from it: fine where the mass usually is. */
function sketchOf(losses: LossDistribution): Sketch {
  const { masses, low, interval } = losses;
  const loss: number[] = [];
  const mass: number[] = [];
  for (let start = 0; start < masses.length; ) {
    const away = Math.abs(low + start);
    const end = Math.min(masses.length, start + Math.max(1, Math.floor(away / 128)));
    let m = 0;
    let moment = 0;
    for (let k = start; k < end; k++) {
      m += masses[k] as number;
      moment += (masses[k] as number) * (k - start);
    }
    mass.push(m);
    loss.push((low + start + (m > 0 ? moment / m : 0)) * interval);
    start = end;
  }
  return { loss: Float64Array.from(loss), mass: Float64Array.from(mass) };
}

function sketchCumulants(sketch: Sketch, theta: number): Cumulants {
  const { loss, mass } = sketch;
  const shift = theta * (theta > 0 ? (loss[loss.length - 1] as number) : (loss[0] as number));
  let total = 0;
  let first = 0;
  let second = 0;
  for (let a = 0; a < loss.length; a++) {
    const w = (mass[a] as number) * Math.exp(theta * (loss[a] as number) - shift);
    total += w;
    first += w * (loss[a] as number);
    second += w * (loss[a] as number) * (loss[a] as number);
  }
  const mean = first / total;
  return { value: Math.log(total) + shift, mean, variance: Math.max(second / total - mean * mean, 0) };
}

/** ln E e^{θX; X finite} of one loss distribution over all its atoms, with a bound on its own rounding error. */
export function logMoment(losses: LossDistribution, theta: number): { value: number; error: number } {
  const { masses, low, interval, infinity } = losses;
  const [first, last] = [theta * low * interval, theta * (low + masses.length - 1) * interval];
  // Below order 0 the moment may be next to 0, and 1 plus a sum of nearly −1 would cancel.
  const nearOne = theta > -1 && Math.abs(first) < 600 && Math.abs(last) < 600;
  return nearOne
    ? momentNearOne(masses, low, theta * interval, infinity)
    : momentByShift(masses, low, theta * interval, Math.max(first, last));
}

/** As ln(1 + E(e^{θX} − 1)): total probability is 1 by construction, so its rounding never enters. */
function momentNearOne(masses: Float64Array, low: number, step: number, infinity: number) {
  const { sum, size } = sumInBlocks(masses.length, (k) => (masses[k] as number) * Math.expm1((low + k) * step));
  // Each term is good to a few units plus its exponent's rounding; 64u covers exponents to ±60 of what matters.
  // The error of a logarithm is the relative error of its argument, which is large where θ is.
  const error = (64 * 2 ** -53 * size + 2 ** -53 * Math.abs(sum)) / (1 + sum - infinity);
  return { value: Math.log1p(sum - infinity), error };
}

/** For exponents past the range of a double: every shifted exponent is at most 0, so nothing overflows. */
function momentByShift(masses: Float64Array, low: number, step: number, shift: number) {
  const { sum } = sumInBlocks(masses.length, (k) => (masses[k] as number) * Math.exp((low + k) * step - shift));
  return { value: Math.log(sum) + shift, error: 2 ** -50 * (Math.abs(shift) + 8) };
}

/** Blocked summation: the rounding grows with the block length and the number of blocks, not with their product. */
function sumInBlocks(length: number, term: (k: number) => number): { sum: number; size: number } {
  let sum = 0;
  let size = 0;
  for (let start = 0; start < length; start += 512) {
    let block = 0;
    let blockSize = 0;
    for (let k = start; k < Math.min(length, start + 512); k++) {
      const t = term(k);
      block += t;
      blockSize += Math.abs(t);
    }
    sum += block;
    size += blockSize;
  }
  return { sum, size };
}
