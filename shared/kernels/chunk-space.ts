import { littleEndianBytes } from '../core/keystream.ts';
import { type HadamardKernels, hadamardInWasm } from './hadamard.ts';
import { hadamardInTypeScript } from './hadamard-js.ts';
import { Workspace } from './module.ts';
import { openPacking, PACKING_SPARE, type PackingKernels, packedBytes, type RingBits } from './packing.ts';
import { type PackedTable, type RingKernels, ringInWasm } from './ring.ts';
import { ringInTypeScript } from './ring-js.ts';

/** Words that go through the kernels at a time: quantisation, noise and masks are made in chunks of this size. */
export const CHUNK_WORDS = 2 ** 18;

/** Most numbers of a block of a rotation: the last of 2^16 and what is left over. */
export const BLOCK_NUMBERS = 2 ** 17;

/** What a table is packed from; see the alias table of shared/privacy. */
interface Table {
  readonly cellBits: number;
  readonly first: number;
  readonly high: Uint32Array;
  readonly other: Int32Array;
}

/** Room for the tables of 40 samplers of 2^15 cells; the pages that are not touched cost nothing. */
const TABLE_WORDS = 40 * 2 ** 15;

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
  readonly ties: Uint32Array;
  /** Signs of the numbers of a block. */
  readonly signs: Uint32Array;
  readonly #packing: PackingKernels;
  readonly #travelling: Uint8Array;
  readonly #tables: Uint32Array;
  readonly #packed = new Map<Table, PackedTable>();
  readonly #block: Float64Array;
  #used = 0;
  #rotated = false;

  private constructor() {
    const block = 8 * BLOCK_NUMBERS + BLOCK_NUMBERS / 8;
    const space = new Workspace(4 * (5 * CHUNK_WORDS + TABLE_WORDS) + PACKING_SPARE + block);
    this.ring = ringInWasm(space) ?? ringInTypeScript;
    this.hadamard = hadamardInWasm(space) ?? hadamardInTypeScript;
    this.#packing = openPacking(space);
    this.target = space.words(CHUNK_WORDS);
    this.words = space.words(CHUNK_WORDS);
    this.values = space.floats(CHUNK_WORDS);
    this.ties = space.words(CHUNK_WORDS);
    this.#block = space.doubles(BLOCK_NUMBERS);
    this.signs = space.words(BLOCK_NUMBERS / 32);
    this.#travelling = space.bytes(4 * CHUNK_WORDS + PACKING_SPARE);
    this.#tables = space.words(TABLE_WORDS);
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
  packed(table: Table): PackedTable {
    const known = this.#packed.get(table);
    if (known !== undefined) return known;
    const length = 2 ** table.cellBits;
    if (this.#used + length > this.#tables.length) {
      this.#packed.clear();
      this.#used = 0;
    }
    const cells = this.#tables.subarray(this.#used, this.#used + length);
    this.#used += length;
    const capacity = 2 ** (32 - table.cellBits);
    for (let i = 0; i < length; i++) {
      const threshold = table.high[i] as number;
      const other = (table.other[i] as number) - table.first;
      // A full cell's threshold has a bit too many; both its values are its own, so that any other will do.
      cells[i] = threshold === capacity ? i * capacity : other * capacity + threshold;
    }
    const packed = { cells, shift: 32 - table.cellBits, first: table.first };
    this.#packed.set(table, packed);
    return packed;
  }

  /** The low bits of words of this space next to one another; good until the next call. */
  pack(words: Uint32Array, bits: RingBits): Uint8Array {
    if (bits === 32) return littleEndianBytes(words);
    this.#packing.pack(this.#travelling, words, bits);
    return this.#travelling.subarray(0, packedBytes(words.length, bits));
  }

  #erase(words: number): void {
    for (const part of [this.target, this.words, this.values]) part.fill(0, 0, words);
    if (this.#rotated) this.#block.fill(0, 0, words);
    this.#rotated = false;
  }
}

const MOST_IDLE = 2;
const idle: ChunkSpace[] = [];
