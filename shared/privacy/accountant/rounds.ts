import { EVENT_LIMITS, type PrivacyEvent, type Release, releasesOf } from '../events.ts';
import { DEFAULT_INTERVAL, epsilonFrom } from './pld.ts';

/** Coarsest grid of a search's first part. */
const COARSE = 1e-3;

/** A grid for a first look: up to ten times coarser than the default, but no coarser than a release's typical loss. */
export function roughInterval(events: readonly PrivacyEvent[]): number {
  const losses = releasesOf(events).map(deviationOf);
  return Math.min(COARSE, Math.max(DEFAULT_INTERVAL, Math.min(...losses)));
}

/** Standard deviation of dP/dQ of one release, which its loss has too where it is small. */
export function deviationOf({ noiseMultiplier, samplingProbability }: Release): number {
  return samplingProbability * Math.sqrt(Math.expm1(Math.min(noiseMultiplier ** -2, 700)));
}

/** Most rounds of which the events stay within (ε, δ): first on a rough grid to a thousandth, then on the default one. */
export function affordable(eventOf: (rounds: number) => PrivacyEvent, epsilon: number, delta: number): number {
  const one = eventOf(1);
  const on =
    (interval: number) =>
    (rounds: number): number =>
      epsilonFrom([eventOf(rounds)], delta, interval);
  const rough = crossing(on(roughInterval([one])), epsilon, centralLimit(one, epsilon, delta), 1e-3);
  return crossing(on(DEFAULT_INTERVAL), epsilon, rough, 0);
}

/** T of the central limit: T·(deviation)² = μ² with ε ≈ μ√(2 ln(1/δ)) + μ²/2. */
function centralLimit(one: PrivacyEvent, epsilon: number, delta: number): number {
  const spread = Math.sqrt(-2 * Math.log(delta));
  const mu = Math.sqrt(spread * spread + 2 * epsilon) - spread;
  return (mu / deviationOf(releasesOf([one])[0] as Release)) ** 2;
}

/**
 * Greatest n in [0, most] with ε(n) ≤ `target` for an increasing ε, by secants on logarithms inside a bracket; with a
 * `tolerance`, some n whose bracket is that narrow.
 */
function crossing(epsilonAt: (n: number) => number, target: number, start: number, tolerance: number): number {
  let enough = 0;
  let tooMany: number = EVENT_LIMITS.count + 1;
  let guess = start;
  let before: { readonly x: number; readonly y: number } | undefined;
  for (let i = 1; tooMany - enough > Math.max(1, tolerance * enough); i++) {
    const n = Math.min(Math.max(Math.floor(guess) || 1, enough + 1), tooMany - 1);
    const at = { x: Math.log(n), y: Math.log(Math.max(epsilonAt(n), 1e-300) / target) };
    if (at.y <= 0) enough = n;
    else tooMany = n;
    // ε grows between √n and n: without a second point the first is assumed.
    const slope = before === undefined ? 0.7 : (at.y - before.y) / (at.x - before.x);
    before = at;
    guess = Math.exp(at.x - at.y / Math.min(Math.max(slope, 0.1), 5));
    if (i % 8 === 0) guess = enough === 0 ? n / 16 : Math.sqrt(enough * tooMany);
    if (tolerance > 0 && Math.abs(at.y) < tolerance) return n;
  }
  return enough;
}
