import { type PrivacyEvent, type Release, releasesOf } from '../events.ts';
import { type Composition, lowerComposition } from './composition.ts';
import type { Direction } from './direction.ts';
import { DEFAULT_INTERVAL, deltaOf, epsilonOf, exactMechanism, REACHES, withGaussiansFused } from './pld.ts';
import { deviationOf } from './rounds.ts';
import { tailDelta, tailEpsilon } from './tail.ts';

/** A value that is known to lie between two others. */
export interface Bounds {
  readonly lower: number;
  readonly upper: number;
}

/** What the closed forms may be off by, relative. */
const CLOSED_FORM = 1e-10;
/** Finest grid, and coarsest, of the optimistic value. */
const FINEST = 1e-6;
const COARSEST = 0.1;

/**
 * Both sides of the mechanism's own ε(δ), not only of its discretisation: `upper` is {@link epsilonOf}, `lower` the same from
 * the optimistic distributions, with every rounding and folding error taken off instead of added. 0 where nothing is known.
 * @throws PRIVACY_PARAMETER_INVALID
 */
export function epsilonBounds(events: readonly PrivacyEvent[], delta: number): Bounds {
  const upper = epsilonOf(events, delta);
  const releases = releasesOf(events);
  if (exactMechanism(releases) !== undefined) return { lower: upper * (1 - CLOSED_FORM), upper };
  const lower = onLowerGrid(releases, ({ removing, adding }) =>
    largest(removing, adding, (d) => leastEpsilon(d, delta)),
  );
  return { lower: Math.min(lower, upper), upper };
}

/** Both sides of the mechanism's own δ(ε); see {@link epsilonBounds}. */
export function deltaBounds(events: readonly PrivacyEvent[], epsilon: number): Bounds {
  const upper = deltaOf(events, epsilon);
  const releases = releasesOf(events);
  if (exactMechanism(releases) !== undefined) return { lower: upper * (1 - CLOSED_FORM), upper };
  const lower = onLowerGrid(releases, ({ removing, adding }) =>
    largest(removing, adding, (d) => {
      const tail = d.tailForEpsilon(epsilon);
      return tail && tailDelta(tail, epsilon, -1);
    }),
  );
  return { lower: Math.min(lower, upper), upper };
}

/** undefined when the grid is too fine for either direction */
function largest(
  removing: Direction,
  adding: Direction,
  value: (direction: Direction) => number | undefined,
): number | undefined {
  const [first, second] = [value(removing), value(adding)];
  return first === undefined || second === undefined ? undefined : Math.max(first, second);
}

/** A value below the ε of one direction; 0 where every look leaves it open. */
function leastEpsilon(direction: Direction, delta: number): number | undefined {
  for (const reach of REACHES) {
    const tail = direction.tailForDelta(delta, reach);
    if (tail === undefined) return undefined;
    const rough = tailEpsilon(tail, delta, -1);
    if (rough === undefined) continue;
    const sharper = direction.tailForEpsilon(rough, delta);
    return Math.max(rough, (sharper && tailEpsilon(sharper, delta, -1)) ?? 0);
  }
  return 0;
}

/** From a grid that resolves the typical loss of every release (finer than the default where that is small) to coarser ones. */
function onLowerGrid(releases: readonly Release[], read: (composition: Composition) => number | undefined): number {
  const ready = withGaussiansFused(releases);
  const typical = Math.min(...ready.map(deviationOf));
  const finest = Math.max(FINEST, Math.min(DEFAULT_INTERVAL, typical / 16));
  for (let interval = finest; interval <= COARSEST; interval *= 2) {
    const composition = lowerComposition(ready, interval);
    if (composition === undefined) return 0;
    const found = read(composition);
    if (found !== undefined) return found;
  }
  return 0;
}
