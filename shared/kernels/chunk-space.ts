import { littleEndianBytes } from '../core/keystream.ts';
import { type HadamardKernels, hadamardInWasm } from './hadamard.ts';
import { hadamardInTypeScript } from './hadamard-js.ts';
import { Workspace } from './module.ts';
import { openPacking, PACKING_SPARE, type PackingKernels, packedBytes, type RingBits } from './packing.ts';
import { CELL_BITS, type ColumnTable, type RingKernels, ringInWasm } from './ring.ts';
import { ringInTypeScript } from './ring-js.ts';

/** Words that go through the kernels at a time: quantisation, noise and masks are made in chunks of this size. */
export const CHUNK_WORDS = 2 ** 18;

/** Most numbers of a block of a rotation: the last of 2^16 and what is left over. */
export const BLOCK_NUMBERS = 2 ** 17;

/** Room for the tables of 40 samplers; the pages that are not touched cost nothing. */
const TABLES = 40;
const TABLE_WORDS = 2 ** CELL_BITS;

/**
 * Memory of the ring kernels for one chunk at a time. Spaces are lent and taken back: a WebAssembly memory reserves a
 * large piece of address space and is slow to make.
 */
export class ChunkSpace {
  readonly ring: RingKernels;
  readonly hadamard: HadamardKernels;
  /** What is being made; words to be added to it; their values before rounding. */
  readonly target: Uint32Array;
  readonly words: Uint32Array;
  readonly values: Float32Array;
  readonly escapes: Uint32Array;
  /** Signs of the numbers of a block. */
  readonly signs: Uint32Array;
  readonly #packing: PackingKernels;
  readonly #travelling: Uint8Array;
  readonly #tables: Uint32Array;
  readonly #here = new Map<ColumnTable, ColumnTable>();
  readonly #block: Float64Array;
  #rotated = false;

  private constructor() {
    const block = 8 * BLOCK_NUMBERS + BLOCK_NUMBERS / 8;
    const space = new Workspace(4 * (5 * CHUNK_WORDS + TABLES * TABLE_WORDS) + PACKING_SPARE + block);
    this.ring = ringInWasm(space) ?? ringInTypeScript;
    this.hadamard = hadamardInWasm(space) ?? hadamardInTypeScript;
    this.#packing = openPacking(space);
    this.target = space.words(CHUNK_WORDS);
    this.words = space.words(CHUNK_WORDS);
    this.values = space.floats(CHUNK_WORDS);
    this.escapes = space.words(CHUNK_WORDS);
    this.#block = space.doubles(BLOCK_NUMBERS);
    this.signs = space.words(BLOCK_NUMBERS / 32);
    this.#travelling = space.bytes(4 * CHUNK_WORDS + PACKING_SPARE);
    this.#tables = space.words(TABLES * TABLE_WORDS);
  }

  /** Runs `work` on chunks of at most `words` in a space of its own; what it held is erased afterwards. */
  static async use<T>(words: number, work: (space: ChunkSpace) => Promise<T>): Promise<T> {
    const space = idle.pop() ?? new ChunkSpace();
    try {
      return await work(space);
    } finally {
      space.#erase(words);
      if (idle.length < MOST_IDLE) idle.push(space);
    }
  }

  /** One block of a rotation. */
  get block(): Float64Array {
    this.#rotated = true;
    return this.#block;
  }

  /** A table where the noise kernel can read it; kept for the next chunk. */
  tableOf(table: ColumnTable): ColumnTable {
    const known = this.#here.get(table);
    if (known !== undefined) return known;
    if (this.#here.size === TABLES) this.#here.clear();
    const at = this.#here.size * TABLE_WORDS;
    const cells = this.#tables.subarray(at, at + TABLE_WORDS);
    cells.set(table.cells);
    const here = { ...table, cells };
    this.#here.set(table, here);
    return here;
  }

  /** The low bits of words of this space next to one another; good until the next call. */
  pack(words: Uint32Array, bits: RingBits): Uint8Array {
    if (bits === 32) return littleEndianBytes(words);
    this.#packing.pack(this.#travelling, words, bits);
    return this.#travelling.subarray(0, packedBytes(words.length, bits));
  }

  #erase(words: number): void {
    for (const part of [this.target, this.words, this.values]) part.fill(0, 0, words);
    if (this.#rotated) this.#block.fill(0);
    this.#rotated = false;
  }
}

const MOST_IDLE = 2;
const idle: ChunkSpace[] = [];
