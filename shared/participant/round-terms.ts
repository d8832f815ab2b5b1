import { TacitError } from '../core/errors.ts';
import { stageMechanism } from '../protocol/commitment.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import type { Welcome } from '../protocol/messages.ts';
import { type PlanStage, sentBound, stageOfRound } from '../protocol/plan-stage.ts';
import type { StageTerms, Terms } from '../protocol/terms.ts';
import type { SecaggConfig } from '../secagg/messages.ts';

/**
 * The session is one that this site consented to: of this run, of no more rounds than were charged, each of its stage; no
 * weaker noise, no smaller and no larger cohort (a larger one makes each client's share of the noise smaller and fills the
 * ring), no other clip. That each round is answered once is secagg's own check.
 * @throws PLAN_CLAIM_FALSE
 */
export function checkAgainstTerms(config: SecaggConfig, run: string, terms: Terms): void {
  const problem = otherRound(config, run, terms) ?? problemOf(config, terms);
  if (problem === undefined) return;
  throw new TacitError<ProtocolErrorCode>('PLAN_CLAIM_FALSE', problem, {
    where: `round ${config.round}.${config.attempt}`,
  });
}

function otherRound(config: SecaggConfig, run: string, { plan }: Terms): string | undefined {
  if (config.run !== run) return `a session of run ${config.run} where this site agreed to ${run}`;
  const stage = stageOfRound(plan.stages, config.round - 1);
  if (stage === config.stage) return undefined;
  return `round ${config.round} of stage ${config.stage}, where the plan has ${stage === undefined ? 'no such round' : `stage ${stage}`}`;
}

/** @param config - of a stage that the plan has */
function problemOf(config: SecaggConfig, terms: Terms): string | undefined {
  const stage = terms.stages[config.stage] as StageTerms;
  const plan = terms.plan.stages[config.stage] as PlanStage;
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

/**
 * A reconnection leads back to the run that this site was asked about: its answer, its account and its trainer are of that one.
 * @param before - undefined on the first connection
 * @throws PLAN_CLAIM_FALSE
 */
export function checkSameRun(before: Welcome | undefined, { run, terms }: Welcome): void {
  if (before === undefined || (before.run.id === run.id && before.terms.planHash === terms.planHash)) return;
  throw new TacitError<ProtocolErrorCode>(
    'PLAN_CLAIM_FALSE',
    `this site was asked about run ${before.run.id}, not about run ${run.id} and its plan`,
    { where: 'welcome', fix: 'Do not take part; tell the operator.' },
  );
}
