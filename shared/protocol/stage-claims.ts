import type { Contribution } from '../privacy/claims.ts';
import type { MechanismDemand } from '../privacy/mechanism.ts';

/** What an algorithm clips; both sides of a plan and its auditors read a stage's claim off this. */
export function contributionOf(algorithm: string): Contribution {
  if (algorithm === 'dp-fedavg') return 'model-delta';
  return algorithm === 'local-dp-sgd' ? 'noisy-local-steps' : 'unit-gradient';
}

/** The mechanism of a silo's own steps: a cohort of which all but itself tell their noise. */
export function siloDemand(stage: Pick<MechanismDemand, 'dimension' | 'l2Clip' | 'noiseMultiplier'>): MechanismDemand {
  return { ...stage, minimumCohort: 2, colluders: 1, cohortMax: 2, ringBits: 32 };
}
