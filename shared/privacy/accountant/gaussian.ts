import { logDensity, logUpperTail, millsRatio, upperTail } from './normal.ts';
import { leastAtMost } from './search.ts';

/**
 * ln δ(ε) of the Gaussian mechanism with sensitivity/σ = `mu`: δ = Φc(a) − e^ε Φc(a + μ), a = ε/μ − μ/2
 * (Balle & Wang, ICML 2018, Theorem 8). As e^ε φ(a + μ) = φ(a), it is φ(a)·(R(a) − R(a + μ)) with the Mills ratio R:
 * no cancellation of exponentials, no underflow.
 * @param mu - sensitivity over noise standard deviation, > 0
 * @param epsilon - any real number
 */
export function logGaussianDelta(mu: number, epsilon: number): number {
  const a = epsilon / mu - mu / 2;
  if (a >= 0) return logDensity(a) + Math.log(millsRatio(a) - millsRatio(a + mu));
  const tail = epsilon + logUpperTail(a + mu);
  return Math.log(Math.max(upperTail(a) - Math.exp(tail), Number.MIN_VALUE));
}

/** δ(ε) of the Gaussian mechanism; see {@link logGaussianDelta}. */
export function gaussianDelta(mu: number, epsilon: number): number {
  return Math.exp(logGaussianDelta(mu, epsilon));
}

/** Least ε ≥ 0 with δ(ε) ≤ `delta` for the Gaussian mechanism, rounded up in its last digits. */
export function gaussianEpsilon(mu: number, delta: number): number {
  const target = Math.log(delta);
  // The classical bound μ²/2 + μ√(2 ln(1/δ)) holds for every Gaussian, so it brackets the answer.
  const above = mu * (mu / 2 + Math.sqrt(-2 * target)) + Number.MIN_VALUE;
  return leastAtMost((epsilon) => logGaussianDelta(mu, epsilon), target, 0, above);
}

/**
 * Exact δ(ε) of one Poisson-subsampled Gaussian release, the worse of adding and removing a unit.
 * Removing: δ(ε) = q·δ_G(ε'), with ε' = ln(1 + (e^ε − 1)/q). Adding, for ε < −ln(1 − q): with x where the loss is ε,
 * δ = q e^ε (e^l Φ(x/σ) − Φ((x − 1)/σ)), l = (2x − 1)/(2σ²) = ln(1 − (1 − e^{−ε})/q), which is q e^{ε+l} δ_G(−l).
 * @param sigma - noise multiplier
 * @param q - sampling probability, in (0, 1]
 */
export function sampledGaussianDelta(sigma: number, q: number, epsilon: number): number {
  const removing = q * gaussianDelta(1 / sigma, Math.log1p(Math.expm1(epsilon) / q));
  const kept = Math.expm1(-epsilon) / q;
  if (kept <= -1) return removing;
  const loss = Math.log1p(kept);
  return Math.max(removing, q * Math.exp(epsilon + loss) * gaussianDelta(1 / sigma, -loss));
}

/** Least ε ≥ 0 with δ(ε) ≤ `delta` for one Poisson-subsampled Gaussian release. */
export function sampledGaussianEpsilon(sigma: number, q: number, delta: number): number {
  // Sampling never costs privacy, so the unsampled Gaussian brackets the answer.
  const above = gaussianEpsilon(1 / sigma, delta);
  return leastAtMost((epsilon) => sampledGaussianDelta(sigma, q, epsilon), delta, 0, above);
}
