import { LIMITS } from '../core/limits.ts';
import { CHUNK_WORDS } from '../kernels/chunk-space.ts';
import { packedBytes, type RingBits, wordsIn } from '../kernels/packing.ts';
import type { SecaggConfig } from './messages.ts';

/** What decides how an upload is cut up. */
export type UploadShape = Pick<SecaggConfig, 'dimension' | 'ringBits' | 'chunkBytes'>;

/** Bytes of the largest chunks in which no piece of noise, mask or rotation is cut. */
export function chunkBytesOf(ringBits: RingBits): number {
  const piece = packedBytes(CHUNK_WORDS, ringBits);
  return Math.floor(LIMITS.chunkBytes / piece) * piece;
}

/** Bytes of a whole upload. */
export function uploadBytes({ dimension, ringBits }: Pick<UploadShape, 'dimension' | 'ringBits'>): number {
  return packedBytes(dimension, ringBits);
}

/** Chunks of an upload. */
export function chunkCount(shape: UploadShape): number {
  return Math.ceil(uploadBytes(shape) / shape.chunkBytes);
}

/** Bytes of one chunk; not above 0 beyond the last. */
export function chunkLength(shape: UploadShape, index: number): number {
  return Math.min(shape.chunkBytes, uploadBytes(shape) - index * shape.chunkBytes);
}

/** Which elements of the vector chunk `index` has. */
export function chunkRange(shape: UploadShape, index: number): readonly [begin: number, end: number] {
  const begin = wordsIn(index * shape.chunkBytes, shape.ringBits);
  return [begin, Math.min(begin + wordsIn(shape.chunkBytes, shape.ringBits), shape.dimension)];
}
