import type { Rng } from '../core/rng.ts';
import { type Extent, extentOf } from '../kernels/extent.ts';
import type { NoiseComponent } from './component-noise.ts';
import { addNoise, discreteGaussian, randomWords } from './discrete-gaussian.ts';
import { checked, privacyError } from './errors.ts';
import type { MechanismParameters } from './mechanism-parameters.ts';
import { blockAt, rotationBlocks } from './rotation-blocks.ts';
import { FLOAT_SLACK } from './rounded-noise.ts';

export type { MechanismDemand } from './mechanism-demand.ts';
export {
  committedSigma,
  effectiveNoiseMultiplier,
  type MechanismParameters,
  mechanismParameters,
  transportParameters,
} from './mechanism-parameters.ts';

/**
 * A client's clipped sum made private where it stays: scaled, rounded by ⌊x + u⌋ with u uniform, discrete Gaussian noise added,
 * reduced modulo 2^32. An empty batch is a vector of zeros with 0 examples, and gets the same noise. What travels is made by
 * `noisedStream`.
 * @param clippedSum - Σ of the examples' clipped gradients, length `parameters.dimension`
 * @param parameters - from {@link mechanismParameters}, of a ring of 32 bits
 * @param rng - source of all randomness; systemRng in production
 * @param examples - how many examples the sum is over; its norm may not exceed examples·l2Clip
 * @throws PRIVACY_VECTOR_INVALID for a wrong length, NaN or infinity; PRIVACY_NORM_EXCEEDED; PRIVACY_RING_WRAPS
 */
export function privatise(
  clippedSum: Float32Array,
  parameters: MechanismParameters,
  rng: Rng,
  examples: number,
): Uint32Array {
  checkUpdate(clippedSum, parameters, examples);
  const values = roundDithered(clippedSum, parameters.scale, rng);
  addNoise(discreteGaussian(parameters.localSigma), values, rng);
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
 * The real vector out of what {@link privatise} made: centred in [−2^31, 2^31), divided by the scale. Sums that travelled are
 * opened by `decodePieces`.
 * @throws PRIVACY_VECTOR_INVALID for a wrong length
 */
export function decode(values: Uint32Array, { dimension, scale }: MechanismParameters): Float64Array {
  if (values.length !== dimension) throw wrongLength(values.length, dimension);
  return Float64Array.from(values, (x) => (x | 0) / scale);
}

/**
 * The sum has to be one that `examples` clipped examples can have: the sensitivity rests on it.
 * @throws PRIVACY_VECTOR_INVALID for a wrong length, NaN or infinity; PRIVACY_NORM_EXCEEDED; PRIVACY_RING_WRAPS
 */
export function checkUpdate(sum: Float32Array, parameters: MechanismParameters, examples: number): void {
  checked('examples', examples, { min: 0, integer: true });
  if (sum.length !== parameters.dimension) throw wrongLength(sum.length, parameters.dimension);
  const { square, largest } = extent(sum, parameters);
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
  if (largest > parameters.blockLimit) {
    const what = parameters.blockLength === 1 ? 'an element' : 'the length of a block';
    throw privacyError(
      'PRIVACY_RING_WRAPS',
      `${what} is ${largest}, above ${parameters.blockLimit}, and the sum could leave the ring`,
      {
        fix: 'Use fewer examples a round or a ring with more bits. Nothing was sent.',
      },
    );
  }
}

/** ‖sum‖², and the largest L2 norm of a block: of an element, where nothing is rotated. */
function extent(sum: Float32Array, { dimension, blockLength }: MechanismParameters): Extent {
  if (blockLength === 1) return extentOf(sum);
  let square = 0;
  let largest = 0;
  const blocks = rotationBlocks(dimension);
  for (let k = 0; k < blocks.count; k++) {
    const block = extentOf(sum.subarray(...blockAt(blocks, dimension, k)));
    square += block.square;
    largest = Math.max(largest, Math.sqrt(block.square));
  }
  return { square, largest };
}

/** ⌊x·s + u⌋ modulo 2^32, u uniform on multiples of 2^-32 plus half of one. */
function roundDithered(sum: Float32Array, scale: number, rng: Rng): Uint32Array {
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
