import { checked, privacyError } from '../errors.ts';
import { type PrivacyEvent, type Release, releasesOf } from '../events.ts';
import { type Composition, upperComposition } from './composition.ts';
import type { Direction } from './direction.ts';
import { gaussianDelta, gaussianEpsilon, sampledGaussianDelta, sampledGaussianEpsilon } from './gaussian.ts';
import { tailBlur, tailDelta, tailEpsilon } from './tail.ts';

/** Grid of the privacy loss distribution, as Google's dp_accounting uses by default. */
export const DEFAULT_INTERVAL = 1e-4;

/** Rounding may blur ε by this much before a second, sharper look. */
const SHARP_ENOUGH = 2.5e-7;

/** Coarsest grid that is tried. */
const COARSEST = 1;

/**
 * Least ε such that the events together are (ε, δ)-differentially private for adding or removing one unit.
 *
 * Only Gaussian events: exact (Balle & Wang 2018). One Poisson-sampled event: exact. Otherwise the privacy loss
 * distribution on a grid of 1e-4 (connect-the-dots), composed by Fourier transforms, in both directions, the larger.
 * Every truncation and rounding error is bounded and counted, so the value is never below the true one.
 * @param events - what was released
 * @param delta - in (0, 1)
 * @throws PRIVACY_PARAMETER_INVALID
 */
export function epsilonOf(events: readonly PrivacyEvent[], delta: number): number {
  return epsilonFrom(events, delta, DEFAULT_INTERVAL);
}

/** As {@link epsilonOf} with the grid starting at `interval`: a quick first value for searches, never a reported one. */
export function epsilonFrom(events: readonly PrivacyEvent[], delta: number, interval: number): number {
  checked('delta', delta, { moreThan: 0, lessThan: 1 });
  const releases = releasesOf(events);
  const exact = exactMechanism(releases);
  if (exact?.kind === 'gaussian') return gaussianEpsilon(exact.mu, delta);
  if (exact?.kind === 'single') return sampledGaussianEpsilon(exact.sigma, exact.q, delta);
  return onGrid(releases, (composition) => composedEpsilon(composition, delta), interval);
}

/** ε on one grid; undefined when the grid is too fine. */
function composedEpsilon({ removing, adding }: Composition, delta: number): number | undefined {
  const first = directedEpsilon(removing, delta);
  // Where a Rényi bound shows that adding a unit costs less, its distribution is not composed.
  if (first === undefined || adding.renyiEpsilon(delta) <= first) return first;
  const second = directedEpsilon(adding, delta);
  return second === undefined ? undefined : Math.max(first, second);
}

/** How far below the saddle point's value ε is looked for, in units of 1/θ; the last reaches all the way. */
export const REACHES = [6, 40, undefined] as const;

function directedEpsilon(direction: Direction, delta: number): number | undefined {
  for (const reach of REACHES) {
    const tail = direction.tailForDelta(delta, reach);
    if (tail === undefined) return undefined;
    const upper = tailEpsilon(tail, delta, 1);
    if (upper === undefined) continue;
    // Where rounding blurs the answer, look again with a tilt made for the place that was found.
    if (tailBlur(tail, upper) < SHARP_ENOUGH) return upper;
    const sharper = direction.tailForEpsilon(upper, delta);
    return Math.min(upper, (sharper && tailEpsilon(sharper, delta, 1)) ?? upper);
  }
  throw privacyError('PRIVACY_DELTA_UNREACHABLE', `no ε was found for δ = ${delta}`, { where: 'delta' });
}

/**
 * Least δ such that the events together are (ε, δ)-differentially private; see {@link epsilonOf}.
 * @param epsilon - in [0, 1e6]
 */
export function deltaOf(events: readonly PrivacyEvent[], epsilon: number): number {
  checked('epsilon', epsilon, { min: 0, max: 1e6 });
  const releases = releasesOf(events);
  const exact = exactMechanism(releases);
  if (exact?.kind === 'gaussian') return gaussianDelta(exact.mu, epsilon);
  if (exact?.kind === 'single') return sampledGaussianDelta(exact.sigma, exact.q, epsilon);
  return onGrid(releases, ({ removing, adding }) => {
    const [first, second] = [removing.tailForEpsilon(epsilon), adding.tailForEpsilon(epsilon)];
    return first && second && Math.max(tailDelta(first, epsilon, 1), tailDelta(second, epsilon, 1));
  });
}

type Exact = { kind: 'gaussian'; mu: number } | { kind: 'single'; sigma: number; q: number } | undefined;

/** The closed form that these releases have, if any. Gaussian releases compose to one: 1/σ² adds up. */
export function exactMechanism(releases: readonly Release[]): Exact {
  if (releases.every((r) => r.samplingProbability === 1)) {
    return { kind: 'gaussian', mu: Math.sqrt(releases.reduce((s, r) => s + r.count / r.noiseMultiplier ** 2, 0)) };
  }
  const only = releases.length === 1 ? releases[0] : undefined;
  if (only?.count === 1) return { kind: 'single', sigma: only.noiseMultiplier, q: only.samplingProbability };
  return undefined;
}

/**
 * What `read` finds on the finest grid, or on the first coarser one that fits: coarser ones dominate the mechanism too.
 * @throws PRIVACY_TOO_LARGE
 */
function onGrid<T>(
  releases: readonly Release[],
  read: (composition: Composition) => T | undefined,
  finest = DEFAULT_INTERVAL,
): T {
  const ready = withGaussiansFused(releases);
  for (let interval = finest; interval <= COARSEST; interval *= 2) {
    const found = read(upperComposition(ready, interval));
    if (found !== undefined) return found;
  }
  throw privacyError('PRIVACY_TOO_LARGE', 'the composed loss fits no grid', {
    fix: 'Ask for fewer rounds or a larger noise multiplier: the loss of this plan is beyond any use.',
  });
}

/** All releases with q = 1 as the one Gaussian they compose to: exact, and finer than composing them on the grid. */
export function withGaussiansFused(releases: readonly Release[]): Release[] {
  const plain = releases.filter((r) => r.samplingProbability === 1);
  const sampled = releases.filter((r) => r.samplingProbability < 1);
  if (plain.length === 0) return sampled;
  const mu2 = plain.reduce((s, r) => s + r.count / r.noiseMultiplier ** 2, 0);
  return [...sampled, { noiseMultiplier: 1 / Math.sqrt(mu2), samplingProbability: 1, count: 1 }];
}
