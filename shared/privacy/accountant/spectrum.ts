import { forwardPair, inversePair, transformError } from './fourier.ts';
import type { TiltedStep } from './narrow.ts';

/** Bounds on the error of the tilted masses: of every single one, and of their Euclidean norm. */
export interface Noise {
  readonly each: number;
  readonly norm: number;
}

/** Rounding unit of a double. */
const U = 2 ** -53;
/** Atoms on either side of zero loss that are kept out of the transform where they hold most of the mass. */
const CORE = 8;

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
  /** Σ c_m over both signs: the error of the core is at most 64u·|z − 1| times this. */
  readonly coreSlope: number;
}

/**
 * The totals of both directions (each a list of tilted steps) on a circle of `size` atoms, interleaved, with bounds on
 * their errors.
 */
export function convolve(
  pair: readonly [readonly TiltedStep[], readonly TiltedStep[]],
  size: number,
): { values: Float64Array; noise: [Noise, Noise] } {
  const factors: [Factor[], Factor[]] = [[], []];
  for (let i = 0; i < pair[0].length; i++) {
    const steps = [pair[0][i] as TiltedStep, pair[1][i] as TiltedStep] as const;
    const cores = steps.map(coreOf);
    const circle = new Float64Array(2 * size);
    const weight = steps.reduce((sum, step, part) => sum + wrap(circle, part, size, step, cores[part]), 0);
    const spectra = forwardPair(circle, size);
    // Both vectors share a transform, so each one's error is in proportion to the sum of the pair; φ(0) is exact.
    const error = 2 * transformError(size) * weight;
    for (const part of [0, 1] as const) {
      const values = part === 0 ? spectra.first : spectra.second;
      const { count } = steps[part];
      factors[part].push({ values, count, error, coreSlope: lessOne(values, size, cores[part]) });
    }
  }
  const [a, b] = factors.map((list) => powers(list, size)) as [Powers, Powers];
  const values = inversePair({ first: a.values, second: b.values }, size);
  // The inverse transform is shared too.
  const each = transformError(size) * (a.mean + b.mean);
  const norm = transformError(size) * (a.norm + b.norm);
  const noise = [a, b].map((p) => ({ each: p.noise.each + each, norm: p.noise.norm + norm })) as [Noise, Noise];
  return { values, noise };
}

/** Tail sums of the core's masses away from zero, for both signs: c_m = Σ_{k > m} p_{±k}. */
interface Core {
  readonly up: Float64Array;
  readonly down: Float64Array;
}

/** The core of a step distribution; undefined when it holds less than half of the mass. */
function coreOf({ low, masses }: TiltedStep): Core | undefined {
  const at = (index: number): number => masses[index - low] ?? 0;
  const up = new Float64Array(CORE);
  const down = new Float64Array(CORE);
  let mass = at(0);
  for (let m = CORE - 1; m >= 0; m--) {
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
function wrap(circle: Float64Array, part: number, size: number, step: TiltedStep, core: Core | undefined): number {
  let at = ((step.low % size) + size) % size;
  let index = step.low;
  let sum = 0;
  for (const mass of step.masses) {
    if (core === undefined || index < -CORE || index > CORE) {
      circle[2 * at + part] = (circle[2 * at + part] as number) + mass;
      sum += mass;
    }
    index++;
    at = at + 1 === size ? 0 : at + 1;
  }
  return sum;
}

/** Turns the spectrum of the rest into that of the whole less 1, in place. @returns Σ c_m */
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
    for (let m = CORE - 1; m >= 0; m--) {
      [upRe, upIm] = [upRe * re - upIm * im + (up[m] as number), upRe * im + upIm * re];
      [downRe, downIm] = [downRe * re - downIm * im + (down[m] as number), downRe * im + downIm * re];
    }
    // (z − 1)·up, and the conjugate of (z − 1)·down.
    const nearRe = -2 * Math.sin(omega / 2) ** 2;
    values[2 * k] = (values[2 * k] as number) + nearRe * (upRe + downRe) - im * (upIm + downIm);
    values[2 * k + 1] = (values[2 * k + 1] as number) + nearRe * (upIm - downIm) + im * (upRe - downRe);
  }
  return up.reduce((sum, c) => sum + c, 0) + down.reduce((sum, c) => sum + c, 0);
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
    const logSquare = rise > -0.5 ? Math.log1p(rise) : Math.log((1 + re) * (1 + re) + im * im);
    const turned = Math.atan2(im, 1 + re);
    const modulus = Math.exp(logSquare / 2);
    // 8u: forming rise, the logarithm, the angle and their multiples.
    const off = error + 64 * U * turn * coreSlope + 8 * U * (Math.abs(re) + Math.abs(im) + Math.abs(turned));
    log += (count * logSquare) / 2;
    logBound +=
      modulus > 1e4 * off ? (count * logSquare) / 2 + (count * off) / modulus : count * Math.log(modulus + off);
    if (logBound < LOG_NOTHING) return undefined;
    angle += count * turned;
    slope += (count * off) / (modulus + off);
  }
  const modulus = Math.exp(log);
  out[2 * k] = modulus * Math.cos(angle);
  out[2 * k + 1] = modulus * Math.sin(angle);
  const bound = Math.exp(logBound);
  return { bound, off: bound * Math.min(slope + (4 - Math.max(log, -100)) * U, 1 + U) };
}
