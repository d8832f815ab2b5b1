/**
 * The upper part of a composed privacy loss distribution, seen through an exponential tilt: p(s) = e^{K − θs}·r(s).
 * r is what a transform gives with small error relative to r's bulk, and the bulk of r lies where δ is asked for, so δ
 * keeps its relative accuracy down to any size.
 */
export interface TiltedTail {
  readonly interval: number;
  readonly theta: number;
  /** K: ln of the moment at θ of the whole composition. */
  readonly logMoment: number;
  /** Bound on the relative error of e^K. */
  readonly momentError: number;
  /** Grid index of the lowest atom of the window. */
  readonly low: number;
  /** Number of atoms in the window. */
  readonly size: number;
  /** Tail sums above a grid index. */
  readonly sumsAbove: (index: number) => Sums;
  /** Bound on the error of any tilted mass, and on the Euclidean norm of all their errors. */
  readonly noise: number;
  readonly noiseNorm: number;
  /** δ that lies above the window, plus what is counted as infinite loss. */
  readonly beyond: number;
  /** Bound on the part of δ(ε) that the circle folds back onto the tail: it only adds, so a lower bound must take it off. */
  readonly folded: (epsilon: number) => number;
}

/** Σ over the atoms above a grid index of r·e^{−θ·rise}, and of r·e^{−(θ + 1)·rise}; rise = loss above the index. */
export interface Sums {
  readonly weights: number;
  readonly discounted: number;
}

/** +1: every error bound counts against the mechanism (an upper bound on δ and ε); −1: for it. */
export type Side = 1 | -1;

/**
 * Error of the weighted sum Σ w r, w(s) = e^{−θ(s − ε)}(1 − e^{−(s − ε)}) for s > ε: by the largest error times
 * Σ w ≤ 1 + 1/(θ(θ + 1)h), or by the norms with Σ w² ≤ 1 + 1/(2θ(θ + 1)(2θ + 1)h).
 */
function weightedNoise({ theta, interval, size, noise, noiseNorm }: TiltedTail): number {
  const sum = Math.min(size, 1 + 1 / (theta * (theta + 1) * interval));
  const squares = Math.min(size, 1 + 1 / (2 * theta * (theta + 1) * (2 * theta + 1) * interval));
  return Math.min(noise * sum, noiseNorm * Math.sqrt(squares));
}

/** What an upper bound on δ adds for what the tail leaves out; a lower one takes off what was folded onto it. */
function outside(tail: TiltedTail, epsilon: number, side: Side): number {
  return side > 0 ? tail.beyond : -tail.folded(epsilon);
}

/** δ(ε) from one tail: an upper (side +1) or lower (side −1) bound for the discretised composition. */
export function tailDelta(tail: TiltedTail, epsilon: number, side: Side): number {
  return discretisedDelta(tail, epsilon, side, outside(tail, epsilon, side));
}

function discretisedDelta(tail: TiltedTail, epsilon: number, side: Side, rest: number): number {
  const index = Math.floor(epsilon / tail.interval);
  const { weights, discounted } = tail.sumsAbove(index);
  const sum = weights - Math.exp(epsilon - index * tail.interval) * discounted;
  const scale = Math.exp(tail.logMoment - tail.theta * index * tail.interval) * (1 + side * tail.momentError);
  const delta = scale * (Math.max(sum, 0) + side * weightedNoise(tail)) + rest;
  return Math.min(Math.max(delta, 0), 1);
}

/**
 * Least ε ≥ 0 with δ(ε) ≤ `delta` from one tail, the bucket by bisection, the place in it by the bucket's own formula;
 * undefined when it lies below the window.
 */
export function tailEpsilon(tail: TiltedTail, delta: number, side: Side): number | undefined {
  const from = Math.max(tail.low, 0) * tail.interval;
  // What was folded falls with ε, so its bound where the tail begins holds for all of it.
  const foldedAt = outside(tail, from, side);
  const exceeds = (index: number): boolean => discretisedDelta(tail, index * tail.interval, side, foldedAt) > delta;
  let below = Math.max(tail.low, 0);
  if (!exceeds(below)) return tail.low <= 0 ? 0 : undefined;
  let above = tail.low + tail.size;
  while (above - below > 1) {
    const middle = Math.floor((below + above) / 2);
    if (exceeds(middle)) below = middle;
    else above = middle;
  }
  const { weights, discounted } = tail.sumsAbove(below);
  const scale = Math.exp(tail.logMoment - tail.theta * below * tail.interval) * (1 + side * tail.momentError);
  const rest = (delta - foldedAt) / scale - side * weightedNoise(tail);
  const ratio = (weights - rest) / discounted;
  const inside = ratio > 0 ? Math.log(ratio) : 0;
  return below * tail.interval + Math.min(Math.max(inside, 0), tail.interval);
}

/** Share of δ(ε) that is rounding. */
export function tailNoise(tail: TiltedTail, epsilon: number): number {
  const index = Math.floor(epsilon / tail.interval);
  const { weights, discounted } = tail.sumsAbove(index);
  const sum = weights - Math.exp(epsilon - index * tail.interval) * discounted;
  return sum > 0 ? weightedNoise(tail) / sum : Number.POSITIVE_INFINITY;
}

/** How far apart rounding alone leaves the two sides of ε. */
export function tailBlur(tail: TiltedTail, epsilon: number): number {
  const { discounted } = tail.sumsAbove(Math.floor(epsilon / tail.interval));
  return discounted > 0 ? (2 * weightedNoise(tail)) / discounted : Number.POSITIVE_INFINITY;
}

/** Tail sums of a list of tilted masses, `mass(j)` at grid index `low + j`. */
export interface MassList {
  readonly low: number;
  readonly size: number;
  readonly mass: (j: number) => number;
  readonly theta: number;
  readonly interval: number;
}

/** Atoms between two remembered sums. */
const BLOCK = 256;

/**
 * Σ_{m ≥ 1} r_{J+m}·a^m from the masses themselves, a = e^{−θh} and e^{−(θ + 1)h}: Horner's rule down from the top, with
 * every 256th value kept, so that one sum costs at most 256 steps.
 */
export function sumsOf({ low, size, mass, theta, interval }: MassList): (index: number) => Sums {
  const plain = Math.exp(-theta * interval);
  const steep = Math.exp(-(theta + 1) * interval);
  const kept = new Float64Array(2 * (Math.ceil(size / BLOCK) + 1));
  const down = (from: number, to: number, start: Sums): Sums => {
    let { weights, discounted } = start;
    for (let j = from; j >= to; j--) {
      const r = mass(j);
      weights = r + plain * weights;
      discounted = r + steep * discounted;
    }
    return { weights, discounted };
  };
  const at = (block: number): Sums => ({
    weights: kept[2 * block] as number,
    discounted: kept[2 * block + 1] as number,
  });
  for (let block = kept.length / 2 - 2; block >= 0; block--) {
    const { weights, discounted } = down(Math.min(size, (block + 1) * BLOCK) - 1, block * BLOCK, at(block + 1));
    kept[2 * block] = weights;
    kept[2 * block + 1] = discounted;
  }
  return (index) => {
    const first = index + 1 - low;
    const gap = Math.max(0, -first);
    const j = Math.min(Math.max(first, 0), size);
    const block = Math.ceil(j / BLOCK);
    const { weights, discounted } = down(Math.min(size, block * BLOCK) - 1, j, at(block));
    return { weights: weights * plain ** (1 + gap), discounted: discounted * steep ** (1 + gap) };
  };
}
