import { TacitError } from '../../shared/core/errors.ts';
import { calibrateNoise } from '../../shared/privacy/accountant/index.ts';
import type { PrivacyErrorCode } from '../../shared/privacy/errors.ts';
import { type MechanismParameters, mechanismParameters } from '../../shared/privacy/mechanism.ts';
import type { TrainSettings } from './settings.ts';

/** What a private `tacit train` promises, and the noise that keeps it. */
export interface LocalPromise {
  readonly mechanism: MechanismParameters;
  readonly view: {
    readonly epsilon: number;
    readonly delta: number;
    readonly unit: 'record' | 'person';
    readonly l2Clip: number;
    readonly noiseMultiplier: number;
    readonly samplingProbability: number;
    readonly steps: number;
    /** A seed was given: whoever knows it can take the noise away again. */
    readonly repeatable: boolean;
  };
}

/** Part of δ kept for rounding and noise smoothing; far more than they take (see mechanismParameters). */
const ROUNDING_SHARE = 1e-6;

/**
 * DP-SGD by one party that trusts itself: noise of the whole budget on every step's sum, Poisson samples of units.
 * @param units - records or persons that are trained on; their number is taken as public
 * @throws PRIVACY_*
 */
export function localPromise(settings: TrainSettings, dimension: number, units: number): LocalPromise | undefined {
  if (settings.privacy === undefined) return undefined;
  const { epsilon, delta, l2Clip } = settings.privacy;
  if (!(delta < 1 / units)) {
    throw new TacitError<PrivacyErrorCode>(
      'PRIVACY_CLAIM_FALSE',
      `delta ${delta} is not below 1/${units}: it would allow publishing somebody's record whole`,
      { where: '--delta', fix: `Write at most ${(0.1 / units).toExponential(0)}.` },
    );
  }
  const samplingProbability = Math.min(1, settings.batchSize / units);
  const steps = settings.epochs * Math.ceil(units / settings.batchSize);
  const stages = [{ samplingProbability, rounds: steps, share: 1 }];
  const [noiseMultiplier] = calibrateNoise({ epsilon, delta: delta * (1 - ROUNDING_SHARE), stages }) as [number];
  const mechanism = mechanismParameters({
    dimension,
    l2Clip,
    noiseMultiplier,
    // Cohort less colluders is 1: nobody else's noise is counted on.
    minimumCohort: 2,
    colluders: 1,
    cohortMax: 2,
    ringBits: 32,
  });
  const unit = settings.person === undefined ? 'record' : 'person';
  const repeatable = settings.seed !== undefined;
  const view = { epsilon, delta, unit, l2Clip, noiseMultiplier, samplingProbability, steps, repeatable } as const;
  return { mechanism, view };
}
