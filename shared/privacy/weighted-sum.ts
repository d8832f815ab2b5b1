import { checked } from './errors.ts';
/**
 * FedAvg weights under the masks (McMahan et al. 2018, §2: w = min(n/n̂, 1)). A client's vector is its clipped update times w,
 * and as one more coordinate w itself, in units of a quarter of the clip. Both are at most w ≤ 1 times a vector of length
 * C·√(1 + 1/16), so that is the L2 sensitivity of the sum for adding or removing a client: total and update are one release,
 * under one noise (docs/adr/0015-weighted-sums.md).
 */
export interface Weighting {
  /** n̂: examples above which a client counts no more. */
  readonly maximumExamples: number;
  /** Least that the sum is divided by, in examples. */
  readonly minimumTotal: number;
}

/** Length of the weight's coordinate at w = 1, over the clip of the update. */
const WEIGHT_SHARE = 1 / 4;
/** Standard deviations within which noise is taken to stay when a total is rounded to whole examples. */
const CERTAIN = 7;

/** C′: longest vector of update and weight together. @param clip - C, of the update alone */
export function jointClip(clip: number): number {
  return clip * Math.sqrt(1 + WEIGHT_SHARE * WEIGHT_SHARE);
}

/**
 * A client's vector: w·Δ, then w·C/4.
 * @param update - Δ, at most `clip` long; the caller's clip is what bounds it
 * @param examples - n ≥ 0, whole; whatever it is, w is in [0, 1]
 * @returns one number more than `update`
 * @throws PRIVACY_PARAMETER_INVALID
 */
export function weightedUpdate(
  update: Float32Array,
  examples: number,
  { maximumExamples }: Pick<Weighting, 'maximumExamples'>,
  clip: number,
): Float32Array {
  checked('examples', examples, { min: 0, integer: true });
  const weight = Math.min(examples, maximumExamples) / maximumExamples;
  const out = new Float32Array(update.length + 1);
  for (let i = 0; i < update.length; i++) out[i] = weight * (update[i] as number);
  out[update.length] = weight * WEIGHT_SHARE * clip;
  return out;
}

/** Clients' total in a weighted sum, as it was opened. Everything in examples, each client's counted up to the maximum. */
export interface WeightTotal {
  /** As decoded, noise included; may be negative. */
  readonly total: number;
  /** Standard deviation of the noise in it. */
  readonly sigma: number;
  /** What the sum is divided by: the total, or the stated minimum where that is more. */
  readonly divisor: number;
}

/** Examples per unit of the weight's coordinate. */
export function examplesPerUnit({ maximumExamples }: Pick<Weighting, 'maximumExamples'>, clip: number): number {
  return maximumExamples / (WEIGHT_SHARE * clip);
}

/**
 * Σ wΔ / Σ w out of the opened sum; post-processing of it. Where the noise is too small to change a whole number of
 * examples, the total is exactly that number.
 * @param weightSum - the sum's last coordinate, decoded
 * @param sigma - standard deviation of the noise of each coordinate, in the update's units
 * @returns the total, and what the rest of the sum is multiplied with
 */
export function openWeight(
  weightSum: number,
  sigma: number,
  weighting: Weighting,
  clip: number,
): { readonly factor: number; readonly weight: WeightTotal } {
  const perUnit = examplesPerUnit(weighting, clip);
  const noise = sigma * perUnit;
  const decoded = weightSum * perUnit;
  const total = CERTAIN * noise < 0.5 ? Math.round(decoded) : decoded;
  const divisor = Math.max(total, weighting.minimumTotal);
  return { factor: weighting.maximumExamples / divisor, weight: { total, sigma: noise, divisor } };
}
