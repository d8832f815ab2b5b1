import { TacitError } from '../core/errors.ts';
import { stageMechanism } from '../protocol/commitment.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import { sentBound } from '../protocol/plan-stage.ts';
import type { Terms } from '../protocol/terms.ts';
import type { SecaggConfig } from '../secagg/messages.ts';

/**
 * The session's parameters are the ones that this site consented to: no weaker noise, no smaller and no larger cohort (a
 * larger one makes each client's share of the noise smaller and fills the ring), no other clip.
 * @throws PLAN_CLAIM_FALSE
 */
export function checkAgainstTerms(config: SecaggConfig, terms: Terms): void {
  const problem = problemOf(config, terms);
  if (problem === undefined) return;
  throw new TacitError<ProtocolErrorCode>('PLAN_CLAIM_FALSE', problem, {
    where: `round ${config.round}.${config.attempt}`,
  });
}

function problemOf(config: SecaggConfig, terms: Terms): string | undefined {
  const stage = terms.stages[config.stage];
  const plan = terms.plan.stages[config.stage];
  if (stage === undefined || plan === undefined) return `the plan has no stage ${config.stage}`;
  const { minimumCohort, colluders, maximumCohort, ringBits } = terms.plan.secureAggregation;
  const { committedSigma } = stageMechanism(terms, config.stage);
  if (config.committedSigma !== committedSigma)
    return `noise of ${config.committedSigma} where ${committedSigma} was committed`;
  if (config.minimumCohort < minimumCohort || config.colluders < colluders)
    return `cohort ${config.minimumCohort} with ${config.colluders} colluder(s) where ${minimumCohort} with ${colluders} were committed`;
  if (config.cohort.length > maximumCohort)
    return `a cohort of ${config.cohort.length} where the noise is shared by at most ${maximumCohort}`;
  if (config.ringBits !== ringBits) return `a ring of ${config.ringBits} bits where ${ringBits} were committed`;
  const same =
    config.scale === stage.scale &&
    config.l2Clip === sentBound(plan) &&
    config.dimension === stage.dimension &&
    config.layoutSha256 === stage.layoutSha256;
  return same ? undefined : 'scale, clip, dimension or layout are not the committed ones';
}
