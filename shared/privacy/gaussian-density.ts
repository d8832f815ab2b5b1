/** Fixed-point bits of everything here. */
export const FRACTION_BITS = 256n;
export const ONE = 1n << FRACTION_BITS;

/** ρ(x) = e^{−x²/(2σ²)} of the exact value of the double σ, in fixed point: the relative error of what is not below 2^-128 is below 2^-110. */
export class GaussianDensity {
  readonly #inverseVariance: bigint;

  /** @param sigma - in [0.01, 1e8] */
  constructor(sigma: number) {
    // σ = numerator/2^60 exactly for σ ≥ 0.01: 52 bits below a leading bit of at least 2^-7.
    const whole = Math.floor(sigma);
    const numerator = BigInt(whole) * (1n << 60n) + BigInt((sigma - whole) * 2 ** 60);
    this.#inverseVariance = (1n << (120n + FRACTION_BITS)) / (numerator * numerator);
  }

  /** e^{−square/(2σ²)}. */
  at(square: bigint): bigint {
    return expNegative((square * this.#inverseVariance) >> 1n);
  }

  /** ρ(start), ρ(start + stride), …: `count` of them, start and stride not below 0. */
  along(start: number, stride: number, count: number): bigint[] {
    const [x, w] = [BigInt(start), BigInt(stride)];
    // ρ(x + w) = ρ(x)·e^{−(2xw + w²)/2σ²}, whose second factor falls by e^{−w²/σ²} each time.
    let density = this.at(x * x);
    let factor = this.at(2n * x * w + w * w);
    const drop = this.at(2n * w * w);
    const densities: bigint[] = [];
    for (let i = 0; i < count; i++) {
      densities.push(density);
      density = (density * factor) >> FRACTION_BITS;
      factor = (factor * drop) >> FRACTION_BITS;
    }
    return densities;
  }
}

/** e^{−x} in fixed point for x ≥ 0: Taylor series of x/2^k < 2^-8, squared k times with 64 guard bits. */
function expNegative(x: bigint): bigint {
  const bits = FRACTION_BITS + 64n;
  const one = 1n << bits;
  let reduced = x << 64n;
  let squarings = 0;
  while (reduced > one >> 8n) {
    reduced >>= 1n;
    squarings++;
  }
  let term = one;
  let sum = one;
  for (let n = 1n; term !== 0n; n++) {
    term = -((term * reduced) >> bits) / n;
    sum += term;
  }
  for (; squarings > 0; squarings--) sum = (sum * sum) >> bits;
  return sum >> 64n;
}
