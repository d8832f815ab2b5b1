import { checked } from '../errors.ts';
import { leastAtMost } from './search.ts';

/**
 * ε of ρ-zero-concentrated differential privacy at δ: the least over α > 1 of
 * αρ + ln((α − 1)/α) − (ln δ + ln α)/(α − 1) (Canonne, Kamath, Steinke 2020, Prop. 12; Balle et al. 2020).
 * A Gaussian release has ρ = 1/(2·noiseMultiplier²); ρ adds up over releases, chosen adaptively or not.
 * @param rho - in (0, 1e6]
 * @param delta - in (0, 1)
 */
export function zcdpEpsilon(rho: number, delta: number): number {
  checked('rho', rho, { moreThan: 0, max: 1e6 });
  checked('delta', delta, { moreThan: 0, lessThan: 1 });
  const epsilonAt = (t: number): number =>
    (1 + t) * rho + Math.log(t / (1 + t)) - (Math.log(delta) + Math.log1p(t)) / t;
  // With t = α − 1 the derivative is ρ + (ln δ + ln(1 + t))/t², negative, then positive: its zero is the minimum.
  const logT = leastAtMost(
    (x) => -Math.exp(2 * x) * rho - Math.log1p(Math.exp(x)),
    Math.log(delta),
    Math.log(1e-12),
    Math.log(1e12),
  );
  return Math.max(0, epsilonAt(Math.exp(logT)));
}

/** ρ of a sum of Gaussian releases. @param noiseMultipliers - one for each release */
export function gaussianRho(noiseMultiplier: number, count: number): number {
  checked('noiseMultiplier', noiseMultiplier, { moreThan: 0 });
  checked('count', count, { min: 0, integer: true });
  return count / (2 * noiseMultiplier * noiseMultiplier);
}
