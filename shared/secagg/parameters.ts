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
 * Signatures that make one survivor set of a session: two sets cannot both gather so many, because only colluders sign twice
 * (Bonawitz et al. 2017, §6.2, with T_c of n corrupt). On every graph, of all clients: neighbourhoods that do not overlap
 * could otherwise each open noise, or drop clients, for a set of their own.
 */
export function signaturesNeeded({ cohortSize, colluders }: Omit<CohortRule, 'minimumCohort'>): number {
  return Math.floor((cohortSize + colluders) / 2) + 1;
}

/**
 * On the complete graph, up to 64 clients, t is {@link signaturesNeeded}: nobody's two secrets can both gather t answers.
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
  const threshold = signaturesNeeded(rule);
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
  const least = signaturesNeeded({ cohortSize, colluders });
  if (least > cohortSize) {
    throw refused(`${colluders} colluders of ${cohortSize} clients`, 'Assume fewer colluders than clients.');
  }
  if (minimumCohort > cohortSize || minimumCohort < least) {
    throw refused(
      `the minimum cohort ${minimumCohort} is not between the ${least} whose signatures make a survivor set and the cohort ${cohortSize}`,
      `Set it to ${least}–${cohortSize}.`,
    );
  }
  const drops = cohortSize - minimumCohort;
  const found = searchGraph({ clients: cohortSize, colluders, drops });
  if (found !== undefined) return found;
  let most = colluders;
  while (most >= 0 && searchGraph({ clients: cohortSize, colluders: most, drops }) === undefined)
    most -= 1 + (most >> 3);
  throw refused(
    `no graph of ${cohortSize} clients withstands ${colluders} colluder(s) and ${drops} drops`,
    most < 0
      ? 'Raise the minimum cohort: so many drops are too many even without colluders.'
      : `Raise the minimum cohort, or assume at most ${most} colluder(s).`,
  );
}

function refused(what: string, fix: string): TacitError<SecaggErrorCode> {
  return new TacitError('SECAGG_PARAMETERS', what, { where: 'secure aggregation', fix });
}
