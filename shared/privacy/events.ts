import { checked } from './errors.ts';

/**
 * What was released, apart from what it means (the accountants). Noise multiplier = standard deviation of the noise
 * over the L2 sensitivity for adding or removing one unit. The meaning of an existing kind never changes.
 */
export type PrivacyEvent = GaussianEvent | PoissonGaussianEvent;

/** `count` releases, each with Gaussian noise on a sum over all units (no sampling). */
export interface GaussianEvent {
  readonly kind: 'gaussian';
  /** σ / sensitivity, in [1e-3, 1e6]. */
  readonly noiseMultiplier: number;
  /** Number of releases, whole, ≥ 1. */
  readonly count: number;
}

/** `count` releases, each with Gaussian noise on a sum over an independent Poisson sample of the units. */
export interface PoissonGaussianEvent {
  readonly kind: 'poisson-gaussian';
  readonly noiseMultiplier: number;
  /** Probability with which each unit enters, independently of all others, in (0, 1]. */
  readonly samplingProbability: number;
  readonly count: number;
}

/** Limits of what the accountants answer for; beyond them they refuse instead of extrapolating. */
export const EVENT_LIMITS = {
  noiseMultiplier: [1e-3, 1e6],
  samplingProbability: 1e-9,
  count: 1e9,
  events: 64,
} as const;

/** One kind of release with q = 1 for the plain Gaussian: the form that every accountant computes with. */
export interface Release {
  readonly noiseMultiplier: number;
  readonly samplingProbability: number;
  readonly count: number;
}

/**
 * The events, checked, with equal mechanisms counted together. A Gaussian event is a Poisson event with q = 1.
 * @throws PRIVACY_PARAMETER_INVALID for an empty list or any number out of range
 */
export function releasesOf(events: readonly PrivacyEvent[]): Release[] {
  checked('number of events', events.length, { min: 1, max: EVENT_LIMITS.events, integer: true });
  const merged = new Map<string, Release>();
  for (const [i, event] of events.entries()) {
    const release = checkedRelease(event, `events[${i}]`);
    const key = `${release.noiseMultiplier}/${release.samplingProbability}`;
    const before = merged.get(key);
    merged.set(key, before === undefined ? release : { ...release, count: release.count + before.count });
  }
  return [...merged.values()];
}

function checkedRelease(event: PrivacyEvent, where: string): Release {
  const [least, most] = EVENT_LIMITS.noiseMultiplier;
  return {
    noiseMultiplier: checked(`${where}.noiseMultiplier`, event.noiseMultiplier, { min: least, max: most }),
    samplingProbability:
      event.kind === 'gaussian'
        ? 1
        : checked(`${where}.samplingProbability`, event.samplingProbability, {
            min: EVENT_LIMITS.samplingProbability,
            max: 1,
          }),
    count: checked(`${where}.count`, event.count, { min: 1, max: EVENT_LIMITS.count, integer: true }),
  };
}
