import { equalBytes, hex, utf8 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { Store, StoredEvent } from '../store/port.ts';
import { type Checkpoint, peekCheckpoint } from './checkpoint.ts';
import { decodeEntry, type Entry } from './entries.ts';
import type { LedgerErrorCode } from './errors.ts';
import { KeyHistory } from './key-chain.ts';
import { leafHash, MerkleTree } from './merkle.ts';
import { parseSignatureLine } from './note.ts';
import { formatProof } from './proof.ts';
import { formatEntryBundle, hashesAt, TILE_WIDTH, tileBytes } from './tiles.ts';

/** One entry as stored, with everything that is derived from its bytes. */
export interface LedgerRecord {
  readonly index: number;
  /** RFC 8785 JSON, byte for byte. */
  readonly text: string;
  readonly bytes: Uint8Array;
  /** RFC 6962 leaf hash. */
  readonly leafHash: Uint8Array;
  readonly entry: Entry;
}

interface SignedCheckpoint extends Checkpoint {
  /** Body, empty line, the log's signature line. */
  readonly note: string;
  readonly body: string;
  /** Witnesses' lines, in the order in which they came. */
  readonly cosignatures: Map<string, string>;
}

/** signed-note allows 100 signatures; the log's own is one. */
const SERVED_COSIGNATURES = 99;
const PAGE = 512;

/**
 * A ledger as the store holds it: three streams (entries, signed checkpoints, cosignatures), and in memory the tree of
 * their hashes. Reads only, so it needs no key: export, verification and pages use it.
 */
export class LedgerReader {
  protected readonly store: Store;
  readonly stream: string;
  /** Name of the log in its checkpoints. */
  readonly origin: string;
  readonly #tree = new MerkleTree();
  /** opId → index. */
  readonly #operations = new Map<string, number>();
  readonly #checkpoints = new Map<number, SignedCheckpoint>();
  readonly #witnesses = new Set<string>();
  /** Which key signs which size. */
  readonly keys: KeyHistory;
  #signedSize = -1;
  readonly #read = { checkpoints: 0, cosignatures: 0 };

  protected constructor(store: Store, stream: string, origin: string) {
    this.store = store;
    this.stream = stream;
    this.origin = origin;
    this.keys = new KeyHistory(origin);
  }

  /** @throws LEDGER_CORRUPT when the stored entries are not the signed ones */
  static async openReader(options: {
    readonly store: Store;
    readonly stream: string;
    readonly origin: string;
  }): Promise<LedgerReader> {
    const reader = new LedgerReader(options.store, options.stream, options.origin);
    await reader.refresh();
    return reader;
  }

  /** Number of durable entries, as far as this process has read. */
  get size(): number {
    return this.#tree.size;
  }

  /** Largest size for which a checkpoint is signed and stored; -1 when there is none. */
  get signedSize(): number {
    return this.#signedSize;
  }

  /** Verifier keys (text) of every witness that has cosigned, in order of appearance. */
  get witnessVkeys(): readonly string[] {
    return [...this.#witnesses];
  }

  /** Takes in what other processes have appended. @throws LEDGER_CORRUPT */
  async refresh(): Promise<void> {
    // Read in the opposite order of writing: what a checkpoint covers was durable before it, so it is found after it.
    const cosignatures = await this.store.read(`${this.stream}/cosignatures`, this.#read.cosignatures);
    const checkpoints = await this.store.read(`${this.stream}/checkpoints`, this.#read.checkpoints);
    for (let page: readonly StoredEvent[]; ; ) {
      page = await this.store.read(this.stream, this.size, PAGE);
      this.take(page);
      if (page.length < PAGE) break;
    }
    for (const row of checkpoints) this.#takeCheckpoint(row);
    for (const row of cosignatures) this.#takeCosignature(row);
  }

  async entry(index: number): Promise<LedgerRecord> {
    const [record] = await this.entries(index, index + 1);
    if (record === undefined) throw outside(index, this.size);
    return record;
  }

  /** Entries [from, to). @throws LEDGER_CORRUPT when a stored text is not the one that was hashed at first reading */
  async entries(from: number, to: number = this.size): Promise<readonly LedgerRecord[]> {
    const end = Math.min(to, this.size);
    if (from >= end) return [];
    const rows = await this.store.read(this.stream, from, end - from);
    if (rows.length !== end - from) throw corrupt(`entries ${from + rows.length}–${end - 1} are gone`, this.stream);
    return rows.map((row) => this.#record(row));
  }

  /** Index of the entry that was appended under `opId`. */
  operation(opId: string): number | undefined {
    return this.#operations.get(opId);
  }

  root(size: number = this.size): Uint8Array {
    return this.#tree.root(size);
  }

  leafHash(index: number): Uint8Array {
    return this.#tree.subtree(0, index);
  }

  /** @throws LEDGER_RANGE */
  inclusionProof(index: number, size: number): Uint8Array[] {
    return this.#tree.inclusionProof(index, size);
  }

  /** @throws LEDGER_RANGE */
  consistencyProof(from: number, to: number): Uint8Array[] {
    return this.#tree.consistencyProof(from, to);
  }

  /** Bytes of `tile/<level>/<index>[.p/<width>]`, undefined where the log has none. */
  async tile(level: number, index: number, width: number = TILE_WIDTH): Promise<Uint8Array | undefined> {
    if (!this.#has(level, index, width)) return undefined;
    return tileBytes(this.#tree, { level, index, width });
  }

  /** Bytes of `tile/entries/<index>[.p/<width>]`, undefined where the log has none. */
  async entryBundle(index: number, width: number = TILE_WIDTH): Promise<Uint8Array | undefined> {
    if (!this.#has('entries', index, width)) return undefined;
    const from = index * TILE_WIDTH;
    return formatEntryBundle((await this.entries(from, from + width)).map((r) => r.bytes));
  }

  /** The signed checkpoint of exactly this size with its cosignatures, or undefined when none was signed. */
  checkpointAt(size: number): string | undefined {
    const signed = this.#checkpoints.get(size);
    if (signed === undefined) return undefined;
    const lines = [...signed.cosignatures.values()].slice(0, SERVED_COSIGNATURES);
    return `${signed.note}${lines.map((line) => `${line}\n`).join('')}`;
  }

  /** The largest signed checkpoint with its cosignatures. @throws LEDGER_RANGE when nothing was ever signed */
  async checkpoint(): Promise<string> {
    const note = this.checkpointAt(this.#signedSize);
    if (note !== undefined) return note;
    throw new TacitError<LedgerErrorCode>('LEDGER_RANGE', 'the ledger has no signed checkpoint yet', {
      where: this.stream,
      fix: 'Start the coordinator once on this store; it signs what is there.',
    });
  }

  /** A `.tlog-proof` file for one entry under the checkpoint of `size` (the largest signed one by default). */
  async proofFile(index: number, size?: number): Promise<string> {
    const checkpoint = size === undefined ? await this.checkpoint() : this.checkpointAt(size);
    if (checkpoint === undefined) throw outside(size ?? 0, this.size);
    return formatProof({ index, hashes: this.inclusionProof(index, peekCheckpoint(checkpoint).size), checkpoint });
  }

  /** For subclasses: adds rows that follow what is known. */
  protected take(rows: readonly StoredEvent[]): void {
    for (const row of rows) {
      if (row.seq < this.size) continue; // an append and a refresh that met
      if (row.seq > this.size) throw corrupt(`entry ${this.size} is missing`, this.stream);
      this.#operations.set(row.opId, row.seq);
      this.#tree.append(leafHash(utf8(row.text)));
      if (row.text.includes('"kind":"key.rotate"')) this.#takeHandover(row);
    }
  }

  protected hasCosignature(size: number, witness: string): boolean {
    return this.#checkpoints.get(size)?.cosignatures.has(witness) ?? false;
  }

  #takeHandover({ seq, text }: StoredEvent): void {
    const entry = decodeEntry(utf8(text));
    if (entry.kind === 'key.rotate' && !this.keys.take(seq, entry))
      throw corrupt(`entry ${seq} hands over to a key without the signature of the key in force`, this.stream);
  }

  #takeCheckpoint(row: StoredEvent): void {
    if (row.seq < this.#read.checkpoints) return;
    const { note } = JSON.parse(row.text) as { note: string };
    const checkpoint = peekCheckpoint(note);
    const { origin, size, root } = checkpoint;
    if (origin !== this.origin) throw corrupt(`the checkpoints are of ${origin}, not of ${this.origin}`, this.stream);
    if (size > this.size)
      throw corrupt(`${size} entries were signed, ${this.size} are stored: the store was rolled back`, this.stream);
    const now = this.root(size);
    if (!equalBytes(now, root)) {
      throw corrupt(
        `the first ${size} entries were signed with root ${hex(root)} and now give ${hex(now)}`,
        this.stream,
      );
    }
    this.#checkpoints.set(size, { ...checkpoint, note, cosignatures: new Map() });
    this.#signedSize = Math.max(this.#signedSize, size);
    this.#read.checkpoints = row.seq + 1;
  }

  #takeCosignature(row: StoredEvent): void {
    if (row.seq < this.#read.cosignatures) return;
    const { size, line, vkey } = JSON.parse(row.text) as { size: number; line: string; vkey: string };
    this.#checkpoints.get(size)?.cosignatures.set(witnessId(parseSignatureLine(line)), line);
    this.#witnesses.add(vkey);
    this.#read.cosignatures = row.seq + 1;
  }

  #record(row: StoredEvent): LedgerRecord {
    const bytes = utf8(row.text);
    const hash = leafHash(bytes);
    if (!equalBytes(hash, this.leafHash(row.seq))) throw corrupt(`entry ${row.seq} was changed`, this.stream);
    return { index: row.seq, text: row.text, bytes, leafHash: hash, entry: decodeEntry(bytes) };
  }

  #has(level: number | 'entries', index: number, width: number): boolean {
    if (width < 1 || width > TILE_WIDTH || index < 0 || (level !== 'entries' && level < 0)) return false;
    return index * TILE_WIDTH + width <= hashesAt(level, this.size);
  }
}

/** What makes a witness's line on one checkpoint unique: its key. */
export function witnessId(key: { readonly name: string; readonly keyId: Uint8Array }): string {
  return `${hex(key.keyId)}/${hex(utf8(key.name)).slice(0, 160)}`;
}

export function corrupt(what: string, where: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('LEDGER_CORRUPT', what, {
    where,
    fix: 'Stop; restore the store from a backup that holds at least the signed entries, and keep this copy as evidence.',
  });
}

function outside(index: number, size: number): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('LEDGER_RANGE', `${index} is not in a ledger of ${size} entries`);
}
