import { type Rng, seededRng, shuffle } from '../../shared/core/rng.ts';
import type { MechanismParameters } from '../../shared/privacy/mechanism.ts';
import type { RoundParts } from '../../shared/training/audit/audit-run.ts';
import { clippedGradientSum } from '../../shared/training/dp-fedsgd.ts';
import { noisySum } from '../../shared/training/noise.ts';
import { poissonSample } from '../../shared/training/sampling.ts';

/** Ways to break a promise that systems have shipped; an audit has to see each from the released sums alone. */
export const FAULTS = ['noise σ² for σ', 'no clipping', 'shuffled sampling', 'noise reused'] as const;
export type Fault = (typeof FAULTS)[number];

/** A clip that no gradient reaches. */
const FAR = 1e6;

/** The product's parts of a round with one of them broken. A new set for every run: some remember. */
export function faulty(fault: Fault): RoundParts {
  const sound: RoundParts = { sample: poissonSample, gradientSum: clippedGradientSum, release: noisySum };
  switch (fault) {
    case 'noise σ² for σ':
      return { ...sound, release: (sums, mechanism, rng) => noisySum(sums, squaredNoise(mechanism), rng) };
    case 'no clipping':
      return {
        ...sound,
        gradientSum: (request) => clippedGradientSum({ ...request, l2Clip: FAR }),
        // The mechanism would refuse a sum that was not clipped; this one has lost that check too.
        release: (sums, mechanism, rng) => noisySum(sums, unchecked(mechanism), rng),
      };
    case 'shuffled sampling':
      return { ...sound, sample: dealtBatches() };
    case 'noise reused':
      return { ...sound, release: (sums, mechanism) => noisySum(sums, mechanism, seededRng('once')) };
  }
}

/** The variance where the standard deviation belongs, in the gradient's own units. */
function squaredNoise(mechanism: MechanismParameters): MechanismParameters {
  const sigma = mechanism.localSigma / mechanism.scale;
  return { ...mechanism, localSigma: sigma * sigma * mechanism.scale };
}

function unchecked(mechanism: MechanismParameters): MechanismParameters {
  return { ...mechanism, l2Clip: FAR, blockLimit: Number.POSITIVE_INFINITY };
}

/** Every record exactly once an epoch of 1/q rounds, in batches that are dealt once. */
function dealtBatches(): RoundParts['sample'] {
  const dealt: number[][] = [];
  let silo = -1;
  return (records: number, probability: number, rng: Rng, round: number) => {
    const places = Math.round(1 / probability);
    if (round === 0 && dealt.length <= silo + 1)
      dealt.push(
        shuffle(
          rng,
          Array.from({ length: records }, (_, i) => i),
        ),
      );
    silo = round === 0 ? silo + 1 : (silo + 1) % dealt.length;
    return (dealt[silo] as number[]).filter((_, position) => position % places === round % places);
  };
}
