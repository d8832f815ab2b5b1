import { TacitError } from '../core/errors.ts';
import type { SecaggErrorCode } from './errors.ts';
import { searchGraph } from './graph-search.ts';

/** Above this many clients the complete graph's quadratic cost is no longer paid (PROTOCOL.md). */
export const COMPLETE_GRAPH_MAX = 64;

/** What decides how many clients may vanish and how many may collude. */
export interface CohortRule {
  /** n: clients invited to the session, ≥ 5. */
  readonly cohortSize: number;
  /** T_c: clients assumed to collude with the server, ≥ 0. */
  readonly colluders: number;
  /** n_min: fewest clients whose sum may be opened, in [threshold, n]. */
  readonly minimumCohort: number;
}

/** Derived from a {@link CohortRule}; both ends compute it and compare. */
export interface SharingParameters {
  /** t: shares that open a secret, signatures that open a survivor set. */
  readonly threshold: number;
  /** Neighbours of each client in the mask graph; n − 1 is the complete graph. */
  readonly degree: number;
}

/**
 * On the complete graph, up to 64 clients, t = ⌊(n + T_c)/2⌋ + 1. 2t > n + T_c: two survivor sets cannot both gather t answers, because only
 * colluders answer twice (Bonawitz et al. 2017, §6.2, with T_c of n corrupt).
 *
 * @throws SECAGG_PARAMETERS when fewer than five clients, fewer than three honest shares in a threshold, or a minimum
 *   cohort that the threshold does not reach
 */
export function sharingParameters(rule: CohortRule): SharingParameters {
  const { cohortSize, colluders, minimumCohort } = rule;
  if (![cohortSize, colluders, minimumCohort].every((x) => Number.isSafeInteger(x) && x >= 0)) {
    throw refused('cohort size, colluders and minimum cohort are whole numbers ≥ 0', 'Correct the plan.');
  }
  if (cohortSize < 5) {
    throw refused(`a cohort of ${cohortSize} cannot hide anyone`, 'Invite at least 5 clients.');
  }
  if (cohortSize > COMPLETE_GRAPH_MAX) return largeCohort(rule);
  const threshold = Math.floor((cohortSize + colluders) / 2) + 1;
  if (threshold - colluders < 3) {
    throw refused(
      `a threshold of ${threshold} with ${colluders} colluder(s) leaves ${threshold - colluders} honest share(s) between the server and a secret`,
      `With ${cohortSize} clients at most ${cohortSize - 4} colluder(s) can be assumed.`,
    );
  }
  if (minimumCohort < threshold || minimumCohort > cohortSize) {
    throw refused(
      `the minimum cohort ${minimumCohort} is not between the threshold ${threshold} and the cohort ${cohortSize}`,
      `Set it to ${threshold}–${cohortSize}.`,
    );
  }
  return { threshold, degree: cohortSize - 1 };
}

/** Above the complete graph: degree and threshold from the hypergeometric search, for the drops that n_min allows. */
function largeCohort({ cohortSize, colluders, minimumCohort }: CohortRule): SharingParameters {
  if (minimumCohort > cohortSize || minimumCohort <= colluders + 2) {
    throw refused(
      `the minimum cohort ${minimumCohort} of ${cohortSize} with ${colluders} colluder(s)`,
      'Set it above the colluders, up to the cohort.',
    );
  }
  const found = searchGraph({ clients: cohortSize, colluders, drops: cohortSize - minimumCohort });
  if (found === undefined) {
    throw refused(
      `no graph of ${cohortSize} clients withstands ${colluders} colluder(s) and ${cohortSize - minimumCohort} drops`,
      'Raise the minimum cohort or assume fewer colluders.',
    );
  }
  return found;
}

function refused(what: string, fix: string): TacitError<SecaggErrorCode> {
  return new TacitError('SECAGG_PARAMETERS', what, { where: 'secure aggregation', fix });
}
