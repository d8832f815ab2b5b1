import { privacyError } from './errors.ts';

/**
 * A finite distribution on consecutive integers as an alias table (Walker 1977, Vose 1991) with integer weights that add
 * up to exactly 2^128. One 32-bit word picks a cell by its top bits and decides between the cell's two values by the rest;
 * only on a tie (once in 2^(32−cellBits)) are further bits looked at, to the last of the 128: the law is the table's,
 * bit for bit.
 */
export interface AliasTable {
  /** Number of cells = 2^cellBits, 1 ≤ cellBits ≤ 17. */
  readonly cellBits: number;
  /** Value of cell 0; cell i stands for first + i. */
  readonly first: number;
  /** First 32 − cellBits bits of each cell's threshold. */
  readonly high: Uint32Array;
  /** Next 32 bits, and the last 64. */
  readonly middle: Uint32Array;
  readonly rest: BigUint64Array;
  /** The other value of each cell. */
  readonly other: Int32Array;
}

export const WEIGHT_BITS = 128n;
const TOTAL = 1n << WEIGHT_BITS;
const MOST_CELL_BITS = 17;

/** Uniform 32-bit words, one after the other. */
export type Words = () => number;

/**
 * @param weights - non-negative, adding up to exactly 2^128; weights[i] is that of the integer `first + i`
 * @throws PRIVACY_TOO_LARGE when there are more than 2^17
 */
export function buildAliasTable(weights: readonly bigint[], first: number): AliasTable {
  const cellBits = Math.max(1, Math.ceil(Math.log2(weights.length)));
  if (cellBits > MOST_CELL_BITS) throw privacyError('PRIVACY_TOO_LARGE', `an alias table of ${weights.length} values`);
  const padded = Array.from({ length: 2 ** cellBits }, (_, i) => weights[i] ?? 0n);
  const { own, other } = aliasCells(padded, TOTAL >> BigInt(cellBits));
  return { cellBits, first, other: other.map((i) => first + i), ...thresholds(own) };
}

/** Cells of one capacity: how much of each is its own index's, and whose the rest is. */
export interface AliasCells {
  readonly own: readonly bigint[];
  readonly other: Int32Array;
}

/** @param weights - of the indices, adding up to exactly `capacity` times their number */
export function aliasCells(weights: readonly bigint[], capacity: bigint): AliasCells {
  const own = [...weights];
  const other = Int32Array.from(own, (_, i) => i);
  const small: number[] = [];
  const large: number[] = [];
  for (const [i, w] of own.entries()) (w < capacity ? small : large).push(i);
  for (;;) {
    const poor = small.pop();
    const rich = large.at(-1);
    if (poor === undefined || rich === undefined) break;
    other[poor] = rich;
    const remains = (own[rich] as bigint) - (capacity - (own[poor] as bigint));
    own[rich] = remains;
    if (remains < capacity) {
      large.pop();
      small.push(rich);
    }
  }
  return { own, other };
}

/** Thresholds cut into the 32 − cellBits bits that come with the cell, 32 more and 64 more. */
function thresholds(own: readonly bigint[]): Pick<AliasTable, 'high' | 'middle' | 'rest'> {
  const high = new Uint32Array(own.length);
  const middle = new Uint32Array(own.length);
  const rest = new BigUint64Array(own.length);
  for (const [i, threshold] of own.entries()) {
    high[i] = Number(threshold >> 96n);
    middle[i] = Number((threshold >> 64n) & 0xffffffffn);
    rest[i] = threshold & 0xffffffffffffffffn;
  }
  return { high, middle, rest };
}

/** A value of the table: one word, on a tie the next 32 bits, and on another the last 64. */
export function aliasSample(table: AliasTable, next: Words): number {
  const shift = 32 - table.cellBits;
  const word = next();
  const cell = word >>> shift;
  const bits = word & (2 ** shift - 1);
  const threshold = table.high[cell] as number;
  const own = bits === threshold ? belowThreshold(table, cell, next) : bits < threshold;
  return own ? table.first + cell : (table.other[cell] as number);
}

/** True when the further random bits lie below the rest of the cell's threshold. */
function belowThreshold(table: AliasTable, cell: number, next: Words): boolean {
  const word = next();
  const middle = table.middle[cell] as number;
  if (word !== middle) return word < middle;
  return ((BigInt(next()) << 32n) | BigInt(next())) < (table.rest[cell] as bigint);
}
