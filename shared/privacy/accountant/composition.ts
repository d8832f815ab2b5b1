import { privacyError } from '../errors.ts';
import type { Release } from '../events.ts';
import { forwardPair, inversePair, transformError } from './fourier.ts';
import { type NarrowDemand, narrowPair, type TiltedStep, tiltedStep } from './narrow.ts';
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
  #placed: { readonly delta: number; readonly sides: readonly [Placed, Placed] } | undefined;

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

  /** Tails centred where δ falls to `delta`, with the tilts multiplied by `factor`. */
  tailsForDelta(delta: number, factor = 1): TailPair {
    if (factor === 1) return this.#tails(this.#placesFor(delta));
    return this.#tails(this.#places((finder) => finder.forDelta(delta), factor, QUICK));
  }

  /** Tails centred at `epsilon`, tilted for accuracy there rather than for a short window. */
  tailsForEpsilon(epsilon: number): TailPair {
    return this.#tails(this.#places((finder) => finder.forEpsilon(epsilon), 1, SHARP));
  }

  /** Widest window that these tails would need, in atoms: too many, and the grid must be coarser. */
  windowAtoms(delta: number): number {
    return Math.max(...this.#placesFor(delta).map((side) => side.window.atoms));
  }

  /** The usual places for one δ, kept because the window is asked for before the tails are. */
  #placesFor(delta: number): readonly [Placed, Placed] {
    if (this.#placed?.delta !== delta) {
      this.#placed = { delta, sides: this.#places((finder) => finder.forDelta(delta), 1, QUICK) };
    }
    return this.#placed.sides;
  }

  #places(find: (finder: TiltFinder) => Target, factor: number, spare: number): readonly [Placed, Placed] {
    return [this.#removing, this.#adding].map((d) => {
      const { theta, epsilon } = find(d.finder);
      return place(d, { theta: theta * factor, epsilon }, this.interval, spare);
    }) as unknown as readonly [Placed, Placed];
  }

  #tails(sides: readonly [Placed, Placed]): TailPair {
    const atoms = Math.max(sides[0].window.atoms, sides[1].window.atoms);
    const narrow = atoms > WORTH_NARROWING ? narrowTails(sides) : undefined;
    if (narrow !== undefined) return narrow;
    const size = 2 ** Math.ceil(Math.log2(Math.max(1024, sides[0].window.atoms, sides[1].window.atoms)));
    if (size > MOST_WINDOW_ATOMS) {
      throw privacyError('PRIVACY_TOO_LARGE', `the composed loss needs ${size} grid points`, {
        fix: 'Ask for fewer rounds or a larger noise multiplier: the loss of this plan is in the thousands.',
      });
    }
    const { values, noise } = convolve(sides, size);
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

/**
 * The tilt near the saddle point whose window is shortest. Where one release has rare large losses, the saddle point's
 * own tilt makes them common and the window long; a little less tilt costs little accuracy.
 */
function place(directed: Directed, target: Target, interval: number, spare: number): Placed {
  const { finder } = directed;
  const least = finder.cumulants(target.theta).value - target.theta * target.epsilon;
  let best: Placed | undefined;
  for (let factor = 1; factor > 0.3; factor -= 0.1) {
    const tilt = finder.at(target.theta * factor);
    const cost = finder.cumulants(tilt.theta).value - tilt.theta * target.epsilon - least;
    if (cost > spare) break;
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

/** Where all but 1e-10 of the tilted total lies, by Chernoff's bound at the best of a few steps away from θ. */
function windowOf(directed: Directed, tilt: Tilt, interval: number): Window {
  const { finder } = directed;
  const base = finder.cumulants(tilt.theta).value;
  const reach = Math.sqrt(-2 * LOG_LEFT_OUT) / (tilt.deviation + interval);
  let high = Number.POSITIVE_INFINITY;
  let low = Number.NEGATIVE_INFINITY;
  let steeper = tilt.theta + reach;
  for (const part of [0.125, 0.25, 0.5, 0.75, 1, 1.5, 2]) {
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

/** Bounds on the error of the tilted masses: of every single one, and of their Euclidean norm. */
interface Noise {
  readonly each: number;
  readonly norm: number;
}

/** The tilted totals of both directions on a circle of `size` atoms, interleaved, with bounds on their errors. */
function convolve(sides: readonly [Placed, Placed], size: number): { values: Float64Array; noise: [Noise, Noise] } {
  const first: Factor[] = [];
  const second: Factor[] = [];
  for (let i = 0; i < sides[0].terms.length; i++) {
    const circle = new Float64Array(2 * size);
    for (const [part, side] of sides.entries()) wrap(circle, part, size, stepOf(side, i));
    // Both vectors share a transform, so each one's error is in proportion to the norm of the pair.
    let square = 0;
    for (const x of circle) square += x * x;
    const norm = Math.sqrt(square);
    const pair = forwardPair(circle, size);
    const { count } = sides[0].terms[i] as Term;
    first.push({ values: pair.first, count, norm });
    second.push({ values: pair.second, count, norm });
  }
  const [a, b] = [powers(first, size), powers(second, size)];
  const values = inversePair({ first: a.values, second: b.values }, size);
  // The inverse transform is shared too.
  const each = transformError(size) * (a.mean + b.mean);
  const norm = transformError(size) * (a.norm + b.norm);
  const noise = [a, b].map((p) => ({ each: p.noise.each + each, norm: p.noise.norm + norm })) as [Noise, Noise];
  return { values, noise };
}

/** Tail sums from the masses that the inverse transform gave for one side. */
function listed({ theta, window, terms }: Placed, values: Float64Array, part: number, size: number) {
  const { interval } = (terms[0] as Term).losses;
  const start = ((window.low % size) + size) % size;
  const mass = (j: number): number => values[2 * ((start + j) & (size - 1)) + part] as number;
  return sumsOf({ low: window.low, size, mass, theta, interval });
}

/** The spectrum of one tilted step distribution. */
interface Factor {
  readonly values: Float64Array;
  readonly count: number;
  /** Euclidean norm of what was transformed. */
  readonly norm: number;
}

/** The i-th step distribution under the side's tilt. */
function stepOf(side: Placed, i: number): TiltedStep {
  const { losses, count } = side.terms[i] as Term;
  return tiltedStep(losses, side.theta, logMoment(losses, side.theta).value, count);
}

/** Adds the tilted step distribution onto the circle; folding it is what circular convolution does anyway. */
function wrap(circle: Float64Array, part: number, size: number, step: TiltedStep): void {
  let at = ((step.low % size) + size) % size;
  for (const mass of step.masses) {
    circle[2 * at + part] = (circle[2 * at + part] as number) + mass;
    at = at + 1 === size ? 0 : at + 1;
  }
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

/**
 * Π f_i^{n_i} at every frequency, and bounds on the error that rounding up to here leaves after the inverse transform.
 * Each f_i is off by at most e = 2·transformError (two vectors of mass 1 share a transform), so a product is off by at
 * most Π(|f_i| + e)^{n_i}·Σ n_i(e/(|f_i| + e) + 3u): the mean over frequencies bounds every atom. In Euclidean norm f_i is
 * off by transformError·‖p_i‖ (per √N), and as |f_i| ≤ 1 the product by Σ n_i times that, plus its own rounding.
 */
function powers(factors: readonly Factor[], size: number) {
  const values = new Float64Array(size + 2);
  const e = 2 * transformError(size);
  // (1 + 2e)^n covers the second order of the errors and |f_i| up to 1 + e.
  const growth = Math.exp(2 * e * factors.reduce((sum, f) => sum + f.count, 0));
  // One factor below this makes a product below 1e-40, which cannot matter anywhere: dropped and counted as error.
  const least = factors.map((f) => 10 ** (-80 / f.count));
  let error = 0;
  let magnitude = 0;
  let energy = 0;
  let dropped = 0;
  for (let k = 0; k <= size / 2; k++) {
    let slope = 0;
    let keep = true;
    for (let i = 0; i < factors.length; i++) {
      const { values: f, count } = factors[i] as Factor;
      const square = (f[2 * k] as number) ** 2 + (f[2 * k + 1] as number) ** 2;
      keep = keep && square > (least[i] as number);
      slope += count * (e / (Math.sqrt(square) + e) + 3 * 2 ** -53);
    }
    const weight = k === 0 || k === size / 2 ? 1 : 2;
    if (keep) {
      multiplyPowers(values, k, factors);
      // The exact power of |f_i| + e is at most e^slope times the computed one.
      const bound =
        Math.sqrt((values[2 * k] as number) ** 2 + (values[2 * k + 1] as number) ** 2) *
        (slope < 1e-3 ? 1 + 2 * slope : Math.exp(slope));
      magnitude += weight * bound;
      energy += weight * bound * bound;
      error += weight * bound * Math.min(slope, 2);
    } else dropped += weight;
  }
  const norm = Math.sqrt(energy / size) + 1e-40;
  const rounding = factors.reduce((sum, f) => sum + f.count * (transformError(size) * f.norm + 3 * 2 ** -53 * norm), 0);
  return {
    values,
    mean: magnitude / size + 1e-40,
    norm,
    noise: { each: (error + dropped * 1e-39) / size, norm: rounding * growth + 1e-39 },
  };
}

function multiplyPowers(out: Float64Array, k: number, factors: readonly Factor[]): void {
  let re = 1;
  let im = 0;
  for (let i = 0; i < factors.length; i++) {
    const { values, count } = factors[i] as Factor;
    let baseRe = values[2 * k] as number;
    let baseIm = values[2 * k + 1] as number;
    for (let n = count; n > 0; n = Math.floor(n / 2)) {
      if (n % 2 === 1) {
        const next = re * baseRe - im * baseIm;
        im = re * baseIm + im * baseRe;
        re = next;
      }
      const square = baseRe * baseRe - baseIm * baseIm;
      baseIm = 2 * baseRe * baseIm;
      baseRe = square;
    }
  }
  out[2 * k] = re;
  out[2 * k + 1] = im;
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
