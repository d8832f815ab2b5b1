import type { Rng } from '../core/rng.ts';
import type { NoiseComponent } from './component-noise.ts';
import { addNoise, discreteGaussian, randomWords } from './discrete-gaussian.ts';
import { checked, privacyError } from './errors.ts';
import { FLOAT_SLACK, type MechanismParameters } from './mechanism-parameters.ts';

export {
  committedSigma,
  effectiveNoiseMultiplier,
  type MechanismDemand,
  type MechanismParameters,
  mechanismParameters,
  transportParameters,
} from './mechanism-parameters.ts';

/**
 * A client's clipped sum made private: scaled, rounded by ⌊x + u⌋ with u uniform, discrete Gaussian noise added, reduced
 * modulo 2^b. An empty batch is a vector of zeros with 0 examples, and gets the same noise.
 * @param clippedSum - Σ of the examples' clipped gradients, length `parameters.dimension`
 * @param parameters - from {@link mechanismParameters}
 * @param rng - source of all randomness; systemRng in production
 * @param examples - how many examples the sum is over; its norm may not exceed examples·l2Clip
 * @throws PRIVACY_VECTOR_INVALID for a wrong length, NaN or infinity; PRIVACY_NORM_EXCEEDED; PRIVACY_RING_WRAPS
 */
export function privatise(
  clippedSum: Float32Array | Float64Array,
  parameters: MechanismParameters,
  rng: Rng,
  examples: number,
): Uint32Array {
  checkUpdate(clippedSum, parameters, examples);
  const values = roundDithered(clippedSum, parameters.scale, rng);
  addNoise(discreteGaussian(parameters.localSigma), values, rng);
  return reduced(values, parameters.ringBits);
}

/** Modulo 2^bits, in place. */
function reduced(values: Uint32Array, bits: number): Uint32Array {
  if (bits === 32) return values;
  const mask = 2 ** bits - 1;
  for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) & mask;
  return values;
}

/**
 * The least that any client of any cohort has to add; the session's ladder gives more where fewer may stay.
 * @throws PRIVACY_NOISE_TOO_SMALL
 */
export function checkComponents(components: readonly NoiseComponent[], parameters: MechanismParameters): void {
  const { committedSigma: sigma, cohortMax, colluders } = parameters;
  const variance = components.reduce((sum, c) => sum + c.sigma * c.sigma, 0);
  const least = (sigma * sigma) / (cohortMax - colluders);
  if (variance >= least) return;
  throw privacyError('PRIVACY_NOISE_TOO_SMALL', `noise of variance ${variance} where at least ${least} is promised`, {
    where: 'noise components',
    fix: 'Do not take part; tell the operator. Nothing was sent.',
  });
}

/**
 * The real sum out of the unmasked ring sum: centred in [−2^(b−1), 2^(b−1)), divided by the scale.
 * @throws PRIVACY_VECTOR_INVALID for a wrong length
 */
export function decode(ringSum: Uint32Array, parameters: MechanismParameters): Float64Array {
  if (ringSum.length !== parameters.dimension) throw wrongLength(ringSum.length, parameters.dimension);
  const shift = 32 - parameters.ringBits;
  const out = new Float64Array(ringSum.length);
  for (let i = 0; i < out.length; i++) out[i] = (((ringSum[i] as number) << shift) >> shift) / parameters.scale;
  return out;
}

/**
 * The sum has to be one that `examples` clipped examples can have: the sensitivity rests on it.
 * @throws PRIVACY_VECTOR_INVALID for a wrong length, NaN or infinity; PRIVACY_NORM_EXCEEDED; PRIVACY_RING_WRAPS
 */
export function checkUpdate(sum: Float32Array | Float64Array, parameters: MechanismParameters, examples: number): void {
  checked('examples', examples, { min: 0, integer: true });
  if (sum.length !== parameters.dimension) throw wrongLength(sum.length, parameters.dimension);
  let square = 0;
  let largest = 0;
  for (let i = 0; i < sum.length; i++) {
    const x = sum[i] as number;
    square += x * x;
    if (Math.abs(x) > largest) largest = Math.abs(x);
  }
  if (!Number.isFinite(square)) {
    throw privacyError('PRIVACY_VECTOR_INVALID', 'the sum has NaN or infinite elements', {
      fix: 'Lower the learning rate; training has diverged. Nothing was sent.',
    });
  }
  if (Math.sqrt(square) > examples * parameters.l2Clip * (1 + FLOAT_SLACK)) {
    throw privacyError(
      'PRIVACY_NORM_EXCEEDED',
      `the sum is longer than ${examples} examples clipped to ${parameters.l2Clip} can be`,
      {
        fix: 'The engine did not clip; do not use it. Nothing was sent.',
      },
    );
  }
  if (largest > parameters.elementLimit) {
    throw privacyError(
      'PRIVACY_RING_WRAPS',
      `an element is ${largest}, above ${parameters.elementLimit}, and could leave the ring`,
      {
        fix: 'Use fewer examples a round or a ring with more bits. Nothing was sent.',
      },
    );
  }
}

/** ⌊x·s + u⌋ modulo 2^32, u uniform on multiples of 2^-32 plus half of one. */
function roundDithered(sum: Float32Array | Float64Array, scale: number, rng: Rng): Uint32Array {
  const out = new Uint32Array(sum.length);
  const batch = 16_384;
  for (let start = 0; start < sum.length; start += batch) {
    const end = Math.min(sum.length, start + batch);
    const words = randomWords(rng, end - start);
    for (let i = start; i < end; i++) {
      const u = ((words[i - start] as number) + 0.5) * 2 ** -32;
      out[i] = Math.floor((sum[i] as number) * scale + u);
    }
  }
  return out;
}

function wrongLength(length: number, dimension: number): Error {
  return privacyError('PRIVACY_VECTOR_INVALID', `the vector has ${length} elements, the mechanism is for ${dimension}`);
}
