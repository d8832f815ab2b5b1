import { privacyError } from './errors.ts';
import { effectiveNoiseMultiplier, type MechanismParameters } from './mechanism-parameters.ts';

/** Whose presence the guarantee hides. */
export type PrivacyUnit = 'record' | 'person' | 'client';

/** How the units of a round are chosen; only independent Poisson sampling hides who was chosen. */
export type Sampling = 'poisson' | 'shuffled' | 'everyone';

/**
 * What is clipped: each unit's own gradient, in a sum over all clients or in local steps that each have all their noise
 * where they are taken; or a whole client's change of the model after local steps.
 */
export type Contribution = 'unit-gradient' | 'noisy-local-steps' | 'model-delta';

/** One stage of a plan, as far as its privacy claim goes. There is no field for a sensitivity: it follows from the clip. */
export interface ClaimedStage {
  readonly sampling: Sampling;
  /** In (0, 1]; 1 unless the sampling is Poisson. */
  readonly samplingProbability: number;
  /** Noisy sums that are revealed: rounds, or all steps of all rounds. */
  readonly rounds: number;
  /** Committed σ/C against the coordinator with all assumed colluders. */
  readonly noiseMultiplier: number;
  readonly contribution: Contribution;
  /** True when each client's weight, by its number of examples, is one more coordinate of what it sends. */
  readonly weighted?: boolean;
  readonly mechanism: MechanismParameters;
}

/** What a plan promises, before any number is computed. */
export interface Claim {
  readonly unit: PrivacyUnit;
  readonly delta: number;
  readonly stages: readonly ClaimedStage[];
  readonly minimumCohort: number;
  readonly colluders: number;
}

/**
 * Refuses a claim that its own mechanism cannot keep.
 * @throws PRIVACY_CLAIM_FALSE, PRIVACY_NOISE_TOO_SMALL
 */
export function checkClaim(claim: Claim): void {
  for (const [i, stage] of claim.stages.entries()) {
    const where = `stages[${i}]`;
    if (stage.sampling !== 'poisson' && stage.samplingProbability !== 1) {
      throw privacyError('PRIVACY_CLAIM_FALSE', `amplification by sampling is claimed for ${stage.sampling} sampling`, {
        where: `${where}.sampling`,
        fix: 'Sample each unit independently (poisson), or account with a sampling probability of 1.',
      });
    }
    if (stage.weighted === true && stage.contribution !== 'model-delta') {
      throw privacyError(
        'PRIVACY_CLAIM_FALSE',
        `weights by examples are claimed to be hidden, but noise for one ${claim.unit} does not hide how many a client has`,
        { where: `${where}.weighted`, fix: 'Count every client alike, or clip the whole change of a client.' },
      );
    }
    if (stage.contribution === 'model-delta' && claim.unit !== 'client') {
      throw privacyError(
        'PRIVACY_CLAIM_FALSE',
        `clipping the change of a model after local steps without noise bounds a client, not a ${claim.unit}: for one ${claim.unit} the sensitivity is twice the clip and its sampling hides nothing`,
        { where: `${where}.contribution`, fix: `Clip each ${claim.unit}'s gradient, or claim the unit client.` },
      );
    }
    if (stage.contribution !== 'model-delta' && claim.unit === 'client') {
      throw privacyError(
        'PRIVACY_CLAIM_FALSE',
        'clipping each record’s gradient bounds no client: one client’s records add up to any length',
        {
          where: `${where}.contribution`,
          fix: 'Clip the whole change of a client, or claim the unit record or person.',
        },
      );
    }
    checkNoise(stage, claim, where);
  }
}

/** The noise that honest clients keep in every sum has to be at least the committed one, for the claim's own cohort. */
function checkNoise(stage: ClaimedStage, claim: Claim, where: string): void {
  const { mechanism } = stage;
  const honest = claim.minimumCohort - claim.colluders;
  const sized = mechanism.colluders === claim.colluders && mechanism.minimumCohort <= claim.minimumCohort;
  const kept = (): number => {
    if (stage.contribution === 'noisy-local-steps') return effectiveNoiseMultiplier(mechanism, 'all others');
    return honest < 1 || !sized ? 0 : effectiveNoiseMultiplier(mechanism, claim.colluders);
  };
  const actual = kept();
  if (actual >= stage.noiseMultiplier) return;
  throw privacyError(
    'PRIVACY_NOISE_TOO_SMALL',
    `${honest} honest client(s) give a noise multiplier of ${actual}, the plan commits to ${stage.noiseMultiplier}`,
    { where: `${where}.noiseMultiplier`, fix: 'Compute the mechanism from the committed noise and the same cohort.' },
  );
}

/**
 * Refuses a sum over too few clients: its noise would be below what the plan commits to.
 * @param survivors - clients in the sum that is about to be unmasked
 * @throws PRIVACY_NOISE_TOO_SMALL
 */
export function checkCohort(survivors: number, mechanism: MechanismParameters): void {
  if (Number.isSafeInteger(survivors) && survivors >= mechanism.minimumCohort) return;
  throw privacyError(
    'PRIVACY_NOISE_TOO_SMALL',
    `${survivors} clients are in the sum, the plan needs ${mechanism.minimumCohort}`,
    {
      where: 'minimumCohort',
      fix: 'Abort this round; nothing may be unmasked.',
    },
  );
}
