import { type Keystream, keystream } from '../core/keystream.ts';
import type { Rng } from '../core/rng.ts';
import { CHUNK_WORDS, type ChunkSpace } from '../kernels/chunk-space.ts';
import type { RingBits } from '../kernels/packing.ts';
import { type ComponentSource, componentSource, type NoiseComponent } from './component-noise.ts';
import { privacyError } from './errors.ts';
import { checkComponents, checkUpdate, type MechanismParameters } from './mechanism.ts';
import { isRotated } from './ring-room.ts';
import { Rotation } from './rotation.ts';

/** Only this module holds it, so only {@link noisedStream} can make a {@link NoisedStream}. */
const mint = Symbol('noised stream');

interface Making {
  readonly sum: Float32Array;
  readonly scale: number;
  /** Undefined where elements are rounded as they are. */
  readonly rotation: Rotation | undefined;
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
  /** b: the low bits of each word are the stream's, the others whatever the arithmetic mod 2^32 left there. */
  readonly ringBits: RingBits;
  readonly #making: Making;

  constructor(key: symbol, making: Making, ringBits: RingBits) {
    if (key !== mint) throw privacyError('PRIVACY_VECTOR_INVALID', 'a noised stream is made by noisedStream only');
    this.dimension = making.sum.length;
    this.ringBits = ringBits;
    this.#making = making;
  }

  /** True for streams that noisedStream made, also at run time. */
  static is(value: unknown): value is Noised {
    return typeof value === 'object' && value !== null && #making in value;
  }

  /** Leaves chunk `index` of the noised vector in the space's target. @returns its length in words, 0 beyond the end */
  async chunk(space: ChunkSpace, index: number): Promise<number> {
    const { sum, scale, rotation, dither, noise } = this.#making;
    const first = index * CHUNK_WORDS;
    const count = Math.min(CHUNK_WORDS, sum.length - first);
    if (count <= 0) return 0;
    await dither(0, count, index)(space.words.subarray(0, count));
    if (rotation === undefined) {
      space.values.set(sum.subarray(first, first + count));
      space.ring.quantise(space.target.subarray(0, count), space.values, space.words, scale);
    } else await quantiseRotated(space, rotation, sum, scale, first, count);
    for (const source of noise) await source(space, count, index, 1);
    return count;
  }
}

/** Elements [first, first + count) of the rotated vector, rounded. A block that lies in two chunks is rotated for each. */
async function quantiseRotated(
  space: ChunkSpace,
  rotation: Rotation,
  sum: Float32Array,
  scale: number,
  first: number,
  count: number,
): Promise<void> {
  const end = first + count;
  const { length, count: blocks } = rotation.blocks;
  for (let k = Math.min(Math.floor(first / length), blocks - 1); k < blocks && k * length < end; k++) {
    const block = await rotation.forward(space, sum, k);
    const [begin, stop] = rotation.at(k);
    const [from, to] = [Math.max(begin, first), Math.min(stop, end)];
    space.hadamard.quantise(
      space.target.subarray(from - first, to - first),
      block.subarray(from - begin, to - begin),
      space.words.subarray(from - first, to - first),
      scale,
    );
  }
}

/** The type that proves that noise is added before anything else sees a chunk. */
export type NoisedStream = Noised;

/** True when `value` came out of {@link noisedStream}. */
export function isNoisedStream(value: unknown): value is NoisedStream {
  return Noised.is(value);
}

/**
 * A client's clipped sum made private, in chunks: rotated where the ring is small, scaled, rounded by ⌊x + u⌋ with u uniform,
 * discrete Gaussian noise added. Takes the sum over: it must not change any more. Erases the components' keys.
 * @param rng - source of the key of the dithering
 * @param components - of the session's noise ladder, all of them
 * @param rotationSeed - the session's; not looked at for b = 32
 * @throws PRIVACY_VECTOR_INVALID, PRIVACY_NORM_EXCEEDED, PRIVACY_RING_WRAPS, PRIVACY_NOISE_TOO_SMALL
 */
export async function noisedStream(
  clippedSum: Float32Array,
  parameters: MechanismParameters,
  rng: Rng,
  examples: number,
  components: readonly NoiseComponent[],
  rotationSeed: Uint8Array,
): Promise<NoisedStream> {
  checkUpdate(clippedSum, parameters, examples);
  checkComponents(components, parameters);
  const ditherKey = rng.bytes(32);
  const dither = await keystream(ditherKey);
  const noise = await Promise.all(components.map(componentSource));
  for (const key of [ditherKey, ...components.map((c) => c.key)]) key.fill(0);
  const { scale, ringBits, dimension } = parameters;
  const rotation = isRotated(parameters) ? await Rotation.of(rotationSeed, dimension) : undefined;
  return new Noised(mint, { sum: clippedSum, scale, rotation, dither, noise }, ringBits);
}
