import type { Rng } from '../../core/rng.ts';
import type { Engine } from '../../engine/engine.ts';
import { type AuditVerdict, auditVerdict } from '../../privacy/audit/verdict.ts';
import { guaranteesFor, type PrivacyGuarantee } from '../../privacy/guarantee.ts';
import { type MechanismParameters, mechanismParameters } from '../../privacy/mechanism.ts';
import { AUDIT_SHAPE, auditModel, auditRecords } from './audit-model.ts';
import { type AuditedRun, auditedRun, type RoundParts } from './audit-run.ts';

/** The promise that is put to the test, and how hard. */
export interface AuditDemand {
  /** One run with all canaries (Steinke, Nasr, Jagielski 2023), or as many runs, each with one. */
  readonly method: 'one-run' | 'many-runs';
  readonly canaries: number;
  readonly rounds: number;
  readonly samplingProbability: number;
  readonly l2Clip: number;
  /** σ/C that the coordinator faces. */
  readonly noiseMultiplier: number;
  readonly clients: number;
  readonly delta: number;
  /** Of the lower bound, e.g. 0.95. */
  readonly confidence: number;
}

export interface AuditReport {
  readonly demand: AuditDemand;
  /** What the accountant promises for this mechanism, against the coordinator. */
  readonly claim: PrivacyGuarantee;
  readonly verdict: AuditVerdict;
  /** False when the claim is refuted: the lower bound lies above it. */
  readonly holds: boolean;
}

/** Records that train beside the canaries; few, so that they blur little. */
const RECORDS = 60;
/** Features of the model in a run with a single canary. */
const NARROW = 64;

/**
 * Measures from the released sums of real training how much a mechanism leaks at least, and compares that with the claim.
 * A claim that passes is not proved: the bound is what this attack could show.
 * @throws PRIVACY_*, and what the engine throws
 */
export async function audit(demand: AuditDemand, engine: Engine, rng: Rng, parts?: RoundParts): Promise<AuditReport> {
  const width = demand.method === 'one-run' ? demand.canaries : NARROW;
  const bert = await auditModel(engine, width, rng);
  try {
    const mechanism = mechanismOf(demand, bert.trainableLayout.length);
    const { rounds, samplingProbability, delta, confidence } = demand;
    const examples = auditRecords(RECORDS, rng);
    const run = { bert, shape: AUDIT_SHAPE, examples, rounds, samplingProbability, mechanism, rng };
    const traces =
      demand.method === 'one-run'
        ? await auditedRun({ ...run, canaries: demand.canaries }, parts)
        : await manyRuns(run, demand.canaries, parts);
    const verdict = auditVerdict(traces, delta, confidence);
    const claim = claimOf(demand, mechanism);
    return { demand, claim, verdict, holds: verdict.epsilonLowerBound <= claim.toView().epsilon };
  } finally {
    await bert.dispose();
  }
}

/** Runs with one canary each, all from the same weights. Independent runs are one mechanism on as many canaries. */
async function manyRuns(run: Omit<AuditedRun, 'canaries'>, trials: number, parts: RoundParts | undefined) {
  const start = run.bert.trainable();
  const traces = [];
  for (let trial = 0; trial < trials; trial++) {
    run.bert.setTrainable(start);
    traces.push(...(await auditedRun({ ...run, canaries: 1 }, parts)));
  }
  return traces;
}

function mechanismOf(demand: AuditDemand, dimension: number): MechanismParameters {
  const { l2Clip, noiseMultiplier, clients } = demand;
  const cohort = { minimumCohort: clients, colluders: 0, cohortMax: clients };
  return mechanismParameters({ dimension, l2Clip, noiseMultiplier, ...cohort, ringBits: 32 });
}

function claimOf(demand: AuditDemand, mechanism: MechanismParameters): PrivacyGuarantee {
  const { samplingProbability, rounds, noiseMultiplier, delta, clients } = demand;
  const sampling = samplingProbability < 1 ? ('poisson' as const) : ('everyone' as const);
  const contribution = 'unit-gradient' as const;
  const stage = { sampling, samplingProbability, rounds, noiseMultiplier, contribution, mechanism };
  const claim = { unit: 'record' as const, delta, stages: [stage], minimumCohort: clients, colluders: 0 };
  return guaranteesFor(claim)[0] as PrivacyGuarantee;
}
