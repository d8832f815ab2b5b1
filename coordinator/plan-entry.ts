import { canonicalBytes } from '../shared/core/canonical.ts';
import { sha256Hex } from '../shared/core/hash.ts';
import { decimal } from '../shared/ledger/decimal.ts';
import type { EntryInput } from '../shared/ledger/entries.ts';
import type { StageTerms, Terms } from '../shared/protocol/terms.ts';

/** What a run commits itself to, as the ledger keeps it. @param version - of this software */
export function planEntry(run: string, terms: Terms, version: string): EntryInput<'plan.commit'> {
  const { plan, guarantees } = terms;
  const { scope, unit, period } = plan.privacy;
  const { minimumCohort, colluders } = plan.secureAggregation;
  const certificate = guarantees[1] as Terms['guarantees'][number];
  return {
    kind: 'plan.commit',
    run,
    planHash: terms.planHash,
    plan: plan as unknown as Record<string, never>,
    purpose: plan.purpose,
    unit,
    neighbouringRelation: certificate.neighbouringRelation,
    certificate: {
      epsilon: decimal(plan.privacy.epsilon),
      delta: decimal(plan.privacy.delta),
      accountant: certificate.accountant,
      adversary: certificate.adversary,
      assumptions: [...certificate.assumptions],
    },
    minimumCohort,
    colluders,
    stages: plan.stages.map((_, index) => stageEntry(terms, index)),
    budgets: [{ scope, unit, period }],
    modelHash: modelHash(terms),
    library: `tacit ${version}`,
  };
}

function stageEntry({ plan, stages }: Terms, index: number): EntryInput<'plan.commit'>['stages'][number] {
  const { algorithm, samplingProbability, rounds, l2Clip } = plan.stages[index] as Terms['plan']['stages'][number];
  const { dimension, noiseMultiplier, scale, localSigma } = stages[index] as StageTerms;
  const { maximumCohort, ringBits } = plan.secureAggregation;
  return {
    index,
    algorithm,
    samplingProbability: decimal(samplingProbability),
    rounds,
    l2Clip: decimal(l2Clip),
    noiseMultiplier: decimal(noiseMultiplier),
    mechanism: {
      name: 'distributed-discrete-gaussian',
      dimension,
      scale: decimal(scale),
      localSigma: decimal(localSigma),
      ringBits,
      cohortMax: maximumCohort,
    },
  };
}

/** What training starts from: every file of the directory. */
function modelHash({ model }: Terms): string {
  return sha256Hex(canonicalBytes(model.map(({ name, sha256 }) => [name, sha256])));
}
