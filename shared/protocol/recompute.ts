import type { Entry } from '../ledger/entries.ts';
import type { Recomputed } from '../ledger/verify-plans.ts';
import { type ClaimedStage, guaranteesFor, type PrivacyUnit } from '../privacy/guarantee.ts';
import { mechanismParameters } from '../privacy/mechanism.ts';

/** Two machines may compute the last digits of a logarithm differently; nothing that matters hides below this. */
const SAME = 1e-9;
const UNITS: readonly string[] = ['record', 'person', 'client'] satisfies readonly PrivacyUnit[];

/**
 * An auditor's own computation of what a committed plan promises against the coordinator with the assumed colluders, from
 * nothing but the parameters in the ledger entry.
 * @throws PRIVACY_* when the parameters keep no promise at all
 */
export function recomputeCertificate(plan: Entry<'plan.commit'>): Recomputed {
  if (!UNITS.includes(plan.unit))
    return { epsilon: Number.POSITIVE_INFINITY, problems: [`no accountant knows the unit ${plan.unit}`] };
  const problems: string[] = [];
  const stages = plan.stages.map((stage): ClaimedStage => claimedStage(plan, stage, problems));
  const [, guarantee] = guaranteesFor({
    unit: plan.unit as PrivacyUnit,
    delta: Number(plan.certificate?.delta),
    stages,
    minimumCohort: plan.minimumCohort,
    colluders: plan.colluders,
  });
  return { epsilon: guarantee?.toView().epsilon ?? Number.POSITIVE_INFINITY, problems };
}

function claimedStage(
  plan: Entry<'plan.commit'>,
  stage: Entry<'plan.commit'>['stages'][number],
  problems: string[],
): ClaimedStage {
  const { mechanism, noiseMultiplier, index, rounds } = stage;
  if (mechanism === null || noiseMultiplier === null) throw new RangeError(`stage ${index} commits to no mechanism`);
  const own = mechanismParameters({
    dimension: mechanism.dimension,
    l2Clip: Number(stage.l2Clip),
    noiseMultiplier: Number(noiseMultiplier),
    minimumCohort: plan.minimumCohort,
    colluders: plan.colluders,
    cohortMax: mechanism.cohortMax,
    ringBits: mechanism.ringBits,
  });
  for (const [name, committed, needed] of [
    ['scale', Number(mechanism.scale), own.scale],
    ['noise of one client', Number(mechanism.localSigma), own.localSigma],
  ] as const) {
    if (Math.abs(committed - needed) > SAME * needed)
      problems.push(`stage ${index}: ${name} is ${committed}, its promise needs ${needed}`);
  }
  return {
    sampling: 'poisson',
    samplingProbability: Number(stage.samplingProbability),
    rounds,
    noiseMultiplier: Number(noiseMultiplier),
    contribution: 'unit-gradient',
    mechanism: own,
  };
}
