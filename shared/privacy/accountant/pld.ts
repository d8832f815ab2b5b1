import { checked, privacyError } from '../errors.ts';
import { type PrivacyEvent, type Release, releasesOf } from '../events.ts';
import { Composition, type TailPair } from './composition.ts';
import { gaussianDelta, gaussianEpsilon, sampledGaussianDelta, sampledGaussianEpsilon } from './gaussian.ts';
import { type Side, tailDelta, tailEpsilon } from './tail.ts';

/** Grid of the privacy loss distribution, as Google's dp_accounting uses by default. */
export const DEFAULT_INTERVAL = 1e-4;

/** Rounding may blur ε by this much before a second, sharper look. */
const SHARP_ENOUGH = 1.5e-7;

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
function composedEpsilon(composition: Composition, delta: number): number | undefined {
  for (const factor of [1, 0.5, 0]) {
    const tails = composition.tailsForDelta(delta, factor);
    if (tails === undefined) return undefined;
    const upper = pairEpsilon(tails, delta, 1);
    if (upper === undefined) continue;
    // Where rounding blurs the answer, look again with a tilt made for the place that was found.
    const blur = upper - (pairEpsilon(tails, delta, -1) ?? 0);
    if (blur < SHARP_ENOUGH) return upper;
    const sharper = composition.tailsForEpsilon(upper);
    return Math.min(upper, (sharper && pairEpsilon(sharper, delta, 1)) ?? upper);
  }
  throw privacyError('PRIVACY_DELTA_UNREACHABLE', `no ε was found for δ = ${delta}`, { where: 'delta' });
}

/**
 * Both sides of the true ε: `upper` is {@link epsilonOf}; `lower` is below the ε of the mechanism itself, not only of its
 * discretisation. Connect-the-dots moves a loss up or down within its bucket of width h so that E e^{−d} = 1: by
 * h²/8·(1 + h) on average at most, and over T releases by less than T·h²/8·(1 + h) + h√(T ln(1/η)/2) but for probability η
 * (Hoeffding), so that the true ε(δ) is at least the discretised ε(δ + η) less that.
 */
export function epsilonBounds(events: readonly PrivacyEvent[], delta: number): { lower: number; upper: number } {
  const upper = epsilonOf(events, delta);
  const releases = releasesOf(events);
  if (exactMechanism(releases) !== undefined) return { lower: upper * (1 - 1e-10), upper };
  const unlikely = delta / 1000;
  const count = releases.reduce((sum, r) => sum + (r.samplingProbability === 1 ? 1 : r.count), 0);
  const { h, discretised } = onGrid(releases, (composition) => {
    const tails = composition.tailsForDelta(delta);
    if (tails === undefined) return undefined;
    const below = pairEpsilon(tails, Math.min(delta + unlikely, 0.999), -1) ?? 0;
    return { h: composition.interval, discretised: below };
  });
  const drift = (count * h * h * (1 + h)) / 8 + h * Math.sqrt((count * -Math.log(unlikely)) / 2);
  return { lower: Math.max(0, Math.min(discretised, upper) - drift), upper };
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
  return onGrid(releases, (composition) => {
    const tails = composition.tailsForEpsilon(epsilon);
    return tails && Math.max(tailDelta(tails.removing, epsilon, 1), tailDelta(tails.adding, epsilon, 1));
  });
}

type Exact = { kind: 'gaussian'; mu: number } | { kind: 'single'; sigma: number; q: number } | undefined;

/** The closed form that these releases have, if any. Gaussian releases compose to one: 1/σ² adds up. */
function exactMechanism(releases: readonly Release[]): Exact {
  if (releases.every((r) => r.samplingProbability === 1)) {
    return { kind: 'gaussian', mu: Math.sqrt(releases.reduce((s, r) => s + r.count / r.noiseMultiplier ** 2, 0)) };
  }
  const only = releases.length === 1 ? releases[0] : undefined;
  if (only?.count === 1) return { kind: 'single', sigma: only.noiseMultiplier, q: only.samplingProbability };
  return undefined;
}

/** ε of the worse direction. */
function pairEpsilon(tails: TailPair, delta: number, side: Side): number | undefined {
  const removing = tailEpsilon(tails.removing, delta, side);
  const adding = tailEpsilon(tails.adding, delta, side);
  return removing === undefined || adding === undefined ? undefined : Math.max(removing, adding);
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
    const found = read(new Composition(ready, interval));
    if (found !== undefined) return found;
  }
  throw privacyError('PRIVACY_TOO_LARGE', 'the composed loss fits no grid', {
    fix: 'Ask for fewer rounds or a larger noise multiplier: the loss of this plan is beyond any use.',
  });
}

/** All releases with q = 1 as the one Gaussian they compose to: exact, and finer than composing them on the grid. */
function withGaussiansFused(releases: readonly Release[]): Release[] {
  const plain = releases.filter((r) => r.samplingProbability === 1);
  const sampled = releases.filter((r) => r.samplingProbability < 1);
  if (plain.length === 0) return sampled;
  const mu2 = plain.reduce((s, r) => s + r.count / r.noiseMultiplier ** 2, 0);
  return [...sampled, { noiseMultiplier: 1 / Math.sqrt(mu2), samplingProbability: 1, count: 1 }];
}
