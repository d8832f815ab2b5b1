/**
 * How a vector is cut up to be rotated block by block. Every block has m numbers, but the last, which takes what is left over
 * and has from m up to 2m − 1: its first m numbers are rotated and after that its last m, so that nothing is padded and all d
 * numbers are spread over m others.
 */
export interface RotationBlocks {
  /** m: a power of 4, so that 1/√m is a power of 2. */
  readonly length: number;
  readonly count: number;
}

const MOST_IN_A_BLOCK = 2 ** 16;

/** @param dimension - d, at least 1 */
export function rotationBlocks(dimension: number): RotationBlocks {
  let length = 1;
  while (4 * length <= Math.min(dimension, MOST_IN_A_BLOCK)) length *= 4;
  return { length, count: Math.floor(dimension / length) };
}

/** Where block k begins and ends. */
export function blockAt({ length, count }: RotationBlocks, dimension: number, k: number): readonly [number, number] {
  return [k * length, k + 1 < count ? (k + 1) * length : dimension];
}
