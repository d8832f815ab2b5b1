import { type Keystream, keystream } from '../core/keystream.ts';
import type { ChunkSpace } from '../kernels/chunk-space.ts';
import { blockAt, type RotationBlocks, rotationBlocks } from './rotation-blocks.ts';

/**
 * A rotation of vectors that everybody in a session knows: x ↦ H·D·x/√m in each block, with the Walsh–Hadamard matrix H and random
 * signs D. It is orthogonal, so it changes no L2 norm, and it spreads a block's x so that every element is about ‖x‖/√m
 * (Ailon, Chazelle 2009; Kairouz, Liu, Steinke 2021).
 *
 * Signs come from the AES-256-CTR keystream of the seed, 1 bit each, lowest bit of each byte first, set for minus: block k's
 * from lane k, and from lane K (their number) those of the last m numbers, which are rotated once more.
 *
 * All is done in float64. Of a vector x at most 2·16·2^-53·‖x‖ is lost, far below what FLOAT_SLACK pays for.
 */
export class Rotation {
  readonly blocks: RotationBlocks;
  readonly #dimension: number;
  readonly #bits: Keystream;

  private constructor(dimension: number, bits: Keystream) {
    this.blocks = rotationBlocks(dimension);
    this.#dimension = dimension;
    this.#bits = bits;
  }

  /** @param seed - 32 bytes, public */
  static async of(seed: Uint8Array, dimension: number): Promise<Rotation> {
    return new Rotation(dimension, await keystream(seed));
  }

  /** Where block k begins and ends in the vector. */
  at(k: number): readonly [number, number] {
    return blockAt(this.blocks, this.#dimension, k);
  }

  /** Block k of the rotated vector, in the space's block. @param vector - all of it; nothing else of the space is changed but `values` */
  async forward(space: ChunkSpace, vector: Float32Array, k: number): Promise<Float64Array> {
    const [begin, end] = this.at(k);
    const { length } = this.blocks;
    const block = space.block.subarray(0, end - begin);
    const first = block.subarray(0, length);
    const part = space.values.subarray(0, length);
    part.set(vector.subarray(begin, begin + length));
    space.hadamard.spread(first, part, await this.#signs(space, k), 1 / Math.sqrt(length));
    space.hadamard.transform(first);
    if (block.length > length) {
      block.set(vector.subarray(begin + length, end), length);
      const last = block.subarray(block.length - length);
      applySigns(last, await this.#signs(space, this.blocks.count), 1 / Math.sqrt(length));
      space.hadamard.transform(last);
    }
    return block;
  }

  /** Block k rotated back, in place. @param block - the space's, of this block's length */
  async backward(space: ChunkSpace, block: Float64Array, k: number): Promise<void> {
    const { length } = this.blocks;
    if (block.length > length) {
      const last = block.subarray(block.length - length);
      space.hadamard.transform(last);
      applySigns(last, await this.#signs(space, this.blocks.count), 1 / Math.sqrt(length));
    }
    const first = block.subarray(0, length);
    space.hadamard.transform(first);
    applySigns(first, await this.#signs(space, k), 1 / Math.sqrt(length));
  }

  async #signs(space: ChunkSpace, lane: number): Promise<Uint32Array> {
    const count = Math.ceil(this.blocks.length / 32);
    const signs = space.signs.subarray(0, count);
    await this.#bits(0, count, lane)(signs);
    return signs;
  }
}

function applySigns(x: Float64Array, signs: Uint32Array, factor: number): void {
  for (let i = 0; i < x.length; i++) {
    const minus = ((signs[i >>> 5] as number) >>> (i & 31)) & 1;
    x[i] = (x[i] as number) * (minus === 1 ? -factor : factor);
  }
}
