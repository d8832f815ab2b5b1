import { checked } from './errors.ts';
import { checkedDemand, demandOf, type MechanismDemand } from './mechanism-demand.ts';
import { LEAST_COMPONENT_SIGMA, MOST_SURPLUS_COMPONENTS } from './noise-ladder.ts';
import { isRotated, roomPerClient, WRAP_PROBABILITY } from './ring-room.ts';
import { scaledClip, transportScaledClip } from './ring-scale.ts';
import { ringTooSmall } from './ring-too-small.ts';
import { rotationBlocks } from './rotation-blocks.ts';
import { BETA, effectiveMultiplier, localNoise, roundedSensitivity } from './rounded-noise.ts';

/** Everything a client and the coordinator need to know; computed alike on every machine from the demand alone. */
export interface MechanismParameters extends MechanismDemand {
  /** s: an update is multiplied by it before it is rounded to integers. */
  readonly scale: number;
  /**
   * σ_int: standard deviation of the most noise that one client adds, in integer units: its share in a sum of
   * `minimumCohort`. What a larger sum does not need of it is taken away again (see noise-ladder).
   */
  readonly localSigma: number;
  /** σ_int·√(n_min − T_c): what honest clients have in every opened sum together, in integer units. */
  readonly committedSigma: number;
  /** Δ̃: L2 sensitivity of the rounded sum, in integer units, but for probability `beta`. */
  readonly sensitivity: number;
  readonly beta: number;
  /** What each round adds to δ besides the accountant's: β, the smoothing of noise sums, the sampler's distance. */
  readonly deltaPerRound: number;
  /** σ_eff against the coordinator with all assumed colluders; at least the committed noise multiplier. */
  readonly effectiveNoiseMultiplier: number;
  /** Bound on the probability that any element of the sum leaves the ring (spoils the sum, never the privacy). */
  readonly wrapProbability: number;
  /** m of the rotation; 1 where there is none. */
  readonly blockLength: number;
  /** Largest L2 norm, in the update's own units, that a block of one client's sum may have: of an element, for m = 1. */
  readonly blockLimit: number;
}

/**
 * Scale, noise and sensitivity of the distributed discrete Gaussian (Kairouz, Liu, Steinke, ICML 2021).
 * @throws PRIVACY_PARAMETER_INVALID; PRIVACY_CLAIM_FALSE for a cohort without
 *   honest clients; PRIVACY_RING_WRAPS, saying what would be allowed
 */
export function mechanismParameters(demand: MechanismDemand): MechanismParameters {
  const { l2Clip } = checkedDemand(demand);
  const clip = scaledClip(demand);
  if (clip === undefined) throw ringTooSmall(demand, (other) => scaledClip(other) !== undefined);
  const local = localNoise(demand, clip);
  const room = roomPerClient(demand, local.sigma);
  return withNoise(demand, clip, local.sigma, local.sensitivity, (room / clip) * l2Clip);
}

function withNoise(
  demand: MechanismDemand,
  clip: number,
  localSigma: number,
  sensitivity: number,
  blockLimit: number,
): MechanismParameters {
  const honest = demand.minimumCohort - demand.colluders;
  return {
    ...demandOf(demand),
    scale: clip / demand.l2Clip,
    localSigma,
    committedSigma: committedSigma(localSigma, demand),
    sensitivity,
    beta: BETA,
    deltaPerRound: deltaPerRound(demand),
    effectiveNoiseMultiplier: effectiveMultiplier(honest * localSigma ** 2, sensitivity),
    wrapProbability: WRAP_PROBABILITY,
    blockLength: isRotated(demand) ? rotationBlocks(demand.dimension).length : 1,
    blockLimit,
  };
}

/** σ_int·√(n_min − T_c), to the bit on every machine: a square root and products only. */
export function committedSigma(
  localSigma: number,
  { minimumCohort, colluders }: Pick<MechanismDemand, 'minimumCohort' | 'colluders'>,
): number {
  return Math.sqrt(localSigma * localSigma * (minimumCohort - colluders));
}

/** Clients that tell the coordinator what they know, up to `colluders` of them; or everybody but one. */
export type Colluding = number | 'all others';

/**
 * For a vector that privacy does not rest on any more, or never did: it was noised where it was trained, or nothing is
 * promised. Masks only go over noised vectors, so it gets the least noise that there is, σ = 4 units of the ring.
 * @param bound - L2 bound on the vector; the scale is the finest at which the ring holds the sum of `cohortMax` of them
 */
export function transportParameters(
  demand: Omit<MechanismDemand, 'noiseMultiplier' | 'l2Clip'>,
  bound: number,
): MechanismParameters {
  const full = checkedDemand({ ...demand, l2Clip: bound, noiseMultiplier: 1e-3 });
  const clip = transportScaledClip(full);
  if (clip === undefined) throw ringTooSmall(full, (other) => transportScaledClip(other) !== undefined);
  const sensitivity = roundedSensitivity(clip, full.dimension, BETA);
  return withNoise(full, clip, LEAST_COMPONENT_SIGMA, sensitivity, 2 * bound);
}

/**
 * Noise multiplier of the continuous Gaussian that the honest clients' noise in any opened sum is at least as private as:
 * σ_eff = √(V − 9)/Δ̃. Each of m clients keeps σ²/(m − T_c) or more, so that V = σ²·(m − c)/(m − T_c) is least in the largest
 * cohort. All others together hold enough shares to know even the surplus noise of the one that is left, who then
 * has its first component, which is as large.
 * @throws PRIVACY_PARAMETER_INVALID for more colluders than the noise is sized for
 */
export function effectiveNoiseMultiplier(parameters: MechanismParameters, colluding: Colluding): number {
  const { cohortMax, colluders, sensitivity } = parameters;
  const share = Math.max(parameters.committedSigma ** 2 / (cohortMax - colluders), LEAST_COMPONENT_SIGMA ** 2);
  if (colluding === 'all others') return effectiveMultiplier(share, sensitivity);
  checked('colluding', colluding, { min: 0, max: colluders, integer: true });
  return effectiveMultiplier(share * (cohortMax - colluding), sensitivity);
}

/**
 * β + d·(smoothing + sampler). Noise of variance v added to noise of variance w is a discrete Gaussian of variance v + w to
 * 5·e^{−2π²/(1/v + 1/w)} (Kairouz, Liu, Steinke 2021, Theorem 9), and no component's variance is below 16, so each addition
 * costs at most 10·e^{−16π²}. Rounding a Gaussian at width 3 costs 2.1·e^{−18π²}, every sample is within 2^-105.
 */
function deltaPerRound({ dimension, cohortMax }: MechanismDemand): number {
  const components = cohortMax * (1 + MOST_SURPLUS_COMPONENTS);
  const smoothing =
    10 * components * Math.exp(-(Math.PI ** 2) * LEAST_COMPONENT_SIGMA ** 2) + 2.1 * Math.exp(-18 * Math.PI ** 2);
  return BETA + dimension * (smoothing + components * 2 ** -105);
}
