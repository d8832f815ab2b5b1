import { TacitError } from '../core/errors.ts';
import { sha256HexAsync } from '../core/hash.ts';
import { CHUNK_WORDS, ChunkSpace } from '../kernels/chunk-space.ts';
import { packedBytes } from '../kernels/packing.ts';
import type { NoisedStream } from '../privacy/noised-stream.ts';
import type { SecaggErrorCode } from './errors.ts';
import { addMasks, type MaskSource, type MaskStream, maskSource } from './mask.ts';
import { checkMaskable, reused } from './mask-once.ts';
import { chunkCount, chunkLength, chunkRange, type UploadShape, uploadBytes } from './upload-shape.ts';

/** Only this module holds it, so only {@link maskStream} can make a {@link MaskedStream}. */
const mint = Symbol('masked stream');

/**
 * A noised vector under all its masks, made chunk by chunk as it is uploaded. A chunk that is asked for again is made again
 * from the same keys and compared with the hash of the first time: under one mask only one message ever leaves.
 */
class Masked {
  /** Bytes and chunks of the upload. */
  readonly bytes: number;
  readonly count: number;
  readonly #shape: UploadShape;
  readonly #hashes: (string | undefined)[];
  #source: { readonly noised: NoisedStream; readonly masks: readonly MaskSource[] } | undefined;
  /** Memory of chunks that were given back. */
  #spare: Uint8Array[] = [];

  constructor(key: symbol, noised: NoisedStream, masks: readonly MaskSource[], chunkBytes: number) {
    if (key !== mint) throw reused('a masked stream is made by maskStream only');
    this.#shape = { dimension: noised.dimension, ringBits: noised.ringBits, chunkBytes };
    this.count = chunkCount(this.#shape);
    this.bytes = uploadBytes(this.#shape);
    this.#hashes = new Array(this.count).fill(undefined);
    this.#source = { noised, masks };
  }

  /** True for streams that maskStream made, also at run time. */
  static is(value: unknown): value is Masked {
    return typeof value === 'object' && value !== null && #source in value;
  }

  /**
   * Chunk `index` of the upload with its SHA-256 (hex): words of b bits, see packing.
   * @throws SECAGG_MASK_REUSED when the stream was closed, or what is under the mask has changed since the first time
   */
  async chunk(index: number): Promise<{ readonly bytes: Uint8Array; readonly sha256: string }> {
    const bytes = await this.#make(index);
    const sha256 = await sha256HexAsync(bytes);
    const before = this.#hashes[index];
    if (before !== undefined && before !== sha256) throw reused('the update changed under its mask');
    this.#hashes[index] = sha256;
    return { bytes, sha256 };
  }

  /** Takes back the bytes of a chunk that nobody reads any more: the next one is made in their place. */
  giveBack(bytes: Uint8Array): void {
    this.#spare.push(bytes);
  }

  /** SHA-256 (hex) of every chunk, for the manifest. @throws SECAGG_SHAPE before all were made */
  hashes(): string[] {
    return this.#hashes.map((hash, i) => {
      if (hash === undefined) throw new TacitError<SecaggErrorCode>('SECAGG_SHAPE', `chunk ${i} was never made`);
      return hash;
    });
  }

  /** Lets go of the vector and the keys: nothing can be made any more. */
  close(): void {
    this.#source = undefined;
    this.#spare = [];
  }

  async #make(index: number): Promise<Uint8Array> {
    if (this.#source === undefined) throw reused('the upload is over');
    const { noised, masks } = this.#source;
    const { dimension, ringBits } = this.#shape;
    const [begin, end] = chunkRange(this.#shape, index);
    if (!(index >= 0 && begin < end))
      throw new TacitError<SecaggErrorCode>('SECAGG_SHAPE', `there is no chunk ${index}`);
    const out = this.#memory(chunkLength(this.#shape, index));
    await ChunkSpace.use(Math.min(CHUNK_WORDS, dimension), async (space) => {
      for (let piece = Math.floor(begin / CHUNK_WORDS); piece * CHUNK_WORDS < end; piece++) {
        const first = piece * CHUNK_WORDS;
        const count = await noised.chunk(space, piece);
        await addMasks(space, count, first, masks);
        const from = Math.max(begin, first);
        const words = space.target.subarray(from - first, Math.min(end, first + count) - first);
        out.set(space.pack(words, ringBits), packedBytes(from - begin, ringBits));
      }
    });
    return out;
  }

  #memory(length: number): Uint8Array {
    const spare = this.#spare.pop();
    return spare?.length === length ? spare : new Uint8Array(length);
  }
}

/** The only thing that an upload port takes. */
export type MaskedStream = Masked;

/** True when `value` came out of {@link maskStream}: a cast must not be enough to send something else. */
export function isMaskedStream(value: unknown): value is MaskedStream {
  return Masked.is(value);
}

/**
 * y = x + PRG(b_u) ± Σ PRG(k_uv) mod 2^b (Bonawitz et al. 2017, Fig. 4), made when it is sent: mod 2^32, of which the low b bits
 * travel. A noised stream can be
 * masked once, because its noise protects one release only. Erases the streams' keys.
 * @param chunkBytes - of a config; of `chunkBytesOf`, and nothing is made twice
 * @throws SECAGG_MASK_REUSED when the stream was masked before, or never noised, or there is no mask
 */
export async function maskStream(
  noised: NoisedStream,
  streams: readonly MaskStream[],
  chunkBytes: number,
): Promise<MaskedStream> {
  checkMaskable(noised, streams);
  const masks = await Promise.all(streams.map(maskSource));
  for (const { key } of streams) key.fill(0);
  return new Masked(mint, noised, masks, chunkBytes);
}
