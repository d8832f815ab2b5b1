import { canonicalBytes } from '../core/canonical.ts';
import { TacitError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import { calibrateNoise, epsilonOf, stageEvent } from '../privacy/accountant/index.ts';
import { type ClaimedStage, guaranteesFor, type PrivacyGuarantee } from '../privacy/guarantee.ts';
import {
  committedSigma,
  type MechanismParameters,
  mechanismParameters,
  transportParameters,
} from '../privacy/mechanism.ts';
import type { Layout } from '../tensor/layout.ts';
import type { ProtocolErrorCode } from './errors.ts';
import { type Plan, type PrivacyPromise, planHash, promiseOf } from './plan.ts';
import { releasesOf, sentBound, sentElements } from './plan-stage.ts';
import { contributionOf, siloDemand } from './stage-claims.ts';
import type { ModelFile, StageTerms, Terms } from './terms.ts';

/** SHA-256 (hex) of names and shapes in order: two vectors of one layout may be added. */
export function layoutHash(layout: Layout): string {
  return sha256Hex(canonicalBytes(layout.entries.map(({ name, shape }) => [name, shape])));
}

/** Part of δ kept for what each round's rounding and noise smoothing cost beyond the accountant's: far more than they take. */
const ROUNDING_SHARE = 1e-6;
/** Two machines may compute the last digits of a logarithm differently; nothing that matters hides below this. */
const SAME = 1e-9;

/**
 * Everything that follows from a plan and the size of its updates: σ from (ε, δ), the mechanism, the guarantees.
 * @param updates - one a stage: what the model of that stage sends
 * @throws PRIVACY_* when the plan's budget cannot be kept
 */
export function commitTerms(plan: Plan, model: readonly ModelFile[], updates: readonly Layout[]): Terms {
  const sigmas = noiseFor(plan);
  const stages = updates.map((layout, index): StageTerms => {
    const noiseMultiplier = sigmas[index] as number;
    const dimension = sentElements(plan.stages[index] as Plan['stages'][number], layout.length);
    const { scale, localSigma } = sumMechanism(plan, index, dimension, noiseMultiplier);
    return { index, dimension, layoutSha256: layoutHash(layout), noiseMultiplier, scale, localSigma };
  });
  const guarantees = guaranteesOf(plan, stages).map((g) => g.toView());
  return { plan, planHash: planHash(plan), model, stages, guarantees };
}

/** Least noise of every stage that keeps the promise; 0 where there is none. */
function noiseFor(plan: Plan): number[] {
  const promise = promiseOf(plan);
  if (promise === undefined) return plan.stages.map(() => 0);
  const { epsilon, delta } = promise;
  return calibrateNoise({ epsilon, delta: delta * (1 - ROUNDING_SHARE), stages: plan.stages.map(releasesOf) });
}

/** Mechanism of a stage's sums as committed; scale and noise are the committed ones to the bit, on every machine. */
export function stageMechanism(terms: Terms, index: number): MechanismParameters {
  const stage = terms.stages[index];
  if (stage === undefined)
    throw new TacitError<ProtocolErrorCode>('PLAN_CLAIM_FALSE', `the plan has no stage ${index}`);
  const { dimension, noiseMultiplier, scale, localSigma } = stage;
  const mechanism = sumMechanism(terms.plan, index, dimension, noiseMultiplier);
  return { ...mechanism, scale, localSigma, committedSigma: committedSigma(localSigma, mechanism) };
}

/** Mechanism of the steps that each silo takes by itself: its noise counts on nobody. */
export function siloMechanism({ plan, stages }: Terms, index: number): MechanismParameters {
  const { dimension, noiseMultiplier } = stages[index] as StageTerms;
  const stage = plan.stages[index];
  if (stage?.algorithm !== 'local-dp-sgd')
    throw new TacitError<ProtocolErrorCode>('PLAN_CLAIM_FALSE', `stage ${index} takes no noised local steps`);
  return mechanismParameters(siloDemand({ dimension, l2Clip: stage.l2Clip, noiseMultiplier }));
}

/**
 * A participant's own recomputation of what it is offered.
 * @throws PLAN_CLAIM_FALSE naming both values when the hash, the noise or ε is not what the plan gives
 */
export function checkTerms(terms: Terms): void {
  const { plan } = terms;
  const refuse = (what: string): never => {
    throw new TacitError<ProtocolErrorCode>('PLAN_CLAIM_FALSE', what, {
      where: `plan ${plan.name}`,
      fix: 'Do not take part; tell the operator.',
    });
  };
  const hash = planHash(plan);
  if (hash !== terms.planHash) refuse(`the plan's hash is ${hash}, not ${terms.planHash}`);
  if (terms.stages.length !== plan.stages.length) refuse('the plan and its commitment have different stages');
  for (const [index, stage] of terms.stages.entries()) {
    const own = sumMechanism(plan, index, stage.dimension, stage.noiseMultiplier);
    if (!same(own.localSigma, stage.localSigma) || !same(own.scale, stage.scale)) {
      refuse(
        `stage ${index} adds noise of ${stage.localSigma} at scale ${stage.scale} where its promise needs ${own.localSigma} at ${own.scale}`,
      );
    }
  }
  const promise = promiseOf(plan);
  if (promise === undefined) {
    if (terms.guarantees.length > 0) refuse('it shows guarantees for a plan that promises nothing');
    return;
  }
  const against = guaranteesOf(plan, terms.stages)[1]?.toView();
  if (against === undefined || !(against.epsilon <= promise.epsilon * (1 + 1e-6))) {
    refuse(`its noise gives epsilon ${against?.epsilon}, the plan promises ${promise.epsilon}`);
  }
}

/** The three guarantees of a plan: coordinator, coordinator with the assumed colluders, everyone but you. None for a plan that promises nothing. */
export function guaranteesOf(plan: Plan, stages: readonly StageTerms[]): PrivacyGuarantee[] {
  const promise = promiseOf(plan);
  if (promise === undefined) return [];
  const { minimumCohort, colluders } = plan.secureAggregation;
  return guaranteesFor({
    unit: promise.unit,
    delta: promise.delta,
    minimumCohort,
    colluders,
    stages: stages.map((stage, index): ClaimedStage => {
      const planStage = plan.stages[index] as Plan['stages'][number];
      const { rounds, samplingProbability } = releasesOf(planStage);
      const { dimension, noiseMultiplier } = stage;
      return {
        sampling: 'poisson',
        contribution: contributionOf(planStage.algorithm),
        samplingProbability,
        rounds,
        noiseMultiplier,
        weighted: planStage.weighting !== undefined,
        mechanism:
          planStage.algorithm === 'local-dp-sgd'
            ? mechanismParameters(siloDemand({ dimension, l2Clip: planStage.l2Clip, noiseMultiplier }))
            : sumMechanism(plan, index, dimension, noiseMultiplier),
      };
    }),
  });
}

/** ε that the first `rounds` rounds of the plan have spent, against the coordinator with the assumed colluders. For reading: what is charged is the whole plan. */
export function epsilonAfter(terms: Terms, rounds: number, { delta }: Pick<PrivacyPromise, 'delta'>): number {
  let left = rounds;
  const events = terms.plan.stages.flatMap((stage, index) => {
    const done = Math.min(left, stage.rounds);
    left -= done;
    const releases = releasesOf(stage);
    const count = (releases.rounds / stage.rounds) * done;
    const { noiseMultiplier } = terms.stages[index] as StageTerms;
    return count === 0 ? [] : [stageEvent({ ...releases, rounds: count }, noiseMultiplier)];
  });
  return events.length === 0 ? 0 : epsilonOf(events, delta);
}

/** What goes over a client's vector before the masks. */
function sumMechanism(plan: Plan, index: number, dimension: number, noiseMultiplier: number): MechanismParameters {
  const { minimumCohort, colluders, maximumCohort, ringBits } = plan.secureAggregation;
  const stage = plan.stages[index] as Plan['stages'][number];
  const cohort = { dimension, minimumCohort, colluders, cohortMax: maximumCohort, ringBits };
  if (stage.algorithm === 'local-dp-sgd' || stage.algorithm === 'none')
    return transportParameters(cohort, sentBound(stage));
  const oneUnit = contributionOf(stage.algorithm) === 'model-delta';
  return mechanismParameters({ ...cohort, l2Clip: sentBound(stage), noiseMultiplier, oneUnit });
}

function same(a: number, b: number): boolean {
  return Math.abs(a - b) <= SAME * Math.abs(a);
}
