import type { VerifyReport } from '../../ledger/verify.ts';
import type { RunAccount, ScopeAccount } from './account.ts';
import type { Organisation } from './organisation.ts';
import { at } from './records.ts';

/**
 * One deployment in the shape of OpenDP's deployments registry (schemas/deployments-schema.yaml of
 * opendp/deployments-registry-data, July 2026): a draft of tier 3 for its authors to read, correct and send in.
 */
export interface RegistryRecord {
  readonly url_slug: string;
  readonly status: 'Draft';
  readonly tier: 3;
  readonly deployment: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const UNSAID = 'Not stated in the ledger; to be filled in by the curator.';

/** @param scope - the account that the run was charged to */
export function registryRecord(
  run: RunAccount,
  scope: ScopeAccount,
  verified: Pick<VerifyReport, 'origin' | 'size' | 'root' | 'verdict'>,
  about: Organisation,
): RegistryRecord {
  return {
    url_slug: slug(run.run),
    status: 'Draft',
    tier: 3,
    deployment: {
      basic: basic(run, scope, about),
      dp_variant: {
        variant_name: 'Approximate DP',
        data_domain: `Sets of labelled texts of the scope ${scope.budget.scope}, held by ${run.participants.length} organisations.`,
        unprotected_quantities: `${run.unit === 'client' ? 'Number' : 'Number of records of each participant (in its consent), number'} of participants per round, and which organisations take part.`,
      },
      privacy_loss: {
        privacy_unit: run.unit,
        privacy_unit_details: `Adjacent data sets: ${run.neighbouringRelation}.`,
        privacy_parameters: { epsilon: run.epsilon, delta: run.delta },
        privacy_parameters_details: `${run.odds ?? ''}. Budget of the scope for ${scope.budget.period}: ε ${scope.epsilon}, δ ${scope.delta}; spent so far: ε ${scope.spent}.`,
      },
      deployment_model: {
        model_name: 'Federated',
        model_name_details:
          'Every participant adds its share of the noise before its update leaves; secure aggregation opens only the sum.',
        actors: `Participants: ${run.participants.join(', ') || 'none yet'}. Coordinator: sees masked vectors and noisy sums. Guarantee against ${run.adversary}; at least ${run.minimumCohort} clients in a sum. Assumptions: ${run.assumptions.join('; ')}.`,
        release_type: 'Many releases',
        release_type_details: `${run.roundsReleased} rounds released; one certificate covers all of them. The budget is for ${scope.budget.period} and is not reset within it.`,
        data_source_type: 'Static',
        access_type: 'Non-interactive',
      },
      accounting: {
        post_processing:
          'Server optimizer, averaging of iterates and choice of the best evaluated round on public held-out data.',
        composition: `Within the run: ${run.accountant}. Between runs on one budget: basic composition, ε and δ add up.`,
      },
      implementation: {
        preprocessing_and_hyperparameter_tuning: `The plan is fixed before training (SHA-256 ${run.planHash}). Tuning on the same data would be another run, charged to the same budget.`,
        mechanisms: `${run.stages.map((s) => `${s.algorithm}: sampling ${s.samplingProbability}, clip ${s.l2Clip}, noise multiplier ${s.noiseMultiplier}, ${s.rounds} rounds, ${s.mechanism?.name ?? 'none'}`).join('; ')}. Implemented in ${run.library}; whole-number noise from an exact sampler, no floating point.`,
        justification: `Two-person approval of the budget: ${scope.decisions.map((d) => `${d.what} (${d.approvers.join(', ') || 'no approval needed'})`).join('; ')}.`,
      },
      administrative: {
        sources: `Ledger ${verified.origin}, ${verified.size} entries, root ${verified.root} (${verified.verdict}); ${at(run.entries)}.`,
        registry_authors: about.registryAuthors ?? [UNSAID],
      },
    },
  };
}

function basic(run: RunAccount, scope: ScopeAccount, about: Organisation): Readonly<Record<string, unknown>> {
  return {
    name: run.run,
    data_curators: about.controller === undefined ? [UNSAID] : [about.controller.name],
    intended_use: run.purpose,
    data_product_type: 'Machine learning model',
    data_product_region: about.region ?? UNSAID,
    description: `Text classifier trained federatedly on ${scope.budget.scope} by ${run.participants.length} organisations${run.modelHash === null ? '' : `; model ${run.modelHash}`}.`,
    publication_date: (run.ended ?? run.begun).slice(0, 10),
    ...(about.sector === undefined ? {} : { data_product_sector: about.sector }),
  };
}

function slug(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
}
