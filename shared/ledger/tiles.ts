import { concat } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import { LIMITS } from '../core/limits.ts';
import type { LedgerErrorCode } from './errors.ts';
import { HASH_BYTES, type MerkleTree } from './merkle.ts';

/** C2SP tlog-tiles. A full tile is 256 hashes (8 levels of the tree); its path has no height element. */
export const TILE_WIDTH = 256;

/** One tile of hashes (`level` 0…63) or, for `level` 'entries', one bundle of entries. */
export interface TileId {
  readonly level: number | 'entries';
  readonly index: number;
  /** 1…256 hashes or entries; 256 is a full tile, without suffix. */
  readonly width: number;
}

/** `tile/<L>/<N>[.p/<W>]`, e.g. `tile/0/x001/x234/067.p/17`. */
export function tilePath({ level, index, width }: TileId): string {
  const digits = String(index);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0');
  const groups = padded.match(/\d{3}/g) as string[];
  const path = groups.map((g, i) => (i < groups.length - 1 ? `x${g}` : g)).join('/');
  return `tile/${level}/${path}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** The tile that a path names, or undefined for anything that is not exactly such a path. */
export function parseTilePath(path: string): TileId | undefined {
  const [, level, groups, width] =
    /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/)*\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path) ?? [];
  if (level === undefined || groups === undefined) return undefined;
  const id: TileId = {
    level: level === 'entries' ? level : Number(level),
    index: Number(groups.replaceAll(/[x/]/g, '')),
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  if (typeof id.level === 'number' && id.level > 63) return undefined;
  if (width !== undefined && (id.width < 1 || id.width >= TILE_WIDTH)) return undefined;
  return Number.isSafeInteger(id.index) && tilePath(id) === path ? id : undefined;
}

/** Number of hashes that level `level` holds in a tree of `size` leaves: only complete tiles below enter a level above. */
export function hashesAt(level: number | 'entries', size: number): number {
  return Math.floor(size / TILE_WIDTH ** (level === 'entries' ? 0 : level));
}

/** Every tile of a tree of `size` leaves: level by level, full ones, then the partial one. Entry bundles are not listed. */
export function tilesOf(size: number): TileId[] {
  const out: TileId[] = [];
  for (let level = 0; hashesAt(level, size) > 0; level++) out.push(...rowOf(level, size));
  return out;
}

/** The entry bundles of a tree of `size` leaves. */
export function entryBundlesOf(size: number): TileId[] {
  return rowOf('entries', size);
}

function rowOf(level: number | 'entries', size: number): TileId[] {
  const hashes = hashesAt(level, size);
  const row = Array.from({ length: Math.ceil(hashes / TILE_WIDTH) }, (_, index) => ({
    level,
    index,
    width: Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH),
  }));
  return row;
}

/** Bytes of a hash tile: hash i is the root of leaves [(256·index + i)·256^level, …). @throws LEDGER_RANGE beyond the tree */
export function tileBytes(tree: MerkleTree, tile: TileId & { readonly level: number }): Uint8Array {
  const hashes = Array.from({ length: tile.width }, (_, i) =>
    tree.subtree(8 * tile.level, TILE_WIDTH * tile.index + i),
  );
  return concat(...hashes);
}

/** The hashes of a tile. @throws NOTE_INVALID when the length is not a multiple of 32 */
export function parseTile(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length % HASH_BYTES !== 0) throw malformed('a tile is not a whole number of hashes');
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, i) => bytes.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES));
}

/** Entries, each after its length as uint16 big-endian. @throws LEDGER_ENTRY_INVALID for an entry over 65,535 bytes */
export function formatEntryBundle(entries: readonly Uint8Array[]): Uint8Array {
  return concat(
    ...entries.flatMap((entry) => {
      if (entry.length > LIMITS.ledgerEntryBytes) throw malformed(`an entry of ${entry.length} bytes`);
      return [new Uint8Array([entry.length >> 8, entry.length & 255]), entry];
    }),
  );
}

/** @throws LEDGER_ENTRY_INVALID when the bytes end inside an entry */
export function parseEntryBundle(bytes: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 2 > bytes.length) throw malformed('a bundle ends inside a length');
    const length = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
    if (at + 2 + length > bytes.length) throw malformed('a bundle ends inside an entry');
    out.push(bytes.slice(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return out;
}

function malformed(what: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('LEDGER_ENTRY_INVALID', what);
}
