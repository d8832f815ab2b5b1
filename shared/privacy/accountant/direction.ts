import type { Release } from '../events.ts';
import { transformLength } from './fourier.ts';
import { type NarrowDemand, narrowTail, type TiltedStep, tiltedStep } from './narrow.ts';
import { convolve, type Noise } from './spectrum.ts';
import type { LossDistribution } from './step.ts';
import { type Sums, sumsOf, type TiltedTail, tailBlur, tailEpsilon, tailNoise } from './tail.ts';
import { logMoment, type Term, TiltFinder } from './tilt.ts';
import { type Demand, placeWindow, type Window } from './window.ts';

/** Longest window; a wider one is put on a coarser grid, which is still an upper bound. */
const MOST_WINDOW_ATOMS = 2 ** 21;
/** Windows from this length on are first tried without a transform of their length. */
const WORTH_NARROWING = 2 ** 16;
/** Tail weights beyond the circle's first turn are below e^{−45} of those at the point asked for. */
const TURN = 45;
/** An inversion over few frequencies rounds more than a transform: it is taken where that moves ε (or ln δ) by less than this. */
const CLEAR = 1e-7;
/** How much of the saddle point's accuracy (as a power of e) may be given up for a shorter window. */
const QUICK = 6;
const SHARP = 1;

/** One direction (a unit removed, or added) of a composition on one grid. */
export class Direction {
  readonly interval: number;
  readonly #terms: readonly Term[];
  readonly #finder: TiltFinder;
  readonly #range: readonly [number, number];

  constructor(releases: readonly Release[], losses: readonly LossDistribution[]) {
    this.interval = (losses[0] as LossDistribution).interval;
    this.#terms = losses.map((l, i) => ({ losses: l, count: (releases[i] as Release).count }));
    this.#finder = new TiltFinder(this.#terms);
    const total = (atom: (l: LossDistribution) => number): number =>
      this.#terms.reduce((sum, { losses: l, count }) => sum + count * atom(l) * this.interval, 0);
    this.#range = [total((l) => l.low), total((l) => l.low + l.masses.length - 1)];
  }

  /** Upper bound on ε by a Rényi divergence (Canonne, Kamath, Steinke 2020, Prop. 12), at the best order. */
  renyiEpsilon(delta: number): number {
    const { theta } = this.#finder.renyi(delta);
    const { value, error, infinity } = this.#moment(theta);
    if (infinity >= delta) return Number.POSITIVE_INFINITY;
    const log = value + error - Math.log(delta - infinity);
    return (log + theta * Math.log(theta) - (theta + 1) * Math.log1p(theta)) / theta;
  }

  /** Rough ε and tilt where δ falls to `delta`: for choosing a grid, never for a reported number. */
  target(delta: number) {
    return this.#finder.forDelta(delta);
  }

  /**
   * The tail about where δ falls to `delta`; undefined on too fine a grid.
   * @param slack - how far below the saddle point's ε it reaches, in units of 1/θ; without one the whole distribution, untilted
   */
  tailForDelta(delta: number, slack?: number): TiltedTail | undefined {
    const { theta, epsilon } = this.#finder.forDelta(delta);
    const logDelta = Math.log(delta);
    if (slack === undefined) return this.#tail({ theta: 0, epsilon, logDelta, slack: epsilon, spare: QUICK }, delta);
    return this.#tail({ theta, epsilon, logDelta, slack: slack / theta, spare: QUICK }, delta);
  }

  /** The tail about `epsilon`, tilted for accuracy there; `delta` where it is known about. */
  tailForEpsilon(epsilon: number, delta?: number): TiltedTail | undefined {
    const { theta } = this.#finder.forEpsilon(epsilon);
    const logDelta = delta === undefined ? this.#finder.logDeltaAt(epsilon) : Math.log(delta);
    const slack = 2 * this.interval + Math.min(3 / theta, epsilon / 8);
    return this.#tail({ theta, epsilon, logDelta: Math.min(logDelta, 0), slack, spare: SHARP }, delta);
  }

  #tail(demand: Demand, delta?: number): TiltedTail | undefined {
    const window = placeWindow(this.#finder, demand, this.interval, this.#range);
    const steps = (): TiltedStep[] =>
      this.#terms.map(({ losses, count }) =>
        tiltedStep(losses, window.theta, logMoment(losses, window.theta).value, count),
      );
    if (window.atoms > WORTH_NARROWING && window.theta >= 1e-3) {
      const narrow = this.#narrow(window, demand.epsilon, steps());
      if (narrow !== undefined && isClear(narrow, demand.epsilon, delta)) return narrow;
    }
    const size = transformLength(window.atoms);
    if (size > MOST_WINDOW_ATOMS) return undefined;
    const { values, noise } = convolve(steps(), size);
    const start = ((window.low % size) + size) % size;
    const mass = (j: number): number => values[start + j < size ? start + j : start + j - size] as number;
    const sums = sumsOf({ low: window.low, size, mass, theta: window.theta, interval: this.interval });
    return this.#tailOf(window, size, noise, sums, true);
  }

  /** The tail by inversion over few frequencies; undefined when the spectrum is too wide for it. */
  #narrow(window: Window, epsilon: number, steps: readonly TiltedStep[]): TiltedTail | undefined {
    const { theta, low, atoms } = window;
    const turn = Math.ceil((epsilon + TURN / theta) / this.interval) - low;
    const demand: NarrowDemand = { theta, interval: this.interval, steps, period: Math.max(atoms, turn) };
    const tail = narrowTail(demand);
    const noise = { each: tail?.noise ?? 0, norm: Number.POSITIVE_INFINITY };
    return tail && this.#tailOf(window, demand.period, noise, tail.sumsAbove, false);
  }

  /** @param once - the sums read every atom of the circle once; else turn after turn, for ever */
  #tailOf(window: Window, size: number, noise: Noise, sumsAbove: (index: number) => Sums, once: boolean): TiltedTail {
    const { theta, low } = window;
    const { interval } = this;
    const length = size * interval;
    const { value, error, infinity } = this.#moment(theta);
    // P(S > u) ≤ E e^{λS} e^{−λu}, also for λ < 0 and P(S < u).
    const chernoff = (tilt: number, u: number): number => {
      const moment = this.#moment(tilt);
      return moment.value + moment.error - tilt * u;
    };
    const end = low * interval + length;
    const above = end > this.#range[1] ? 0 : Math.exp(Math.min(0, chernoff(window.steeper, end)));
    return {
      interval,
      theta,
      logMoment: value,
      momentError: error + 1e-14,
      low,
      size,
      sumsAbove,
      noise: noise.each,
      noiseNorm: noise.norm,
      beyond: infinity + above,
      folded: (epsilon) => {
        const none = once && low * interval <= this.#range[0];
        const below = none ? Number.NEGATIVE_INFINITY : once ? Math.min(0, chernoff(-window.lower, low * interval)) : 0;
        const far = epsilon + length;
        const further =
          far > this.#range[1] ? Number.NEGATIVE_INFINITY : chernoff(window.further, far) + theta * length;
        const turns = once ? 1 : -Math.expm1(-theta * length);
        return (Math.exp(below - theta * length) + Math.exp(Math.min(further, 0))) / turns;
      },
    };
  }

  /** ln E e^{θS} over the finite losses, a bound on its error, and the probability of an infinite loss. */
  #moment(theta: number): { value: number; error: number; infinity: number } {
    let [value, error, infinity] = [0, 0, 0];
    for (const { losses, count } of this.#terms) {
      const moment = logMoment(losses, theta);
      value += count * moment.value;
      error += count * moment.error;
      infinity += count * losses.infinity;
    }
    return { value, error, infinity };
  }
}

/** Whether rounding hardly moves the answer: ε where `delta` is asked for, else δ at `epsilon`. */
function isClear(tail: TiltedTail, epsilon: number, delta: number | undefined): boolean {
  if (delta === undefined) return tailNoise(tail, epsilon) < CLEAR;
  const found = tailEpsilon(tail, delta, 1);
  return found !== undefined && tailBlur(tail, found) < CLEAR * Math.max(1, found / 100);
}
