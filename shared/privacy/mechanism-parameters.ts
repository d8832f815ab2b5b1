import { LIMITS } from '../core/limits.ts';
import { checked, privacyError } from './errors.ts';
import { LEAST_COMPONENT_SIGMA, MOST_SURPLUS_COMPONENTS } from './noise-ladder.ts';

/** What a plan says about the mechanism of one stage. */
export interface MechanismDemand {
  /** Number of elements d of an update. */
  readonly dimension: number;
  /** L2 bound C on one unit's contribution, enforced by the training engine. */
  readonly l2Clip: number;
  /**
   * The committed σ/C: what the accountant may use against the coordinator with all assumed colluders, i.e. what the
   * noise of `minimumCohort − colluders` clients alone amounts to after rounding is paid for.
   */
  readonly noiseMultiplier: number;
  /** Fewest clients whose sum is ever unmasked. */
  readonly minimumCohort: number;
  /** Clients assumed to tell the coordinator their own noise. */
  readonly colluders: number;
  /** Most clients in one sum. */
  readonly cohortMax: number;
  /** b: the sum is taken modulo 2^b. In [16, 32]. */
  readonly ringBits: number;
}

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
  /** Largest magnitude, in the update's own units, that an element of one client's sum may have. */
  readonly elementLimit: number;
}

/** β = 2^-60: how often rounding may exceed the sensitivity; it is added to δ every round. */
const BETA = 2 ** -60;
/** Greatest allowed chance of a wrap in a round. */
const WRAP_PROBABILITY = 1e-9;
/**
 * Engines clip in float32: the norm they divide by and the sum they keep are off by up to about 2^-11 relative for the
 * largest models. The sensitivity is computed for a clip that much larger, so that their rounding is paid for.
 */
export const FLOAT_SLACK = 2 ** -10;
/** Variance given up to see a discrete Gaussian as a rounded continuous one (Peikert, CRYPTO 2010): smoothing width 3. */
const SMOOTHING_VARIANCE = 9;
/** Examples of one client whose gradients may all point the same way before the ring is too small. */
const ALIGNED_EXAMPLES = 4096;

/**
 * Scale, noise and sensitivity of the distributed discrete Gaussian (Kairouz, Liu, Steinke, ICML 2021).
 * @throws PRIVACY_PARAMETER_INVALID; PRIVACY_CLAIM_FALSE for a cohort without
 *   honest clients; PRIVACY_RING_WRAPS, saying what would be allowed
 */
export function mechanismParameters(demand: MechanismDemand): MechanismParameters {
  const checkedDemand = checkedMechanism(demand);
  const { dimension, l2Clip } = checkedDemand;
  const root = Math.sqrt(dimension);
  // Rounding costs 1/(8·k²) of σ at s·C = k√d, and 9.1/(2·s·C) through β: both 0.1 % or less at the preferred scale.
  const preferred = Math.max(32 * root, 8192);
  const least = 10 * root;
  const fitting = 2 ** (demand.ringBits - 1) / unitsUsed(checkedDemand, ALIGNED_EXAMPLES);
  const scaledClip = Math.min(preferred, Math.max(least, fitting));
  const local = localNoise(checkedDemand, scaledClip);
  const room = roomPerClient(checkedDemand, local.sigma);
  if (room < scaledClip) throw ringTooSmall(checkedDemand, least);
  const honest = demand.minimumCohort - demand.colluders;
  return {
    ...pick(checkedDemand),
    scale: scaledClip / l2Clip,
    localSigma: local.sigma,
    committedSigma: committedSigma(local.sigma, checkedDemand),
    sensitivity: local.sensitivity,
    beta: BETA,
    deltaPerRound: deltaPerRound(checkedDemand),
    effectiveNoiseMultiplier: effectiveMultiplier(honest * local.sigma ** 2, local.sensitivity),
    wrapProbability: WRAP_PROBABILITY,
    elementLimit: (room / scaledClip) * l2Clip,
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
  const checkedDemand = checkedMechanism({ ...demand, l2Clip: bound, noiseMultiplier: 1e-3 });
  const room = roomPerClient(checkedDemand, LEAST_COMPONENT_SIGMA);
  const scaledClip = room / 2;
  const sensitivity = roundedSensitivity(scaledClip, demand.dimension, BETA);
  return {
    ...pick(checkedDemand),
    scale: scaledClip / bound,
    localSigma: LEAST_COMPONENT_SIGMA,
    committedSigma: committedSigma(LEAST_COMPONENT_SIGMA, demand),
    sensitivity,
    beta: BETA,
    deltaPerRound: deltaPerRound(checkedDemand),
    effectiveNoiseMultiplier: effectiveMultiplier(
      (demand.minimumCohort - demand.colluders) * LEAST_COMPONENT_SIGMA ** 2,
      sensitivity,
    ),
    wrapProbability: WRAP_PROBABILITY,
    elementLimit: 2 * bound,
  };
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
 * Δ̃ of a sum whose one unit has norm at most `scaledClip` before rounding ⌊x + u⌋ with u shared by neighbours:
 * the rounded difference D has D_i ∈ {⌊g_i⌋, ⌈g_i⌉}, E D_i = g_i, so ‖D‖ ≤ ‖g‖ + √d always, and
 * ‖D‖² ≤ ‖g‖² + d/4 + √(2 ln(1/β))(‖g‖ + √d/2) but for probability β (Kairouz, Liu, Steinke 2021, Proposition 22).
 * u has 32 bits, so E D_i is off by at most 2^-32: (2‖g‖√d + d)·2^-32 more.
 */
export function roundedSensitivity(scaledClip: number, dimension: number, beta: number): number {
  const norm = scaledClip * (1 + FLOAT_SLACK);
  const root = Math.sqrt(dimension);
  const always = (norm + root) ** 2;
  const likely = norm ** 2 + dimension / 4 + Math.sqrt(-2 * Math.log(beta)) * (norm + root / 2);
  return Math.sqrt(Math.min(always, likely + (2 * norm * root + dimension) * 2 ** -32));
}

interface LocalNoise {
  readonly sigma: number;
  readonly sensitivity: number;
}

/** The least σ_int with √((n_min − T_c)·σ_int² − 9)/Δ̃ ≥ noiseMultiplier, rounded up. */
function localNoise(demand: MechanismDemand, scaledClip: number): LocalNoise {
  const sensitivity = roundedSensitivity(scaledClip, demand.dimension, BETA);
  const honest = demand.minimumCohort - demand.colluders;
  const total = (demand.noiseMultiplier * sensitivity) ** 2 + SMOOTHING_VARIANCE;
  return { sigma: Math.max(Math.sqrt(total / honest) * (1 + 1e-12), LEAST_COMPONENT_SIGMA), sensitivity };
}

function effectiveMultiplier(variance: number, sensitivity: number): number {
  return Math.sqrt(Math.max(variance - SMOOTHING_VARIANCE, 0)) / sensitivity;
}

/** Units of s·C that `examples` aligned examples of every client and the noise take up on one side of the ring. */
function unitsUsed(demand: MechanismDemand, examples: number): number {
  const noise = noiseReach(demand, localNoise(demand, 1e6).sigma) / 1e6;
  return demand.cohortMax * examples + noise;
}

/**
 * z·σ of the sum's noise, surplus included, that no element exceeds but for the allowed probability: 2d·e^{−z²/2} ≤ 1e-9.
 * Components that were raised to the least σ add to it.
 */
function noiseReach(demand: MechanismDemand, localSigma: number): number {
  const z = Math.sqrt(2 * Math.log((2 * demand.dimension) / WRAP_PROBABILITY));
  const variance = localSigma ** 2 + (1 + MOST_SURPLUS_COMPONENTS) * LEAST_COMPONENT_SIGMA ** 2;
  return z * Math.sqrt(variance * demand.cohortMax);
}

/** Integer units that each client's own sum may take without the total ever leaving the ring but by noise; rounding adds 1. */
function roomPerClient(demand: MechanismDemand, localSigma: number): number {
  return (2 ** (demand.ringBits - 1) - 1 - noiseReach(demand, localSigma)) / demand.cohortMax - 1;
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

function pick(demand: MechanismDemand): MechanismDemand {
  const { dimension, l2Clip, noiseMultiplier, minimumCohort, colluders, cohortMax, ringBits } = demand;
  return { dimension, l2Clip, noiseMultiplier, minimumCohort, colluders, cohortMax, ringBits };
}

function checkedMechanism(demand: MechanismDemand): MechanismDemand {
  checked('dimension', demand.dimension, { min: 1, max: LIMITS.updateElements, integer: true });
  checked('l2Clip', demand.l2Clip, { min: 1e-9, max: 1e9 });
  checked('noiseMultiplier', demand.noiseMultiplier, { min: 1e-3, max: 1e6 });
  checked('minimumCohort', demand.minimumCohort, { min: 2, max: 1e6, integer: true });
  checked('colluders', demand.colluders, { min: 0, integer: true });
  checked('cohortMax', demand.cohortMax, { min: demand.minimumCohort, max: 1e6, integer: true });
  checked('ringBits', demand.ringBits, { min: 16, max: 32, integer: true });
  if (demand.minimumCohort > demand.colluders) return demand;
  throw privacyError(
    'PRIVACY_CLAIM_FALSE',
    `${demand.colluders} colluders of a cohort of ${demand.minimumCohort} leave no honest noise`,
    {
      where: 'minimumCohort',
      fix: `Set minimumCohort to at least ${demand.colluders + 3}.`,
    },
  );
}

/** The refusal, with the most that each single change would allow. */
function ringTooSmall(demand: MechanismDemand, least: number): Error {
  const fits = (changed: Partial<MechanismDemand>): boolean => {
    const d = { ...demand, ...changed };
    return roomPerClient(d, localNoise(d, 10 * Math.sqrt(d.dimension)).sigma) >= 10 * Math.sqrt(d.dimension);
  };
  const bits = [...Array(33).keys()].find((b) => b > demand.ringBits && fits({ ringBits: b }));
  let dimension = demand.dimension;
  while (dimension > 1 && !fits({ dimension })) dimension = Math.floor(dimension / 2);
  const ways = [
    ...(bits === undefined ? [] : [`ringBits ${bits}`]),
    ...(fits({ dimension }) ? [`at most ${dimension} elements`] : []),
  ];
  return privacyError(
    'PRIVACY_RING_WRAPS',
    `${demand.ringBits} bits cannot hold the sum of ${demand.cohortMax} clients at a scale of ${Math.ceil(least)} a clip: it would wrap more often than once in 1e9 rounds`,
    {
      where: 'ringBits',
      fix: ways.length > 0 ? `Allowed: ${ways.join(', or ')}.` : 'Use a smaller noise multiplier or cohort.',
    },
  );
}
