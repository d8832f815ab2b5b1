import { sha256Hex } from '../../shared/core/hash.ts';
import { seededRng } from '../../shared/core/rng.ts';
import { CHUNK_WORDS, ChunkSpace } from '../../shared/kernels/chunk-space.ts';
import { packedBytes, type RingBits } from '../../shared/kernels/packing.ts';
import { packingInTypeScript } from '../../shared/kernels/packing-js.ts';
import type { NoiseComponent } from '../../shared/privacy/component-noise.ts';
import type { MechanismParameters } from '../../shared/privacy/mechanism.ts';
import { noisedStream } from '../../shared/privacy/noised-stream.ts';
import { addStreams, type MaskStream } from '../../shared/secagg/mask.ts';

/** An update as the product noises it, out of its stream, so that a test can look at it and change it. */
export async function noisedWords(
  update: Float32Array,
  mechanism: MechanismParameters,
  seed: string,
  components: readonly NoiseComponent[],
  rotation: Uint8Array = new Uint8Array(32),
): Promise<Uint32Array> {
  const stream = await noisedStream(update, mechanism, seededRng(seed), 1, components, rotation);
  const out = new Uint32Array(update.length);
  await ChunkSpace.use(Math.min(CHUNK_WORDS, update.length), async (space) => {
    for (let at = 0; at < out.length; at += CHUNK_WORDS) {
      const count = await stream.chunk(space, at / CHUNK_WORDS);
      out.set(space.target.subarray(0, count), at);
    }
  });
  return out;
}

/** The vector under its masks, in place; erases their keys as the product does. */
export async function underMasks(values: Uint32Array, streams: readonly MaskStream[]): Promise<Uint32Array> {
  await addStreams(values, streams);
  for (const { key } of streams) key.fill(0);
  return values;
}

/** Words as they travel. */
export function packed(words: Uint32Array, bits: RingBits): Uint8Array {
  const out = new Uint8Array(packedBytes(words.length, bits));
  packingInTypeScript.pack(out, words, bits);
  return out;
}

/** SHA-256 (hex) of each piece of `chunkBytes`, in order. */
export function chunkHashes(bytes: Uint8Array, chunkBytes: number): string[] {
  const hashes: string[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) hashes.push(sha256Hex(bytes.subarray(at, at + chunkBytes)));
  return hashes;
}
