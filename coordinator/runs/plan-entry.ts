import { canonicalBytes } from '../../shared/core/canonical.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import { decimal } from '../../shared/ledger/decimal.ts';
import type { EntryInput } from '../../shared/ledger/entries.ts';
import { siloMechanism } from '../../shared/protocol/commitment.ts';
import { promiseOf } from '../../shared/protocol/plan.ts';
import { clipOf, releasesOf, weightingOf } from '../../shared/protocol/plan-stage.ts';
import type { StageTerms, Terms } from '../../shared/protocol/terms.ts';

type PlanEntry = EntryInput<'plan.commit'>;

/** What a run commits itself to, as the ledger keeps it. @param version - of this software */
export function planEntry(run: string, terms: Terms, version: string): PlanEntry {
  const { plan } = terms;
  const { minimumCohort, colluders } = plan.secureAggregation;
  return {
    kind: 'plan.commit',
    run,
    planHash: terms.planHash,
    plan: plan as unknown as Record<string, never>,
    purpose: plan.purpose,
    unit: plan.privacy.unit,
    minimumCohort,
    colluders,
    stages: plan.stages.map((_, index) => stageEntry(terms, index)),
    ...promised(terms),
    modelHash: modelHash(terms),
    library: `tacit ${version}`,
  };
}

function promised({ plan, guarantees }: Terms): Pick<PlanEntry, 'neighbouringRelation' | 'certificate' | 'budgets'> {
  const promise = promiseOf(plan);
  const certificate = guarantees[1];
  if (promise === undefined || certificate === undefined)
    return { neighbouringRelation: 'none', certificate: null, budgets: [] };
  const { scope, unit, period, epsilon, delta } = promise;
  const { neighbouringRelation, accountant, adversary, assumptions } = certificate;
  return {
    neighbouringRelation,
    certificate: {
      epsilon: decimal(epsilon),
      delta: decimal(delta),
      accountant,
      adversary,
      assumptions: [...assumptions],
    },
    budgets: [{ scope, unit, period }],
  };
}

function stageEntry(terms: Terms, index: number): PlanEntry['stages'][number] {
  const { plan, stages } = terms;
  const stage = plan.stages[index] as Terms['plan']['stages'][number];
  const { dimension, noiseMultiplier, scale, localSigma } = stages[index] as StageTerms;
  const { maximumCohort, ringBits } = plan.secureAggregation;
  const { algorithm, rounds } = stage;
  const samplingProbability = decimal(releasesOf(stage).samplingProbability);
  const weighting = weightingOf(stage);
  const common = {
    index,
    algorithm,
    samplingProbability,
    rounds,
    l2Clip: decimal(clipOf(stage)),
    ...(weighting === undefined ? {} : { weighting }),
  };
  if (algorithm === 'none') return { ...common, noiseMultiplier: null, mechanism: null };
  const local = algorithm === 'local-dp-sgd';
  const { cohortMax, ...mechanism } = local
    ? siloMechanism(terms, index)
    : { scale, localSigma, ringBits, cohortMax: maximumCohort };
  return {
    ...common,
    ...(local ? { releasesPerRound: stage.local.steps } : {}),
    noiseMultiplier: decimal(noiseMultiplier),
    mechanism: {
      name: 'distributed-discrete-gaussian',
      dimension,
      scale: decimal(mechanism.scale),
      localSigma: decimal(mechanism.localSigma),
      ringBits: mechanism.ringBits,
      cohortMax,
    },
  };
}

/** What training starts from: every file of the directory. */
function modelHash({ model }: Terms): string {
  return sha256Hex(canonicalBytes(model.map(({ name, sha256 }) => [name, sha256])));
}
