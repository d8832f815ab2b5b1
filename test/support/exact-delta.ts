import { gaussianDelta } from '../../shared/privacy/accountant/gaussian.ts';

export type UnitIs = 'removing' | 'adding';

/** A Poisson-sampled Gaussian release. */
interface Sampled {
  readonly sigma: number;
  readonly q: number;
}

/** δ(ε) of one release for any real ε, from the Gaussian's closed form (Balle & Wang 2018) at the x where the loss is ε. */
export function exactDelta(direction: UnitIs, { sigma, q }: Sampled, epsilon: number): number {
  const kept = Math.expm1(direction === 'removing' ? epsilon : -epsilon) / q;
  const trivial = direction === 'removing' ? -Math.expm1(epsilon) : 0;
  if (kept <= -1) return trivial;
  const loss = Math.log1p(kept);
  const gaussian = gaussianDelta(1 / sigma, direction === 'removing' ? loss : -loss);
  return direction === 'removing' ? q * gaussian : q * Math.exp(epsilon + loss) * gaussian;
}

/**
 * δ(ε) of two equal releases: ∫ p(x)·δ₁(ε − loss(x)) dx with no grid of losses. δ₁ turns sharply where the loss left to it is
 * ln(1 − q) (−ln(1 − q) when adding), so both sides of that x are integrated by the trapezoid rule in the logarithm of the distance.
 */
export function exactDeltaOfTwo(direction: UnitIs, release: Sampled, epsilon: number): number {
  const { sigma, q } = release;
  const removing = direction === 'removing';
  const integrand = (x: number): number => {
    const base = Math.exp((-x * x) / (2 * sigma * sigma));
    const loss = Math.log1p(q * Math.expm1((2 * x - 1) / (2 * sigma * sigma)));
    const density = removing ? base + q * (Math.exp((-(x - 1) * (x - 1)) / (2 * sigma * sigma)) - base) : base;
    return density * exactDelta(direction, release, removing ? epsilon - loss : epsilon + loss);
  };
  const turn = removing ? epsilon - Math.log1p(-q) : -Math.log1p(-q) - epsilon;
  const gain = Math.expm1(turn) / q;
  const middle = gain > -1 ? sigma * sigma * Math.log1p(gain) + 0.5 : 0.5;
  const reach = Math.log(Math.abs(middle) + 1 + 13 * sigma);
  const step = (reach + 32) / 4000;
  let sum = 0;
  for (let i = 0; i <= 4000; i++) {
    const away = Math.exp(-32 + i * step);
    sum += away * (integrand(middle + away) + integrand(middle - away));
  }
  return (sum * step) / (sigma * Math.sqrt(2 * Math.PI));
}
