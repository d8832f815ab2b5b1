import type { Release } from '../events.ts';
import { Direction } from './direction.ts';
import { optimistic } from './optimistic.ts';
import { bucketsOf, type DirectedLosses, lossRange, pessimistic } from './step.ts';

/** Longest step distribution; a longer one is put on a coarser grid. */
const MOST_STEP_ATOMS = 2 ** 20;

/**
 * A composition of Poisson-subsampled Gaussian releases on one grid, in both directions: above the mechanism's own curve
 * of δ over ε everywhere (pessimistic), or below it (optimistic). Composition keeps the order: with H_α(μ‖ν) = ∫(dμ − α·dν)₊,
 * H_α(μ₁×μ₂‖ν₁×ν₂) = ∫dμ₂·H_{α·dν₂/dμ₂}(μ₁‖ν₁), which grows with every value of H(μ₁‖ν₁).
 */
export interface Composition {
  readonly removing: Direction;
  readonly adding: Direction;
}

export function upperComposition(releases: readonly Release[], interval: number): Composition {
  const usable = usableInterval(releases, interval);
  return compositionOf(
    releases,
    releases.map((r) => pessimistic(bucketsOf(r.noiseMultiplier, r.samplingProbability, usable))),
  );
}

/** undefined on a grid so coarse that nothing can be said */
export function lowerComposition(releases: readonly Release[], interval: number): Composition | undefined {
  const usable = usableInterval(releases, interval);
  const losses = releases.map((r) => optimistic(bucketsOf(r.noiseMultiplier, r.samplingProbability, usable)));
  return losses.includes(undefined) ? undefined : compositionOf(releases, losses as DirectedLosses[]);
}

function compositionOf(releases: readonly Release[], losses: readonly DirectedLosses[]): Composition {
  return {
    removing: new Direction(
      releases,
      losses.map((l) => l.removing),
    ),
    adding: new Direction(
      releases,
      losses.map((l) => l.adding),
    ),
  };
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
