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

/**
 * @param weights - non-negative, adding up to exactly 2^128; weights[i] is that of the integer `first + i`
 * @throws PRIVACY_TOO_LARGE when there are more than 2^17
 */
export function buildAliasTable(weights: readonly bigint[], first: number): AliasTable {
  const cellBits = Math.max(1, Math.ceil(Math.log2(weights.length)));
  if (cellBits > MOST_CELL_BITS) throw privacyError('PRIVACY_TOO_LARGE', `an alias table of ${weights.length} values`);
  const cells = 2 ** cellBits;
  const capacity = TOTAL >> BigInt(cellBits);
  const left = Array.from({ length: cells }, (_, i) => weights[i] ?? 0n);
  const other = Int32Array.from({ length: cells }, (_, i) => first + i);
  const small: number[] = [];
  const large: number[] = [];
  for (const [i, w] of left.entries()) (w < capacity ? small : large).push(i);
  for (;;) {
    const poor = small.pop();
    const rich = large.at(-1);
    if (poor === undefined || rich === undefined) break;
    other[poor] = first + rich;
    const remains = (left[rich] as bigint) - (capacity - (left[poor] as bigint));
    left[rich] = remains;
    if (remains < capacity) {
      large.pop();
      small.push(rich);
    }
  }
  return { cellBits, first, other, ...thresholds(left) };
}

/** Thresholds cut into the 32 − cellBits bits that come with the cell, 32 more and 64 more. */
function thresholds(left: readonly bigint[]): Pick<AliasTable, 'high' | 'middle' | 'rest'> {
  const high = new Uint32Array(left.length);
  const middle = new Uint32Array(left.length);
  const rest = new BigUint64Array(left.length);
  for (const [i, threshold] of left.entries()) {
    high[i] = Number(threshold >> 96n);
    middle[i] = Number((threshold >> 64n) & 0xffffffffn);
    rest[i] = threshold & 0xffffffffffffffffn;
  }
  return { high, middle, rest };
}

/** True when the further random bits (a 32-bit word, then 64 bits) lie below the rest of the cell's threshold. */
export function belowThreshold(table: AliasTable, cell: number, further: Uint32Array): boolean {
  const [word = 0, a = 0, b = 0] = further;
  const middle = table.middle[cell] as number;
  if (word !== middle) return word < middle;
  return ((BigInt(a) << 32n) | BigInt(b)) < (table.rest[cell] as bigint);
}
