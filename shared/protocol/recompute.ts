import { errorCode, type TacitError } from '../core/errors.ts';
import type { RingBits } from '../kernels/packing.ts';
import type { Entry } from '../ledger/entries.ts';
import type { Recomputed } from '../ledger/verify-plans.ts';
import { type ClaimedStage, guaranteesFor, type PrivacyUnit } from '../privacy/guarantee.ts';
import { type MechanismDemand, mechanismParameters } from '../privacy/mechanism.ts';
import { jointClip } from '../privacy/weighted-sum.ts';
import { contributionOf, siloDemand } from './stage-claims.ts';

/** Two machines may compute the last digits of a logarithm differently; nothing that matters hides below this. */
const SAME = 1e-9;
const UNITS: readonly string[] = ['record', 'person', 'client'] satisfies readonly PrivacyUnit[];

/** What no accountant would claim, and what no ring could hold. */
const FALSE_CLAIMS: readonly unknown[] = ['PRIVACY_CLAIM_FALSE', 'PRIVACY_RING_WRAPS'];

type PlanEntry = Entry<'plan.commit'>;

/**
 * An auditor's own computation of what a committed plan promises against the coordinator with the assumed colluders, from
 * nothing but the parameters in the ledger entry. A claim that no accountant would make is a problem and an infinite ε.
 * @throws PRIVACY_* when the parameters are no parameters
 */
export function recomputeCertificate(plan: PlanEntry): Recomputed {
  const nothing = (problem: string): Recomputed => ({ epsilon: Number.POSITIVE_INFINITY, problems: [problem] });
  if (!UNITS.includes(plan.unit)) return nothing(`no accountant knows the unit ${plan.unit}`);
  const problems: string[] = [];
  try {
    const stages = plan.stages.map((stage): ClaimedStage => claimedStage(plan, stage, problems));
    const [, guarantee] = guaranteesFor({
      unit: plan.unit as PrivacyUnit,
      delta: Number(plan.certificate?.delta),
      stages,
      minimumCohort: plan.minimumCohort,
      colluders: plan.colluders,
    });
    return { epsilon: guarantee?.toView().epsilon ?? Number.POSITIVE_INFINITY, problems };
  } catch (error) {
    if (!FALSE_CLAIMS.includes(errorCode(error))) throw error;
    return nothing((error as TacitError).message);
  }
}

function claimedStage(plan: PlanEntry, stage: PlanEntry['stages'][number], problems: string[]): ClaimedStage {
  const { mechanism, noiseMultiplier, index, rounds, algorithm, releasesPerRound = 1, weighting } = stage;
  if (mechanism === null || noiseMultiplier === null) throw new RangeError(`stage ${index} commits to no mechanism`);
  const own = mechanismParameters(demandOf(plan, stage, mechanism));
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
    rounds: rounds * releasesPerRound,
    noiseMultiplier: Number(noiseMultiplier),
    contribution: contributionOf(algorithm),
    weighted: weighting !== undefined,
    mechanism: own,
  };
}

function demandOf(
  { minimumCohort, colluders }: PlanEntry,
  { algorithm, l2Clip, noiseMultiplier, weighting }: PlanEntry['stages'][number],
  { dimension, cohortMax, ringBits }: NonNullable<PlanEntry['stages'][number]['mechanism']>,
): MechanismDemand {
  const clip = weighting === undefined ? Number(l2Clip) : jointClip(Number(l2Clip));
  const stage = { dimension, l2Clip: clip, noiseMultiplier: Number(noiseMultiplier) };
  // Its noise may count on nobody else's, whatever cohort the plan has.
  if (contributionOf(algorithm) === 'noisy-local-steps') return siloDemand(stage);
  const oneUnit = contributionOf(algorithm) === 'model-delta';
  return { ...stage, minimumCohort, colluders, cohortMax, ringBits: ringBits as RingBits, oneUnit };
}
