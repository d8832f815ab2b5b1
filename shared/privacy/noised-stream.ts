import { type Keystream, keystream, littleEndianWords } from '../core/keystream.ts';
import type { Rng } from '../core/rng.ts';
import { CHUNK_WORDS, type ChunkSpace } from '../kernels/chunk-space.ts';
import { type ComponentSource, componentSource, type NoiseComponent } from './component-noise.ts';
import { privacyError } from './errors.ts';
import { checkComponents, checkUpdate, type MechanismParameters } from './mechanism.ts';

/** Only this module holds it, so only {@link noisedStream} can make a {@link NoisedStream}. */
const mint = Symbol('noised stream');

interface Making {
  readonly sum: Float32Array;
  readonly scale: number;
  readonly ringBits: number;
  readonly dither: Keystream;
  readonly noise: readonly ComponentSource[];
}

/**
 * An update in the ring with its share of the noise in it, made chunk by chunk when it is needed and the same every time:
 * rounding and noise are functions of secret keys and the place in the vector (docs/adr). Beside the clipped sum itself
 * nothing of the vector's size is held.
 */
class Noised {
  readonly dimension: number;
  readonly #making: Making;

  constructor(key: symbol, making: Making) {
    if (key !== mint) throw privacyError('PRIVACY_VECTOR_INVALID', 'a noised stream is made by noisedStream only');
    this.dimension = making.sum.length;
    this.#making = making;
  }

  /** True for streams that noisedStream made, also at run time. */
  static is(value: unknown): value is Noised {
    return typeof value === 'object' && value !== null && #making in value;
  }

  /** Leaves chunk `index` of the noised vector in the space's target. @returns its length in words, 0 beyond the end */
  async chunk(space: ChunkSpace, index: number): Promise<number> {
    const { sum, scale, ringBits, dither, noise } = this.#making;
    const part = sum.subarray(index * CHUNK_WORDS, (index + 1) * CHUNK_WORDS);
    const count = part.length;
    if (count === 0) return 0;
    const target = space.target.subarray(0, count);
    space.values.set(part);
    space.words.set(littleEndianWords(await dither(0, 4 * count, index)));
    space.ring.quantise(target, space.values, space.words, scale);
    for (const source of noise) await source(space, count, index, 1);
    if (ringBits < 32) for (let i = 0; i < count; i++) target[i] = (target[i] as number) & (2 ** ringBits - 1);
    return count;
  }
}

/** The type that proves that noise is added before anything else sees a chunk. */
export type NoisedStream = Noised;

/** True when `value` came out of {@link noisedStream}. */
export function isNoisedStream(value: unknown): value is NoisedStream {
  return Noised.is(value);
}

/**
 * A client's clipped sum made private as `privatise` does it, in chunks. Takes the sum over: it must not change any more.
 * Erases the components' keys.
 * @param rng - source of the key of the dithering
 * @param components - of the session's noise ladder, all of them
 * @throws PRIVACY_VECTOR_INVALID, PRIVACY_NORM_EXCEEDED, PRIVACY_RING_WRAPS, PRIVACY_NOISE_TOO_SMALL
 */
export async function noisedStream(
  clippedSum: Float32Array,
  parameters: MechanismParameters,
  rng: Rng,
  examples: number,
  components: readonly NoiseComponent[],
): Promise<NoisedStream> {
  checkUpdate(clippedSum, parameters, examples);
  checkComponents(components, parameters);
  const ditherKey = rng.bytes(32);
  const dither = await keystream(ditherKey);
  const noise = await Promise.all(components.map(componentSource));
  for (const key of [ditherKey, ...components.map((c) => c.key)]) key.fill(0);
  const { scale, ringBits } = parameters;
  return new Noised(mint, { sum: clippedSum, scale, ringBits, dither, noise });
}
