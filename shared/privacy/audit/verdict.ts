import { privacyError } from '../errors.ts';
import { epsilonLowerBound, type Guesses } from './lower-bound.ts';
import { type CanaryTrace, STATISTICS, type StatisticName } from './statistics.ts';

/** What an audit found: the mechanism's ε is at least `epsilonLowerBound`, with the stated confidence. */
export interface AuditVerdict extends Guesses {
  readonly epsilonLowerBound: number;
  readonly delta: number;
  readonly confidence: number;
  /** The statistic whose guesses gave the bound. */
  readonly statistic: StatisticName;
  /** Bounds that were tried; each is at confidence 1 − (1 − confidence)/tests, so that the largest of them is valid. */
  readonly tests: number;
}

/** Parts of the canaries that are guessed about, half of them as in and half as out: the surest first. */
const PARTS = [0.1, 0.25, 0.5] as const;

/**
 * The largest of several lower bounds, each by another statistic or another number of guesses (Bonferroni). What is tried
 * is fixed before any coin is seen.
 * @param traces - of every canary, in the run or not
 */
export function auditVerdict(traces: readonly CanaryTrace[], delta: number, confidence: number): AuditVerdict {
  if (traces.length < 10) throw privacyError('PRIVACY_PARAMETER_INVALID', `${traces.length} canaries are too few`);
  const names = Object.keys(STATISTICS) as StatisticName[];
  const tests = names.length * PARTS.length;
  const each = 1 - (1 - confidence) / tests;
  let best: AuditVerdict | undefined;
  for (const statistic of names) {
    const order = ranked(traces, statistic);
    for (const part of PARTS) {
      const seen = guess(order, Math.max(1, Math.floor((part * traces.length) / 2)));
      const bound = epsilonLowerBound(seen, delta, each);
      if (best === undefined || bound > best.epsilonLowerBound)
        best = { ...seen, epsilonLowerBound: bound, delta, confidence, statistic, tests };
    }
  }
  return best as AuditVerdict;
}

/** Whether each canary was in, from the highest score to the lowest. */
function ranked(traces: readonly CanaryTrace[], statistic: StatisticName): boolean[] {
  const scored = traces.map((trace) => ({ included: trace.included, score: STATISTICS[statistic](trace) }));
  return scored.sort((a, b) => b.score - a.score).map(({ included }) => included);
}

/** The `each` highest are guessed to be in, the `each` lowest to be out. */
function guess(order: readonly boolean[], each: number): Guesses {
  const right = order.slice(0, each).filter((included) => included).length;
  const rightOut = order.slice(order.length - each).filter((included) => !included).length;
  return { canaries: order.length, guesses: 2 * each, correct: right + rightOut };
}
