import { keystream, littleEndianWords, softwareKeystream } from '../core/keystream.ts';
import { CHUNK_WORDS, ChunkSpace } from '../kernels/chunk-space.ts';
import type { Words } from './alias-table.ts';
import { type DiscreteGaussian, discreteGaussian, settleEscapes } from './discrete-gaussian.ts';

/**
 * Discrete Gaussian noise that can be made again, chunk by chunk, by whoever has its key: a client adds it, and the server
 * subtracts the surplus once it was given the key (Dordis, EuroSys 2024, §3.2).
 *
 * Chunk j is made of lane j of the AES-256-CTR keystream of the key. Sample i of the chunk takes 32-bit word i; the escapes take what
 * further words they need from word 2^18 on, in the order of their positions. Any chunk can be made in any order, on any
 * machine, with the same result.
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
  const noise = discreteGaussian(sigma);
  return async (space, count, chunkIndex, sign) => {
    const ahead = new Uint32Array(wordsForEscapes(noise, count));
    const [begun, more] = [stream(0, count, chunkIndex), stream(CHUNK_BLOCKS, ahead.length, chunkIndex)];
    const words = space.words.subarray(0, count);
    await begun(words);
    await more(ahead);
    const escapes = space.ring.noise(space.target, words, space.tableOf(noise.table), sign, space.escapes);
    const next = wordsFrom(ahead, (at) => softwareKeystream(own, CHUNK_BLOCKS + at / 4, 16, chunkIndex));
    settleEscapes(noise, space.target, words, space.escapes.subarray(0, escapes), sign, next);
    ahead.fill(0);
  };
}

/** Words made ahead for the escapes of `count` samples, which take 3.5 each on average: nearly always enough for a whole chunk. A multiple of 4. */
export function wordsForEscapes({ table }: DiscreteGaussian, count: number): number {
  const share = (table.limit + 2 ** 31) / 2 ** 32;
  return 4 * Math.ceil(share * count);
}

/** The words made ahead, then those of one block after the other. */
function wordsFrom(ahead: Uint32Array, block: (at: number) => Uint8Array): Words {
  let words = ahead;
  let first = 0;
  let at = 0;
  return () => {
    if (at === words.length) {
      first += at;
      words = littleEndianWords(block(first));
      at = 0;
    }
    return words[at++] as number;
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
