/**
 * Upper tail of the standard normal distribution, accurate to a few units in the last place over the whole line.
 *
 * The Mills ratio R(x) = (1 − Φ(x)) / φ(x) is smooth and needs no exponential, so that tails of 1e-300 keep their
 * relative accuracy and differences of tails can be formed before the exponential is applied.
 */

const LOG_SQRT_2PI = 0.9189385332046728;

/**
 * Chebyshev coefficients of R(x)/t in t = 3/(3 + x) ∈ (0, 1], x ≥ 0, computed with 50 digits; the first one left out
 * is 4e-20.
 */
const MILLS = [
  1.40443941822319, 0.45196519074220587, 0.09205379741460408, 0.00830041323006538, -0.0009667184760677975,
  -0.0002846509257829316, 1.7713442598587366e-5, 9.80247947455724e-6, -8.202083163371064e-7, -3.657352011773623e-7,
  5.785258608550256e-8, 1.2405429618022787e-8, -4.044481105154198e-9, -1.8408950115764033e-10, 2.4223957846591107e-10,
  -2.4009350742855626e-11, -1.045751820168992e-11, 3.206085879780363e-12, 8.103425771364557e-14, -2.224109898917484e-13,
  3.921735225279836e-14, 6.919014245510928e-15, -4.266058420579589e-15, 4.816458160651462e-16, 1.9806451391714196e-16,
  -8.481303130951553e-17, 6.427186356527347e-18, 4.9230727771952935e-18, -1.8361187028586213e-18,
] as const;

/** Mills ratio (1 − Φ(x))/φ(x) for x ≥ 0. */
export function millsRatio(x: number): number {
  const t = 3 / (3 + x);
  const y = 4 * t - 2;
  let b1 = 0;
  let b2 = 0;
  for (let j = MILLS.length - 1; j > 0; j--) {
    const b = y * b1 - b2 + (MILLS[j] as number);
    b2 = b1;
    b1 = b;
  }
  return t * (0.5 * (y * b1 + MILLS[0]) - b2);
}

/** ln φ(x), the log of the standard normal density. */
export function logDensity(x: number): number {
  return -0.5 * x * x - LOG_SQRT_2PI;
}

/** 1 − Φ(x): probability that a standard normal is above x. */
export function upperTail(x: number): number {
  return x >= 0 ? Math.exp(logDensity(x)) * millsRatio(x) : 1 - Math.exp(logDensity(x)) * millsRatio(-x);
}

/** ln(1 − Φ(x)); finite even where the probability itself underflows. */
export function logUpperTail(x: number): number {
  return x >= 0 ? logDensity(x) + Math.log(millsRatio(x)) : Math.log1p(-Math.exp(logDensity(x)) * millsRatio(-x));
}
