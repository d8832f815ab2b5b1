import { transformLength } from './fourier.ts';
import type { Target, TiltFinder } from './tilt.ts';

/**
 * Where the total of a composition is computed: on a circle of `atoms` grid points, of which those from `low` on are read.
 * The circle is shorter than the distribution. With r the distribution tilted by θ, P the one before, and N the circle's
 * length, the mass from below `low` comes back one turn higher, where δ's weight e^{−θ·loss} makes it e^{−θN}·P(S < low) of δ;
 * mass from above comes back below the ε asked for, where nothing reads it, unless it lies N above that: e^{θN}·P(S > ε + N).
 * Both only add to δ. What lies above the window is counted by P(S > top).
 */
export interface Window {
  readonly theta: number;
  readonly low: number;
  readonly atoms: number;
  /** Tilts at which P(S > top), P(S < low) and P(S > ε + N) are bounded well. */
  readonly steeper: number;
  readonly lower: number;
  readonly further: number;
}

/** What is asked of a window. */
export interface Demand extends Target {
  /** ln of the δ at that ε. */
  readonly logDelta: number;
  /** How far below `epsilon` the answer may lie. */
  readonly slack: number;
  /** How much of the saddle point's accuracy (as a power of e) may be given up for a shorter window. */
  readonly spare: number;
}

/** Share of δ that may be added by what the circle folds back or leaves out. */
const LOG_TOLERANCE = Math.log(1e-9);
/** Tail weights sum up to no more than the atoms of a window. */
const MOST_WEIGHTS = 2 ** 20;
/** Shares of the saddle point's tilt that are tried. */
const TILTS = [
  1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 1.1, 1.2, 1.35, 1.5, 1.75, 2,
] as const;
/** Tilts at which Chernoff's bound is tried: the best one may be far from the saddle point's where large losses are rare. */
const LADDER = Array.from({ length: 76 }, (_, i) => 1e-3 * 1.28 ** i);

/** The same above a tilt, as multiples of it. */
const CLOSE = [1.01, 1.02, 1.04, 1.07, 1.1, 1.15, 1.2, 1.3, 1.4, 1.55, 1.75, 2, 2.5, 3, 4, 6, 10] as const;

/**
 * The tilt near the saddle point whose circle is shortest.
 * @param range - least and greatest total loss
 */
export function placeWindow(
  finder: TiltFinder,
  demand: Demand,
  interval: number,
  range: readonly [number, number],
): Window {
  const nothing = demand.logDelta + LOG_TOLERANCE;
  const k = memoised((theta: number) => finder.cumulants(theta).value);
  const { at: top, by: steeper } = least(LADDER, (l) => (k(l) - nothing) / l);
  const { at: bottom, by: lower } = least(LADDER, (s) => (k(-s) - nothing) / s);
  // The finder's atoms are up to 1/128 of a loss wide.
  const end = Math.min(top + Math.abs(top) / 128, range[1] + interval);
  const floor = Math.max(-bottom - Math.abs(bottom) / 128 - 4 * interval, range[0] - interval);
  const start = demand.epsilon - demand.slack;
  // ln of what rounding leaves in δ, up to a constant: the tail weights sum up to 1/(θ(θ + 1)h).
  const blur = (theta: number): number =>
    k(theta) - theta * demand.epsilon - Math.log(Math.max(theta * (theta + 1) * interval, 1 / MOST_WEIGHTS));
  const clearest = blur(demand.theta);
  let best: Window | undefined;
  let shortest = 0;
  for (const share of TILTS) {
    const theta = demand.theta * share;
    if (best !== undefined && blur(theta) - clearest > demand.spare) continue;
    const beyond = theta > 0 ? CLOSE.map((c) => c * theta) : LADDER;
    // e^{θN}·P(S > start + N) is nothing: N ≥ (K(λ) − λ·start − ln nothing)/(λ − θ).
    const { at: turn, by: further } = least(beyond, (l) => (k(l) - l * start - nothing) / (l - theta));
    const second = Math.min(turn, Math.max(0, range[1] - start));
    const whole = Math.max(end - floor, second);
    const upper = Math.max(-nothing / theta, end - start, second);
    const short = theta > 0 && upper < whole;
    const atoms = Math.ceil((short ? upper : whole) / interval) + 4;
    const length = transformLength(atoms);
    if (best === undefined || length < shortest || (length === shortest && blur(theta) < blur(best.theta))) {
      shortest = length;
      best = { theta, low: Math.floor((short ? start : floor) / interval) - 1, atoms, steeper, lower, further };
    }
  }
  return best as Window;
}

function least(of: readonly number[], value: (x: number) => number): { at: number; by: number } {
  let best = { at: Number.POSITIVE_INFINITY, by: of.at(-1) ?? 1 };
  for (const by of of) {
    const at = value(by);
    if (at < best.at) best = { at, by };
  }
  return best;
}

function memoised(f: (x: number) => number): (x: number) => number {
  const known = new Map<number, number>();
  return (x) => {
    const value = known.get(x) ?? f(x);
    known.set(x, value);
    return value;
  };
}
