import { LEAST_COMPONENT_SIGMA } from '../privacy/noise-ladder.ts';
import { examplesPerUnit } from '../privacy/weighted-sum.ts';
import type { Entry } from './entries.ts';
import type { Findings } from './verify-findings.ts';

type PlanEntry = Entry<'plan.commit'>;
type Stage = PlanEntry['stages'][number];
type Release = Entry<'round.release'>;

/** Square roots and decimals of another machine may differ in their last digits. */
const TOLERANCE = 1e-9;

/** What a release says of its sum, against its stage of the plan. */
export function verifySum(plan: PlanEntry, release: Release, findings: Findings): void {
  const stage = plan.stages.find((s) => s.index === release.stage);
  if (stage === undefined) return;
  verifyNoise(plan, stage, release, findings);
  verifyWeight(stage, release, findings);
}

/**
 * Surplus noise was taken away, but never more than the surplus: σ_int·√(n_min − T_c) is what the plan committed to. Where
 * what is sent was noised in local steps, or promises nothing, σ_int is the least that goes under masks.
 */
function verifyNoise(plan: PlanEntry, stage: Stage, { noise }: Release, findings: Findings): void {
  if (noise === undefined) return;
  const { algorithm, mechanism } = stage;
  const shared = mechanism !== null && algorithm !== 'local-dp-sgd';
  const local = shared ? Number(mechanism.localSigma) : LEAST_COMPONENT_SIGMA;
  const committed = local * Math.sqrt(Math.max(plan.minimumCohort - plan.colluders, 0));
  const left = Number(noise.sigma);
  if (!(left >= committed * (1 - TOLERANCE)))
    findings.fail(
      'NOISE_SMALL',
      'less noise was left in the sum than the plan commits to',
      `at least ${committed}`,
      `${left}`,
    );
}

/** A total only where clients are weighted, its σ that of the sum's noise, and never divided by less than the minimum. */
function verifyWeight({ weighting, mechanism, l2Clip }: Stage, { weight, noise }: Release, findings: Findings): void {
  const fail = (what: string, expected: string, actual: string): void =>
    findings.fail('WEIGHT_WRONG', what, expected, actual);
  if (weighting === undefined || weight === undefined) {
    if (weighting !== weight)
      fail(
        'a release tells the clients’ total exactly where the plan weights them',
        weighting === undefined ? 'no total' : 'a total',
        weight === undefined ? 'none' : `${weight.total}`,
      );
    return;
  }
  const divisor = Math.max(Number(weight.total), weighting.minimumTotal);
  if (Number(weight.divisor) !== divisor)
    fail('the sum was not divided by its total or the minimum', `${divisor}`, weight.divisor);
  if (mechanism === null || noise === undefined) return;
  const sigma = (Number(noise.sigma) / Number(mechanism.scale)) * examplesPerUnit(weighting, Number(l2Clip));
  if (!(Math.abs(Number(weight.sigma) - sigma) <= TOLERANCE * sigma))
    fail('the noise of the total is not that of the sum', `${sigma}`, weight.sigma);
}
