import { TacitError } from '../core/errors.ts';
import { type Begun, type Keystream, keystream, littleEndianWords } from '../core/keystream.ts';
import { CHUNK_WORDS, ChunkSpace } from '../kernels/chunk-space.ts';
import { Workspace } from '../kernels/module.ts';
import {
  openPacking,
  PACKING_SPARE,
  type PackingKernels,
  packedBytes,
  type RingBits,
  wordsIn,
} from '../kernels/packing.ts';
import { type RingKernels, ringInWasm } from '../kernels/ring.ts';
import { ringInTypeScript } from '../kernels/ring-js.ts';
import { addComponents, type NoiseComponent } from '../privacy/component-noise.ts';
import type { SecaggErrorCode } from './errors.ts';

/** One AES-256-CTR keystream, added to or subtracted from a vector of 32-bit words. Its key is used for nothing else. */
export interface MaskStream {
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly sign: 1 | -1;
}

/**
 * Adds every stream to `values` mod 2^32, chunk by chunk, each copied to the kernels' memory and back once for all streams;
 * the next keystreams are begun while one is added.
 */
export async function addStreams(values: Uint32Array, streams: readonly MaskStream[]): Promise<void> {
  if (streams.length === 0) return;
  const sources = await Promise.all(streams.map(maskSource));
  await ChunkSpace.use(Math.min(values.length, CHUNK_WORDS), async (space) => {
    for (let at = 0; at < values.length; at += CHUNK_WORDS) {
      const target = space.target.subarray(0, Math.min(CHUNK_WORDS, values.length - at));
      target.set(values.subarray(at, at + target.length));
      await addMasks(space, target.length, at, sources);
      values.set(target, at);
    }
  });
}

/** A mask whose key schedule is made: the key may be erased. */
export interface MaskSource {
  readonly stream: Keystream;
  readonly sign: 1 | -1;
}

export async function maskSource({ key, sign }: MaskStream): Promise<MaskSource> {
  return { stream: await keystream(key), sign };
}

/** Adds words [first, first + count) of every mask to the space's target. @param first - a multiple of 4 */
export async function addMasks(
  space: ChunkSpace,
  count: number,
  first: number,
  sources: readonly MaskSource[],
): Promise<void> {
  const begin = (i: number): Begun | undefined => sources[i]?.stream(first / 4, count);
  const target = space.target.subarray(0, count);
  const words = space.words.subarray(0, count);
  let ahead = begin(0);
  let further = begin(1);
  for (const [i, { sign }] of sources.entries()) {
    await (ahead as Begun)(words);
    ahead = further;
    further = begin(i + 2);
    if (sign === 1) space.ring.add(target, words);
    else space.ring.subtract(target, words);
  }
}

/**
 * Adds one chunk of an upload to the server's accumulator, mod 2^32, of which the low b bits are the sum mod 2^b.
 * @param chunk - words of b bits, see packing
 * @param offset - position of its first word in the vector
 * @throws SECAGG_SHAPE when it does not lie inside the vector
 */
export function addInto(accumulator: Uint32Array, chunk: Uint8Array, offset: number, bits: RingBits): void {
  const count = wordsIn(chunk.length, bits);
  if (chunk.length !== packedBytes(count, bits) || offset < 0 || offset + count > accumulator.length) {
    throw new TacitError<SecaggErrorCode>(
      'SECAGG_SHAPE',
      `a chunk of ${chunk.length} bytes at ${offset} does not fit ${accumulator.length} numbers`,
    );
  }
  tile ??= openTile();
  for (let at = 0; at < count; at += TILE_WORDS) {
    const words = tile.words.subarray(0, Math.min(TILE_WORDS, count - at));
    const target = tile.target.subarray(0, words.length);
    const begin = packedBytes(at, bits);
    unpackInto(tile, words, chunk.subarray(begin, begin + packedBytes(words.length, bits)), bits);
    target.set(accumulator.subarray(offset + at, offset + at + words.length));
    tile.ring.add(target, words);
    accumulator.set(target, offset + at);
  }
}

/** What {@link addInto} copies into the kernels' memory and back at a time: in cache, and still faster than a loop over the whole. */
const TILE_WORDS = 2 ** 14;
let tile: Tile | undefined;

interface Tile {
  readonly ring: RingKernels;
  readonly packing: PackingKernels;
  readonly target: Uint32Array;
  readonly words: Uint32Array;
  readonly packed: Uint8Array;
}

function unpackInto({ packing, packed }: Tile, words: Uint32Array, piece: Uint8Array, bits: RingBits): void {
  if (bits === 32) words.set(littleEndianWords(piece));
  else {
    packed.set(piece);
    packing.unpack(words, packed, bits);
  }
}

function openTile(): Tile {
  const space = new Workspace(12 * TILE_WORDS + PACKING_SPARE);
  return {
    packing: openPacking(space),
    packed: space.bytes(4 * TILE_WORDS + PACKING_SPARE),
    ring: ringInWasm(space) ?? ringInTypeScript,
    target: space.words(TILE_WORDS),
    words: space.words(TILE_WORDS),
  };
}

/** What the server takes away again: self masks of survivors, what masks with the dropped left behind, noise that is not needed. */
export interface UnmaskPlan {
  readonly selfSeeds: readonly MaskStream[];
  readonly pairwise: readonly MaskStream[];
  readonly surplus: readonly NoiseComponent[];
}

/** Turns the sum of uploads into the sum of noised vectors, with no more noise than this sum needs, in place. */
export async function removeMasks(accumulator: Uint32Array, plan: UnmaskPlan): Promise<void> {
  await addStreams(accumulator, [...plan.selfSeeds, ...plan.pairwise]);
  await addComponents(accumulator, plan.surplus, -1);
}
