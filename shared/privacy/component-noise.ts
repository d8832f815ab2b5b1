import { type Begun, keystream, littleEndianWords, softwareKeystream } from '../core/keystream.ts';
import { CHUNK_WORDS, ChunkSpace } from '../kernels/chunk-space.ts';
import { addSamplesOf, discreteGaussian, tablesOf } from './discrete-gaussian.ts';

/**
 * Discrete Gaussian noise that can be made again, chunk by chunk, by whoever has its key: a client adds it, and the server
 * subtracts the surplus once it was given the key (Dordis, EuroSys 2024, §3.2).
 *
 * Chunk j is made of lane j of the AES-256-CTR keystream of the key. Sample i of the chunk takes 32-bit word i for the first
 * table and word 2^18 + i for the second (of a σ above 1024); a tie in table τ takes the first three words of block
 * 2^17 + 2^18·τ + i, the 32 bits that follow and then the last 64, high word first. Every sample has its own place: any part
 * can be made in any order, on any machine, with the same result.
 */
export interface NoiseComponent {
  /** 32 bytes, used for nothing else. */
  readonly key: Uint8Array;
  /** Standard deviation in ring units, in [0.01, 1e8]. */
  readonly sigma: number;
}

/** Numbers in one chunk of noise; the last may be shorter. Fixed by the protocol. */
export const NOISE_CHUNK_WORDS = CHUNK_WORDS;
const CHUNK_BYTES = 4 * NOISE_CHUNK_WORDS;
const CHUNK_BLOCKS = CHUNK_BYTES / 16;

/** Adds (sign 1) or takes away (sign −1) one chunk of a component to the first `count` words of the space's target, mod 2^32. */
export type ComponentSource = (space: ChunkSpace, count: number, chunkIndex: number, sign: 1 | -1) => Promise<void>;

/** Prepares a component: its tables and its key schedule. The key may be erased when this resolves. */
export async function componentSource({ key, sigma }: NoiseComponent): Promise<ComponentSource> {
  const stream = await keystream(key);
  const own = key.slice();
  const tables = tablesOf(discreteGaussian(sigma));
  return async (space, count, chunkIndex, sign) => {
    const pieces = tables.map((_, t) => stream(t * CHUNK_BLOCKS, count, chunkIndex));
    for (const [t, { table, multiple }] of tables.entries()) {
      await (pieces[t] as Begun)(space.words.subarray(0, count));
      const ties = (2 + 4 * t) * CHUNK_BLOCKS;
      const tie = (i: number): Uint32Array => littleEndianWords(softwareKeystream(own, ties + i, 16, chunkIndex));
      addSamplesOf(table, sign * multiple, space, count, tie);
    }
  };
}

/** Adds or takes away all of several components, chunk by chunk, modulo 2^32. */
export async function addComponents(
  values: Uint32Array,
  components: readonly NoiseComponent[],
  sign: 1 | -1,
): Promise<void> {
  if (components.length === 0) return;
  const sources = await Promise.all(components.map(componentSource));
  const length = Math.min(values.length, NOISE_CHUNK_WORDS);
  await ChunkSpace.use(length, async (space) => {
    for (let at = 0; at < values.length; at += NOISE_CHUNK_WORDS) {
      const count = Math.min(NOISE_CHUNK_WORDS, values.length - at);
      const target = space.target.subarray(0, count);
      target.set(values.subarray(at, at + count));
      for (const source of sources) await source(space, count, at / NOISE_CHUNK_WORDS, sign);
      values.set(target, at);
    }
  });
}
