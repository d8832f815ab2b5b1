import { checked } from '../errors.ts';
import { type PrivacyEvent, type Release, releasesOf } from '../events.ts';

/** Rényi orders that are tried when none are given: those of dp_accounting. */
export const DEFAULT_ORDERS: readonly number[] = [
  ...Array.from({ length: 99 }, (_, i) => (11 + i) / 10),
  ...Array.from({ length: 53 }, (_, i) => 11 + i),
  128,
  256,
  512,
  1024,
];

/**
 * Rényi divergence ρ(α) of the events together, per order, for adding or removing one unit.
 * Poisson-subsampled Gaussian: Mironov, Talwar, Zhang 2019 ("Rényi DP of the sampled Gaussian mechanism"), where
 * D_α(P‖Q) ≥ D_α(Q‖P), so that one direction is enough.
 * @param orders - each in (1, 1e5]
 */
export function rdpOf(events: readonly PrivacyEvent[], orders: readonly number[] = DEFAULT_ORDERS): number[] {
  for (const order of orders) checked('order', order, { moreThan: 1, max: 1e5 });
  const releases = releasesOf(events);
  return orders.map((order) => releases.reduce((sum, release) => sum + release.count * stepRdp(release, order), 0));
}

/**
 * Least ε over the orders: ε = ρ(α) + ln((α − 1)/α) − (ln δ + ln α)/(α − 1), and 0 where δ² + e^{−ρ} − 1 > 0
 * (Canonne, Kamath, Steinke 2020, Proposition 12; total variation by Bretagnolle–Huber).
 * @returns ε and the order that gives it
 */
export function rdpEpsilon(
  events: readonly PrivacyEvent[],
  delta: number,
  orders: readonly number[] = DEFAULT_ORDERS,
): { epsilon: number; order: number } {
  checked('delta', delta, { moreThan: 0, lessThan: 1 });
  const divergences = rdpOf(events, orders);
  let best = { epsilon: Number.POSITIVE_INFINITY, order: orders[0] as number };
  for (const [i, order] of orders.entries()) {
    const epsilon = convert(divergences[i] as number, order, delta);
    if (epsilon < best.epsilon) best = { epsilon, order };
  }
  return best;
}

/** ε of one (α, ρ) pair; see {@link rdpEpsilon}. */
export function convert(rho: number, order: number, delta: number): number {
  if (delta * delta + Math.expm1(-rho) > 0) return 0;
  return Math.max(0, rho + Math.log1p(-1 / order) - (Math.log(delta) + Math.log(order)) / (order - 1));
}

function stepRdp({ noiseMultiplier: sigma, samplingProbability: q }: Release, order: number): number {
  if (q === 1) return order / (2 * sigma * sigma);
  return logMomentOfOrder(sigma, q, order) / (order - 1);
}

/** Integration reaches this many standard deviations past the outermost peak; what is left is below e^{−90}. */
const REACH = 13.5;

/**
 * ln E_{x∼N(0,σ²)}[(1 − q + q·e^{(2x − 1)/(2σ²)})^α], for any real α > 1.
 *
 * The textbook binomial series at fractional orders has alternating signs and cancels; the integrand is positive and
 * analytic on the line, where the trapezoid rule converges exponentially (Trefethen & Weideman 2014), so it is simply
 * integrated, as E[f^α − 1 − α(f − 1)] (the subtracted part has mean 0), which keeps relative accuracy for tiny results.
 */
function logMomentOfOrder(sigma: number, q: number, order: number): number {
  // In units of σ: mass sits near z = 0 and near z = α/σ, where e^{α l} moves it.
  const step = stepFor(sigma, q);
  const first = -Math.ceil(REACH / step);
  const last = Math.ceil((REACH + order / sigma) / step);
  const logs = new Float64Array(last - first + 1);
  let top = Number.NEGATIVE_INFINITY;
  for (let k = first; k <= last; k++) {
    const log = order * logRatio(k * step, sigma, q) - (k * step * (k * step)) / 2;
    logs[k - first] = log;
    if (log > top) top = log;
  }
  const unit = step / Math.sqrt(2 * Math.PI);
  if (top > 1) {
    let sum = 0;
    for (const log of logs) sum += Math.exp(log - top);
    return top + Math.log(sum * unit);
  }
  let sum = 0;
  for (let k = first; k <= last; k++) {
    const z = k * step;
    sum += Math.exp((-z * z) / 2) * excess(logRatio(z, sigma, q), order);
  }
  return Math.log1p(sum * unit);
}

/** ln(1 − q + q·e^l) at x = zσ. */
function logRatio(z: number, sigma: number, q: number): number {
  const l = z / sigma - 1 / (2 * sigma * sigma);
  return l > 30 ? l + Math.log(q) + Math.log1p(((1 - q) / q) * Math.exp(-l)) : Math.log1p(q * Math.expm1(l));
}

/** e^{αL} − 1 − α(e^L − 1), by its series where it would cancel. */
function excess(loss: number, order: number): number {
  if (Math.abs(order * loss) > 0.1) return Math.expm1(order * loss) - order * Math.expm1(loss);
  let power = loss;
  let alpha = order;
  let factorial = 1;
  let sum = 0;
  for (let n = 2; n < 14; n++) {
    power *= loss;
    alpha *= order;
    factorial *= n;
    sum += ((alpha - order) * power) / factorial;
  }
  return sum;
}

/**
 * Step of the trapezoid rule in standard deviations. Its error is e^{−2πa/step}, a the distance of the nearest
 * singularity: ln(1 − q + q·e^l) branches where l = ln((1 − q)/q) ± iπ, i.e. at a = πσ.
 */
function stepFor(sigma: number, q: number): number {
  const distance = q === 1 ? 4 : Math.min(4, Math.PI * sigma);
  return Math.min(0.15, (2 * Math.PI * distance) / 45);
}
