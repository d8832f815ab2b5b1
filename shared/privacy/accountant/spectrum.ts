import { forwardReal, inverseReal, transformError } from './fourier.ts';
import type { TiltedStep } from './narrow.ts';

/** Bounds on the error of the tilted masses: of every single one, and of their Euclidean norm. */
export interface Noise {
  readonly each: number;
  readonly norm: number;
}

/** Rounding unit of a double. */
const U = 2 ** -53;
/** Most and fewest atoms on either side of zero loss that are kept out of the transform where they hold most of the mass. */
const WIDEST_CORE = 64;
const LEAST_CORE = 8;
/** Terms of all cores' polynomials that are worth their time. */
const CORE_TERMS = 2 ** 23;

/**
 * A step distribution's spectrum less 1, and a bound on its error at each frequency. Where most of the mass lies in the
 * few atoms around zero loss (a small sampling probability), these are summed as Σ p_k(z^k − 1) = (z − 1)·Σ c_m z^m,
 * whose error falls with the frequency, and only the light rest goes through the transform: the error of a composition
 * of T releases is then T times that of the rest, not of the whole.
 */
interface Factor {
  /** φ − 1 at frequencies 0…N/2, interleaved. */
  readonly values: Float64Array;
  readonly count: number;
  /** Error of the transformed part, at any frequency. */
  readonly error: number;
  /** Σ 8(m + 2)·c_m over both signs: the core is off by at most u·|z − 1| times this (Horner: 2m operations on each c_m). */
  readonly coreSlope: number;
}

/** The total of a list of tilted steps on a circle of `size` atoms, with bounds on its errors. */
export function convolve(steps: readonly TiltedStep[], size: number): { values: Float64Array; noise: Noise } {
  const factors = steps.map((step): Factor => {
    const core = coreOf(step, Math.min(WIDEST_CORE, Math.max(LEAST_CORE, Math.floor(CORE_TERMS / size))));
    const circle = new Float64Array(size);
    // The error is in proportion to what goes through the transform; φ(0) is exact.
    const error = 2 * transformError(size) * wrap(circle, step, core);
    const values = forwardReal(circle);
    return { values, count: step.count, error, coreSlope: lessOne(values, size, core) };
  });
  const { values, mean, norm, noise } = powers(factors, size);
  const each = noise.each + transformError(size) * mean;
  return { values: inverseReal(values), noise: { each, norm: noise.norm + transformError(size) * norm } };
}

/** Tail sums of the core's masses away from zero, for both signs: c_m = Σ_{k > m} p_{±k}. */
interface Core {
  readonly up: Float64Array;
  readonly down: Float64Array;
}

/** The core of a step distribution; undefined when it holds less than half of the mass. */
function coreOf({ low, masses }: TiltedStep, width: number): Core | undefined {
  const at = (index: number): number => masses[index - low] ?? 0;
  const up = new Float64Array(width);
  const down = new Float64Array(width);
  let mass = at(0);
  for (let m = width - 1; m >= 0; m--) {
    mass += at(m + 1) + at(-m - 1);
    up[m] = (up[m + 1] ?? 0) + at(m + 1);
    down[m] = (down[m + 1] ?? 0) + at(-m - 1);
  }
  return mass > 0.5 ? { up, down } : undefined;
}

/**
 * Adds a step distribution, less its core, onto the circle; folding it is what circular convolution does anyway.
 * @returns what was added
 */
function wrap(circle: Float64Array, { low, masses }: TiltedStep, core: Core | undefined): number {
  const size = circle.length;
  const width = core?.up.length ?? -1;
  let at = ((low % size) + size) % size;
  let sum = 0;
  for (let k = 0; k < masses.length; k++) {
    const mass = masses[k] as number;
    if (low + k < -width || low + k > width || core === undefined) {
      circle[at] = (circle[at] as number) + mass;
      sum += mass;
    }
    at = at + 1 === size ? 0 : at + 1;
  }
  return sum;
}

/** Turns the spectrum of the rest into that of the whole less 1, in place. @returns the core's slope */
function lessOne(values: Float64Array, size: number, core: Core | undefined): number {
  const total = values[0] as number;
  for (let k = 0; k <= size / 2; k++) values[2 * k] = (values[2 * k] as number) - total;
  if (core === undefined) return 0;
  const { up, down } = core;
  for (let k = 0; k <= size / 2; k++) {
    const omega = (-2 * Math.PI * k) / size;
    const re = Math.cos(omega);
    const im = Math.sin(omega);
    let [upRe, upIm, downRe, downIm] = [0, 0, 0, 0];
    for (let m = up.length - 1; m >= 0; m--) {
      const upTurned = upRe * re - upIm * im;
      upIm = upRe * im + upIm * re;
      upRe = upTurned + (up[m] as number);
      const downTurned = downRe * re - downIm * im;
      downIm = downRe * im + downIm * re;
      downRe = downTurned + (down[m] as number);
    }
    // (z − 1)·up, and the conjugate of (z − 1)·down.
    const nearRe = -2 * Math.sin(omega / 2) ** 2;
    values[2 * k] = (values[2 * k] as number) + nearRe * (upRe + downRe) - im * (upIm + downIm);
    values[2 * k + 1] = (values[2 * k + 1] as number) + nearRe * (upIm - downIm) + im * (upRe - downRe);
  }
  return up.reduce((sum, c, m) => sum + 8 * (m + 2) * (c + (down[m] as number)), 0);
}

interface Powers {
  readonly values: Float64Array;
  /** Mean modulus over the frequencies, which bounds every atom. */
  readonly mean: number;
  /** Euclidean norm of the total's atoms. */
  readonly norm: number;
  readonly noise: Noise;
}

/**
 * Π φ_i^{n_i} at every frequency, and bounds on the error that rounding up to here leaves after the inverse transform: φ_i
 * is off by at most e_i, so the product by at most Π(|φ_i| + e_i)^{n_i}·Σ n_i e_i/(|φ_i| + e_i). Their mean over the
 * frequencies bounds every atom, their root mean square over √N the Euclidean norm (Parseval).
 */
function powers(factors: readonly Factor[], size: number): Powers {
  const values = new Float64Array(size + 2);
  let [error, square, magnitude, energy, dropped] = [0, 0, 0, 0, 0];
  for (let k = 0; k <= size / 2; k++) {
    const weight = k === 0 || k === size / 2 ? 1 : 2;
    const result = power(values, k, factors, size);
    if (result === undefined) {
      dropped += weight;
      continue;
    }
    const { bound, off } = result;
    magnitude += weight * bound;
    energy += weight * bound * bound;
    error += weight * off;
    square += weight * off * off;
  }
  return {
    values,
    mean: magnitude / size + 1e-40,
    norm: Math.sqrt(energy / size) + 1e-40,
    noise: { each: (error + dropped * 1e-39) / size, norm: Math.sqrt(square / size) + 1e-39 },
  };
}

/** ln of a modulus below which a frequency cannot matter anywhere: it is dropped and counted as error. */
const LOG_NOTHING = Math.log(1e-40);

/** Writes one frequency's product. @returns a bound on its modulus and on its error; undefined when it was dropped */
function power(out: Float64Array, k: number, factors: readonly Factor[], size: number) {
  const turn = 2 * Math.sin((Math.PI * k) / size);
  let [log, logBound, angle, slope] = [0, 0, 0, 0];
  for (const { values, count, error, coreSlope } of factors) {
    const re = values[2 * k] as number;
    const im = values[2 * k + 1] as number;
    const rise = 2 * re + re * re + im * im;
    // Near 1 the logarithm of |φ|² is that of 1 + rise, else that of φ itself.
    const square = (1 + re) * (1 + re) + im * im;
    const logSquare = rise > -0.5 ? Math.log1p(rise) : Math.log(square);
    const modulus = Math.sqrt(square);
    // 8u: forming rise, the logarithm, the angle (at most 4) and their multiples.
    const widest = error + U * turn * coreSlope + 8 * U * (Math.abs(re) + Math.abs(im));
    const most = widest + 32 * U;
    log += (count * logSquare) / 2;
    logBound +=
      modulus > 1e4 * most ? (count * logSquare) / 2 + (count * most) / modulus : count * Math.log(modulus + most);
    if (logBound < LOG_NOTHING) return undefined;
    const turned = Math.atan2(im, 1 + re);
    angle += count * turned;
    slope += (count * (widest + 8 * U * Math.abs(turned))) / (modulus + most);
  }
  const modulus = Math.exp(log);
  out[2 * k] = modulus * Math.cos(angle);
  out[2 * k + 1] = modulus * Math.sin(angle);
  const bound = Math.exp(logBound);
  return { bound, off: bound * Math.min(slope + (4 - Math.max(log, -100)) * U, 1 + U) };
}
