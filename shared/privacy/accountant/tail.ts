import type { Sums } from './narrow.ts';

/**
 * The upper part of a composed privacy loss distribution, seen through an exponential tilt: p(s) = e^{K − θs}·r(s).
 * r is what a transform gives with small error relative to r's bulk, and the bulk of r lies where δ is asked for, so δ
 * keeps its relative accuracy down to any size.
 */
export interface TiltedTail {
  readonly interval: number;
  readonly theta: number;
  /** Mean of r: about where δ is asked for. */
  readonly centre: number;
  /** K: ln of the moment at θ of the whole composition. */
  readonly logMoment: number;
  /** Bound on the relative error of e^K. */
  readonly momentError: number;
  /** Grid index of the lowest atom of the window. */
  readonly low: number;
  /** Number of atoms in the window. */
  readonly size: number;
  /** Tilted mass of the atom at grid index `low + j`. */
  readonly mass: (j: number) => number;
  /** Tail sums above a grid index in closed form, where the composition has them; `mass` is then not asked. */
  readonly sumsAbove?: (index: number) => Sums;
  /** Bound on the error of any tilted mass, and on the Euclidean norm of all their errors. */
  readonly noise: number;
  readonly noiseNorm: number;
  /** δ that lies above the window, plus what is counted as infinite loss. */
  readonly beyond: number;
}

/** +1: every error bound counts against the mechanism (an upper bound on δ and ε); −1: for it. */
export type Side = 1 | -1;

/** Suffix sums of the tail integral from the top of the window down to one grid index. */
class Suffix {
  readonly #tail: TiltedTail;
  readonly #reference: number;
  readonly #noise: number;
  #weights = 0;
  #discounted = 0;

  constructor(tail: TiltedTail) {
    this.#tail = tail;
    this.#reference = tail.centre;
    this.#noise = weightedNoise(tail);
  }

  /** Takes in the atom `low + j`; call with falling j. */
  add(j: number): void {
    const { tail, rise } = this.#at(j);
    const weight = tail.mass(j) * Math.exp(-tail.theta * rise);
    this.#weights += weight;
    this.#discounted += weight * Math.exp(-rise);
  }

  /** δ at `epsilon`, which lies at or just below the last atom taken in. */
  delta(epsilon: number, side: Side): number {
    const { scale, noise } = this.#scale(epsilon, side);
    const sum = this.#weights - Math.exp(epsilon - this.#reference) * this.#discounted;
    return scale * (Math.max(sum, 0) + noise) + (side > 0 ? this.#tail.beyond : 0);
  }

  /** The ε at which δ equals `delta` if it lies in the bucket below the last atom, by the bucket's own formula. */
  epsilon(delta: number, low: number, high: number, side: Side): number {
    const { scale, noise } = this.#scale(low, side);
    const rest = (delta - (side > 0 ? this.#tail.beyond : 0)) / scale - noise;
    const ratio = (this.#weights - rest) / this.#discounted;
    const inside = ratio > 0 ? this.#reference + Math.log(ratio) : low;
    return Math.min(Math.max(inside, low), high);
  }

  #at(j: number): { tail: TiltedTail; rise: number } {
    return { tail: this.#tail, rise: (this.#tail.low + j) * this.#tail.interval - this.#reference };
  }

  /** e^{K − θ·reference} with its error, and the noise in units of that scale. */
  #scale(epsilon: number, side: Side): { scale: number; noise: number } {
    const { theta, logMoment, momentError } = this.#tail;
    const scale = Math.exp(logMoment - theta * this.#reference) * (1 + side * momentError);
    return { scale, noise: side * this.#noise * Math.exp(-theta * (epsilon - this.#reference)) };
  }
}

/**
 * Error of the weighted sum Σ w r, w(s) = e^{−θ(s − ε)}(1 − e^{−(s − ε)}) for s > ε: by the largest error times
 * Σ w ≤ 1 + 1/(θ(θ + 1)h), or by the norms with Σ w² ≤ 1 + 1/(2θ(θ + 1)(2θ + 1)h).
 */
function weightedNoise({ theta, interval, size, noise, noiseNorm }: TiltedTail): number {
  const sum = Math.min(size, 1 + 1 / (theta * (theta + 1) * interval));
  const squares = Math.min(size, 1 + 1 / (2 * theta * (theta + 1) * (2 * theta + 1) * interval));
  return Math.min(noise * sum, noiseNorm * Math.sqrt(squares));
}

/** δ(ε) from one tail: an upper (side +1) or lower (side −1) bound for the discretised composition. */
export function tailDelta(tail: TiltedTail, epsilon: number, side: Side): number {
  if (tail.sumsAbove !== undefined) return Math.min(Math.max(closedDelta(tail, tail.sumsAbove, epsilon, side), 0), 1);
  const suffix = new Suffix(tail);
  const first = Math.max(0, Math.floor(epsilon / tail.interval) - tail.low);
  for (let j = tail.size - 1; j >= first; j--) {
    if ((tail.low + j) * tail.interval > epsilon) suffix.add(j);
  }
  return Math.min(Math.max(suffix.delta(epsilon, side), 0), 1);
}

/** Least ε ≥ 0 with δ(ε) ≤ `delta` from one tail; undefined when it lies below the window. */
export function tailEpsilon(tail: TiltedTail, delta: number, side: Side): number | undefined {
  if (tail.sumsAbove !== undefined) return closedEpsilon(tail, tail.sumsAbove, delta, side);
  const suffix = new Suffix(tail);
  for (let j = tail.size - 1; j >= 0; j--) {
    const here = (tail.low + j) * tail.interval;
    const above = here + tail.interval;
    if (here < 0) return suffix.delta(0, side) <= delta ? 0 : suffix.epsilon(delta, 0, Math.max(above, 0), side);
    if (suffix.delta(here, side) > delta) return suffix.epsilon(delta, here, above, side);
    suffix.add(j);
  }
  return undefined;
}

/** δ(ε) in the bucket of ε, by the sums above its lower end. */
function closedDelta(tail: TiltedTail, sumsAbove: (index: number) => Sums, epsilon: number, side: Side): number {
  const index = Math.floor(epsilon / tail.interval);
  const { weights, discounted } = sumsAbove(index);
  const sum = weights - Math.exp(epsilon - index * tail.interval) * discounted;
  const scale = Math.exp(tail.logMoment - tail.theta * index * tail.interval) * (1 + side * tail.momentError);
  return scale * (Math.max(sum, 0) + side * weightedNoise(tail)) + (side > 0 ? tail.beyond : 0);
}

/** Least ε ≥ 0 with δ(ε) ≤ `delta`: the bucket by bisection, the place in it by the bucket's own formula. */
function closedEpsilon(
  tail: TiltedTail,
  sumsAbove: (index: number) => Sums,
  delta: number,
  side: Side,
): number | undefined {
  const exceeds = (index: number): boolean => closedDelta(tail, sumsAbove, index * tail.interval, side) > delta;
  let below = Math.max(tail.low, 0);
  if (!exceeds(below)) return tail.low <= 0 ? 0 : undefined;
  let above = tail.low + tail.size;
  while (above - below > 1) {
    const middle = Math.floor((below + above) / 2);
    if (exceeds(middle)) below = middle;
    else above = middle;
  }
  const { weights, discounted } = sumsAbove(below);
  const scale = Math.exp(tail.logMoment - tail.theta * below * tail.interval) * (1 + side * tail.momentError);
  const rest = (delta - (side > 0 ? tail.beyond : 0)) / scale - side * weightedNoise(tail);
  const ratio = (weights - rest) / discounted;
  const inside = ratio > 0 ? Math.log(ratio) : 0;
  return below * tail.interval + Math.min(Math.max(inside, 0), tail.interval);
}
