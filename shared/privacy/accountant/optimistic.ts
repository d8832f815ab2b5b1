import { type Buckets, type DirectedLosses, inBothDirections } from './step.ts';

/** What rounding may leave below zero at the outermost kinks, whose true mass is 0. */
const ROUNDING = 1e-30;

/**
 * The optimistic counterpart of connect-the-dots: a distribution on the same grid whose hockey-stick curve is nowhere above
 * the mechanism's (Doroshenko et al., PETS 2022, §4: a convex curve with its kinks on the grid, below the true one).
 *
 * In α = e^ε, H(α) = ∫(r − α)₊dQ is convex and connect-the-dots is its chord over each bucket. With U = ∫(r − α_i)dQ and
 * D = ∫(α_{i+1} − r)dQ over bucket i of length Δ, the chord lies above H by at most UD/(U + D) (all of the bucket's mass at
 * its mean, by concavity of (r − α_i)(α_{i+1} − r)), and also by at most D·(α − α_i)/Δ and U·(α_{i+1} − α)/Δ. So the chords of
 * H(α_i) − e_i lie below H when e_i and e_{i+1} are both at least UD/(U + D), or e_{i+1} ≥ D, or e_i ≥ U. The first is the
 * closest; the others are taken in the outermost tails, where the first would put the curve below the two lines
 * 1 − α and 0 that end it. What is left concave is bridged by chords, which lie lower still. Both total masses stay 1,
 * so the mirror image is optimistic for the other direction.
 * @returns undefined where a bucket holds so much that only the trivial curve is left
 */
export function optimistic({ interval, low, up, down }: Buckets): DirectedLosses | undefined {
  const lowered = loweringOf({ interval, low, up, down });
  if (lowered === undefined) return undefined;
  const e = (k: number): number => lowered[k] ?? 0;
  const step = Math.exp(interval);
  // The kink of the lowered curve at each grid point, in P-mass.
  const masses = new Float64Array(up.length + 1);
  for (let k = 0; k < masses.length; k++)
    masses[k] = (down[k] ?? 0) + (up[k - 1] ?? 0) - e(k + 1) + e(k) * (1 + step) - e(k - 1) * step;
  if (!bridge(masses, interval)) return undefined;
  return inBothDirections(interval, low, masses, 0);
}

/** e_i·e^{ε_i}/Δ_i at every grid point. */
function loweringOf({ interval, up, down }: Buckets): Float64Array | undefined {
  const shrink = Math.exp(-interval);
  const count = up.length;
  // (H(α_i) − (1 − α_i)) and H(α_i) in the same units: what e_i may not exceed.
  const aboveLine = new Float64Array(count + 1);
  const aboveZero = new Float64Array(count + 1);
  for (let k = 0, inside = 0; k < count; k++) {
    aboveLine[k + 1] = (aboveLine[k] as number) + inside + (down[k] as number);
    inside = (inside + (up[k] as number) * shrink + (down[k] as number)) / shrink;
  }
  for (let k = count - 1, inside = 0; k >= 0; k--) {
    aboveZero[k] = (aboveZero[k + 1] as number) + inside * shrink + (up[k] as number) * shrink;
    inside = inside * shrink + (up[k] as number) * shrink + (down[k] as number);
  }
  const lowered = new Float64Array(count + 1);
  const raise = (k: number, by: number): void => {
    if (by > (lowered[k] as number)) lowered[k] = by;
  };
  for (let k = 0; k < count; k++) {
    const u = (up[k] as number) * shrink;
    const d = down[k] as number;
    const both = u > 0 && d > 0 ? u / (1 + u / d) : 0;
    if (both <= (aboveLine[k] as number) && both <= (aboveZero[k + 1] as number)) {
      raise(k, both);
      raise(k + 1, both);
    } else if (d <= (aboveZero[k + 1] as number)) raise(k + 1, d);
    else if (u <= (aboveLine[k] as number)) raise(k, u);
    else return undefined;
  }
  return lowered;
}

/**
 * Replaces every negative kink by the chord over it (the lower convex hull): its mass goes to the two neighbours that
 * are left, so that P- and Q-mass are kept.
 * @returns false when more than rounding is left below zero
 */
function bridge(masses: Float64Array, interval: number): boolean {
  const kept: number[] = [];
  const at = (k: number): number => masses[k] as number;
  for (let k = 0; k < masses.length; k++) {
    if (at(k) === 0) continue;
    kept.push(k);
    while (kept.length > 2 && at(kept[kept.length - 2] as number) < 0) {
      const [left, middle, right] = kept.splice(-3) as [number, number, number];
      const whole = Math.expm1((right - left) * interval);
      const mass = at(middle);
      masses[left] = at(left) + (mass * Math.expm1((right - middle) * interval)) / whole;
      masses[right] =
        at(right) + (mass * Math.exp((right - middle) * interval) * Math.expm1((middle - left) * interval)) / whole;
      masses[middle] = 0;
      kept.push(left, right);
    }
  }
  const negative = kept.filter((k) => at(k) < 0);
  if (negative.some((k) => at(k) < -ROUNDING)) return false;
  for (const k of negative) masses[k] = 0;
  return true;
}
