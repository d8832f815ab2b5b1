import type { Release } from '../events.ts';
import { type NarrowDemand, narrowPair, type TiltedStep, tiltedStep } from './narrow.ts';
import { convolve, type Noise } from './spectrum.ts';
import { type DirectedLosses, type LossDistribution, lossRange, sampledGaussianLosses } from './step.ts';
import { type Sums, sumsOf, type TiltedTail } from './tail.ts';
import { logMoment, type Target, type Term, type Tilt, TiltFinder } from './tilt.ts';

/** Both directions of a composition, tilted and transformed together. */
export interface TailPair {
  readonly removing: TiltedTail;
  readonly adding: TiltedTail;
}

/** Longest step distribution and longest window; a wider one is put on a coarser grid, which is still an upper bound. */
const MOST_STEP_ATOMS = 2 ** 20;
const MOST_WINDOW_ATOMS = 2 ** 22;
/** Windows from this length on are first tried without a transform of their length. */
const WORTH_NARROWING = 2 ** 17;
/** Tail weights beyond the circle's first turn are below e^{−45} of those at the point asked for. */
const TURN = 45;
/** What one side of a window may leave out of the tilted distribution. */
const LOG_LEFT_OUT = Math.log(1e-10);

interface Directed {
  readonly terms: readonly Term[];
  readonly finder: TiltFinder;
}

/** A composition of Poisson-subsampled Gaussian releases on one grid. */
export class Composition {
  readonly interval: number;
  readonly #removing: Directed;
  readonly #adding: Directed;

  constructor(releases: readonly Release[], interval: number) {
    this.interval = usableInterval(releases, interval);
    const losses: DirectedLosses[] = releases.map((r) =>
      sampledGaussianLosses(r.noiseMultiplier, r.samplingProbability, this.interval),
    );
    this.#removing = directed(
      releases,
      losses.map((l) => l.removing),
    );
    this.#adding = directed(
      releases,
      losses.map((l) => l.adding),
    );
  }

  /** Tails centred where δ falls to `delta`, with the tilts multiplied by `factor`; undefined on too fine a grid. */
  tailsForDelta(delta: number, factor = 1): TailPair | undefined {
    return this.#tails(this.#places((finder) => finder.forDelta(delta), factor, QUICK));
  }

  /** Tails centred at `epsilon`, tilted for accuracy there rather than for a short window. */
  tailsForEpsilon(epsilon: number): TailPair | undefined {
    return this.#tails(this.#places((finder) => finder.forEpsilon(epsilon), 1, SHARP));
  }

  #places(find: (finder: TiltFinder) => Target, factor: number, spare: number): readonly [Placed, Placed] {
    return [this.#removing, this.#adding].map((d) => {
      const { theta, epsilon } = find(d.finder);
      return place(d, { theta: theta * factor, epsilon }, this.interval, spare);
    }) as unknown as readonly [Placed, Placed];
  }

  #tails(sides: readonly [Placed, Placed]): TailPair | undefined {
    const atoms = Math.max(sides[0].window.atoms, sides[1].window.atoms);
    const narrow = atoms > WORTH_NARROWING ? narrowTails(sides) : undefined;
    if (narrow !== undefined) return narrow;
    const size = 2 ** Math.ceil(Math.log2(Math.max(1024, sides[0].window.atoms, sides[1].window.atoms)));
    if (size > MOST_WINDOW_ATOMS) return undefined;
    const steps = sides.map((side) => side.terms.map((_, i) => stepOf(side, i)));
    const { values, noise } = convolve(steps as unknown as [TiltedStep[], TiltedStep[]], size);
    return {
      removing: tailOf(sides[0], size, noise[0], listed(sides[0], values, 0, size)),
      adding: tailOf(sides[1], size, noise[1], listed(sides[1], values, 1, size)),
    };
  }
}

interface Window {
  readonly low: number;
  readonly atoms: number;
  /** Tilt at which the mass above the window is bounded. */
  readonly steeper: number;
}

interface Placed extends Directed {
  readonly theta: number;
  readonly centre: number;
  readonly window: Window;
}

/** How much of the saddle point's accuracy (as a power of e) may be given up for a shorter window. */
const QUICK = 5;
const SHARP = 0.5;
/** Shares of the saddle point's tilt that are tried, in order; the last ones only while the window is still too wide. */
const TILTS = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.25, 0.1, 0.03, 0.01, 0] as const;

/**
 * The tilt near the saddle point whose window is shortest. Where one release has rare large losses, the saddle point's
 * own tilt makes them common and the window long; a little less tilt costs little accuracy.
 */
function place(directed: Directed, target: Target, interval: number, spare: number): Placed {
  const { finder } = directed;
  const least = finder.cumulants(target.theta).value - target.theta * target.epsilon;
  let best: Placed | undefined;
  for (const factor of TILTS) {
    const tilt = finder.at(target.theta * factor);
    const cost = finder.cumulants(tilt.theta).value - tilt.theta * target.epsilon - least;
    if (cost > spare && best !== undefined && best.window.atoms <= MOST_WINDOW_ATOMS) break;
    const window = windowOf(directed, tilt, interval);
    // The window has to hold the point asked for, whatever the tilt.
    const atoms = Math.max(window.atoms, Math.ceil((target.epsilon + tilt.deviation) / interval) - window.low);
    if (best === undefined || atoms < 0.9 * best.window.atoms) {
      best = { ...directed, theta: tilt.theta, centre: target.epsilon, window: { ...window, atoms } };
    }
  }
  return best as Placed;
}

function directed(releases: readonly Release[], losses: readonly LossDistribution[]): Directed {
  const terms = losses.map((l, i) => ({ losses: l, count: (releases[i] as Release).count }));
  return { terms, finder: new TiltFinder(terms) };
}

/** The asked interval, doubled until every step distribution fits. */
function usableInterval(releases: readonly Release[], interval: number): number {
  let usable = interval;
  for (const { noiseMultiplier, samplingProbability } of releases) {
    const [lowest, highest] = lossRange(noiseMultiplier, samplingProbability);
    while ((highest - lowest) / usable > MOST_STEP_ATOMS) usable *= 2;
  }
  return usable;
}

/** Steps away from θ, in units of what a normal total would need; rare large losses need far smaller ones. */
const STEPS = [0.001, 0.004, 0.016, 0.06, 0.125, 0.25, 0.5, 0.75, 1, 1.5, 2] as const;

/** Where all but 1e-10 of the tilted total lies, by Chernoff's bound at the best of a few steps away from θ. */
function windowOf(directed: Directed, tilt: Tilt, interval: number): Window {
  const { finder } = directed;
  const base = finder.cumulants(tilt.theta).value;
  const reach = Math.sqrt(-2 * LOG_LEFT_OUT) / (tilt.deviation + interval);
  let high = Number.POSITIVE_INFINITY;
  let low = Number.NEGATIVE_INFINITY;
  let steeper = tilt.theta + reach;
  for (const part of STEPS) {
    const step = reach * part;
    const up = (finder.cumulants(tilt.theta + step).value - base - LOG_LEFT_OUT) / step;
    const down = -(finder.cumulants(tilt.theta - step).value - base - LOG_LEFT_OUT) / step;
    if (up < high) {
      high = up;
      steeper = tilt.theta + step;
    }
    if (down > low) low = down;
  }
  const first = Math.floor(low / interval) - 1;
  return { low: first, atoms: Math.ceil(high / interval) + 2 - first, steeper };
}

/** Tail sums from the masses that the inverse transform gave for one side. */
function listed({ theta, window, terms }: Placed, values: Float64Array, part: number, size: number) {
  const { interval } = (terms[0] as Term).losses;
  const start = ((window.low % size) + size) % size;
  const mass = (j: number): number => values[2 * ((start + j) & (size - 1)) + part] as number;
  return sumsOf({ low: window.low, size, mass, theta, interval });
}

/** The i-th step distribution under the side's tilt. */
function stepOf(side: Placed, i: number): TiltedStep {
  const { losses, count } = side.terms[i] as Term;
  return tiltedStep(losses, side.theta, logMoment(losses, side.theta).value, count);
}

/** Both tails by inversion over few frequencies; undefined when a spectrum is too wide or a tilt too small for it. */
function narrowTails(sides: readonly [Placed, Placed]): TailPair | undefined {
  if (sides[0].theta < 1e-3 || sides[1].theta < 1e-3) return undefined;
  const demands = sides.map((side) => {
    const { interval } = (side.terms[0] as Term).losses;
    const turn = Math.ceil((side.centre + TURN / side.theta) / interval) - side.window.low;
    const steps = side.terms.map((_, i) => stepOf(side, i));
    return { theta: side.theta, interval, steps, period: Math.max(side.window.atoms, turn) };
  }) as unknown as [NarrowDemand, NarrowDemand];
  const tails = narrowPair(demands);
  if (tails === undefined) return undefined;
  const [removing, adding] = tails.map((tail, i) => {
    const noise = { each: tail.noise, norm: Number.POSITIVE_INFINITY };
    return tailOf(sides[i as 0 | 1], demands[i as 0 | 1].period, noise, tail.sumsAbove);
  }) as [TiltedTail, TiltedTail];
  return { removing, adding };
}

function tailOf(side: Placed, size: number, noise: Noise, sumsAbove: (index: number) => Sums): TiltedTail {
  const { theta, window, terms } = side;
  const interval = (terms[0] as Term).losses.interval;
  let logTotal = 0;
  let logSteeper = 0;
  let momentError = 0;
  let infinity = 0;
  for (const { losses, count } of terms) {
    const moment = logMoment(losses, theta);
    const steeper = logMoment(losses, window.steeper);
    logTotal += count * moment.value;
    momentError += count * moment.error;
    logSteeper += count * (steeper.value + steeper.error);
    infinity += count * losses.infinity;
  }
  // P(S > u) ≤ E e^{λS} e^{−λu}: what the window leaves out above.
  const end = (window.low + size) * interval;
  const most = terms.reduce((sum, t) => sum + t.count * (t.losses.low + t.losses.masses.length - 1) * interval, 0);
  const above = end > most ? 0 : Math.exp(Math.min(0, logSteeper - window.steeper * end));
  return {
    interval,
    theta,
    logMoment: logTotal,
    momentError: momentError + 1e-14,
    low: window.low,
    size,
    sumsAbove,
    noise: noise.each,
    noiseNorm: noise.norm,
    beyond: infinity + above,
  };
}
