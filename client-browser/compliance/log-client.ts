import { type OpenedCheckpoint, openCheckpoint } from '../../shared/ledger/checkpoint.ts';
import type { VerifierKey } from '../../shared/ledger/keys.ts';
import { nodeHash } from '../../shared/ledger/merkle.ts';
import { hashesAt, parseEntryBundle, parseTile, TILE_WIDTH, type TileId, tilePath } from '../../shared/ledger/tiles.ts';

/** Reads the coordinator's log as any C2SP tlog-tiles client would: a checkpoint and static tiles, nothing asked of an API. */
export class LogClient {
  /** Prefix below which the log is served, with its final slash. */
  readonly #prefix: string;
  readonly #tiles = new Map<string, Promise<Uint8Array>>();

  constructor(prefix = '/ledger/') {
    this.#prefix = prefix;
  }

  /** The signed checkpoint as served. */
  async checkpointNote(): Promise<string> {
    const response = await this.#get('checkpoint', 'no-store');
    return response.text();
  }

  /** @throws NOTE_INVALID, NOTE_UNSIGNED */
  static open(note: string, logKey: VerifierKey): OpenedCheckpoint {
    return openCheckpoint(note, { log: [logKey] }, { clockSeconds: Date.now() / 1000 });
  }

  /** Entry bytes [256·index, …) of a log of `size`. */
  async bundle(index: number, size: number): Promise<Uint8Array[]> {
    return parseEntryBundle(await this.#tile('entries', index, size));
  }

  /** The bytes of entry `index`. */
  async entry(index: number, size: number): Promise<Uint8Array> {
    const bundle = await this.bundle(Math.floor(index / TILE_WIDTH), size);
    const entry = bundle[index % TILE_WIDTH];
    if (entry === undefined) throw new Error(`the log does not serve entry ${index}`);
    return entry;
  }

  /** Audit path of leaf `index` in a tree of `size` leaves, leaf side first (RFC 6962 §2.1.1), from tiles. */
  async inclusionProof(index: number, size: number): Promise<Uint8Array[]> {
    const path: Promise<Uint8Array>[] = [];
    let [from, to] = [0, size];
    while (to - from > 1) {
      const split = from + largestPowerBelow(to - from);
      path.push(index < split ? this.#range(split, to, size) : this.#range(from, split, size));
      if (index < split) to = split;
      else from = split;
    }
    return (await Promise.all(path)).reverse();
  }

  /** Consistency proof between two sizes (RFC 6962 §2.1.2), from tiles. */
  async consistencyProof(from: number, size: number): Promise<Uint8Array[]> {
    const sub = (m: number, start: number, end: number, whole: boolean): Promise<Uint8Array>[] => {
      if (m === end - start) return whole ? [] : [this.#range(start, end, size)];
      const k = largestPowerBelow(end - start);
      return m <= k
        ? [...sub(m, start, start + k, whole), this.#range(start + k, end, size)]
        : [...sub(m - k, start + k, end, false), this.#range(start, start + k, size)];
    };
    return from === 0 || from === size ? [] : Promise.all(sub(from, 0, size, true));
  }

  /** MTH of leaves [from, to), `from` aligned as in every proof. */
  async #range(from: number, to: number, size: number): Promise<Uint8Array> {
    const width = to - from;
    const level = Math.log2(width);
    if (Number.isInteger(level)) return this.#subtree(level, from / width, size);
    const split = from + largestPowerBelow(width);
    return nodeHash(await this.#range(from, split, size), await this.#range(split, to, size));
  }

  /** Root of the complete subtree of 2^level leaves, out of the one tile that holds it. */
  async #subtree(level: number, index: number, size: number): Promise<Uint8Array> {
    const tileLevel = Math.floor(level / 8);
    const width = 2 ** (level % 8);
    const first = index * width;
    const tile = parseTile(await this.#tile(tileLevel, Math.floor(first / TILE_WIDTH), size));
    let hashes = tile.slice(first % TILE_WIDTH, (first % TILE_WIDTH) + width);
    if (hashes.length !== width) throw new Error(`tile ${tileLevel}/${Math.floor(first / TILE_WIDTH)} is too short`);
    while (hashes.length > 1) {
      hashes = hashes.flatMap((h, i) => (i % 2 === 0 ? [nodeHash(h, hashes[i + 1] as Uint8Array)] : []));
    }
    return hashes[0] as Uint8Array;
  }

  #tile(level: TileId['level'], index: number, size: number): Promise<Uint8Array> {
    const width = Math.min(TILE_WIDTH, hashesAt(level, size) - index * TILE_WIDTH);
    const path = tilePath({ level, index, width });
    const known = this.#tiles.get(path) ?? this.#fetchTile(path, tilePath({ level, index, width: TILE_WIDTH }));
    this.#tiles.set(path, known);
    known.catch(() => this.#tiles.delete(path));
    return known;
  }

  async #fetchTile(path: string, full: string): Promise<Uint8Array> {
    // A partial tile may go once the full one exists (C2SP tlog-tiles).
    const response = await this.#get(path).catch((error: unknown) => {
      if (full === path) throw error;
      return this.#get(full);
    });
    return new Uint8Array(await response.arrayBuffer());
  }

  async #get(path: string, cache: RequestCache = 'default'): Promise<Response> {
    const response = await fetch(this.#prefix + path, { cache });
    if (!response.ok) throw new Error(`the log answered ${response.status} for ${path}`);
    return response;
  }
}

function largestPowerBelow(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}
