import type { MechanismDemand } from './mechanism-demand.ts';
import { LEAST_COMPONENT_SIGMA } from './noise-ladder.ts';

/** β = 2^-60: how often rounding may exceed the sensitivity; it is added to δ every round. */
export const BETA = 2 ** -60;
/**
 * Engines clip in float32: the norm they divide by and the sum they keep are off by up to about 2^-11 relative for the
 * largest models. The sensitivity is computed for a clip that much larger, so that their rounding is paid for.
 */
export const FLOAT_SLACK = 2 ** -10;
/** Variance given up to see a discrete Gaussian as a rounded continuous one (Peikert, CRYPTO 2010): smoothing width 3. */
const SMOOTHING_VARIANCE = 9;
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

/** What one client adds, and Δ̃. */
export interface LocalNoise {
  readonly sigma: number;
  readonly sensitivity: number;
}

/** The least σ_int with √((n_min − T_c)·σ_int² − 9)/Δ̃ ≥ noiseMultiplier, rounded up. */
export function localNoise(demand: MechanismDemand, scaledClip: number): LocalNoise {
  const sensitivity = roundedSensitivity(scaledClip, demand.dimension, BETA);
  const honest = demand.minimumCohort - demand.colluders;
  const total = (demand.noiseMultiplier * sensitivity) ** 2 + SMOOTHING_VARIANCE;
  return { sigma: Math.max(Math.sqrt(total / honest) * (1 + 1e-12), LEAST_COMPONENT_SIGMA), sensitivity };
}

/** σ_eff of noise of that variance, in squared ring units. */
export function effectiveMultiplier(variance: number, sensitivity: number): number {
  return Math.sqrt(Math.max(variance - SMOOTHING_VARIANCE, 0)) / sensitivity;
}
