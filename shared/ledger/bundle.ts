import { fromUtf8, utf8 } from '../core/bytes.ts';
import { canonicalBytes } from '../core/canonical.ts';
import { peekCheckpoint } from './checkpoint.ts';
import { documentOf } from './documents.ts';
import { decodeEntry, type Entry } from './entries.ts';
import { leafHash } from './merkle.ts';
import type { LedgerReader } from './reader.ts';
import { entryBundlesOf, parseEntryBundle, tilePath, tilesOf } from './tiles.ts';

/** Files of an export bundle by path. A directory or a .zip holds the same (TLOG.md). */
export type BundleFiles = ReadonlyMap<string, Uint8Array>;

export interface ExportOptions {
  /** The log's verifier key (text). */
  readonly vkey: string;
  /** Fetches documents that entries name by hash only; without it they are left out and `verify` says so. */
  readonly blob?: (sha256: string) => Promise<Uint8Array>;
  /** Entries that get a proof file of their own. Default: all. */
  readonly prove?: (index: number) => boolean;
}

/**
 * Everything that an auditor needs, under the largest signed checkpoint: the static log, keys, a proof for each entry, and
 * the documents that entries name. Reads only what is durable.
 * @throws LEDGER_RANGE when nothing was signed yet, LEDGER_CORRUPT
 */
export async function exportBundle(ledger: LedgerReader, options: ExportOptions): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const checkpoint = await ledger.checkpoint();
  const { origin, size } = peekCheckpoint(checkpoint);
  files.set('README.txt', utf8(readme(origin, size)));
  files.set('checkpoint', utf8(checkpoint));
  files.set('log.vkey', utf8(`${options.vkey}\n`));
  files.set('witnesses.vkeys', utf8(ledger.witnessVkeys.map((k) => `${k}\n`).join('')));
  for (const tile of tilesOf(size))
    files.set(tilePath(tile), present(await ledger.tile(tile.level as number, tile.index, tile.width)));
  for (const tile of entryBundlesOf(size))
    files.set(tilePath(tile), present(await ledger.entryBundle(tile.index, tile.width)));
  for (const { index, bytes, entry } of await ledger.entries(0, size)) {
    if (options.prove?.(index) ?? true) {
      files.set(`proofs/${index}.tlog-proof`, utf8(await ledger.proofFile(index, size)));
      files.set(`proofs/${index}.entry`, bytes);
    }
    if (entry.kind === 'plan.commit' && entry.plan !== null)
      files.set(`plans/${entry.planHash}.json`, canonicalBytes(entry.plan));
    const document = documentOf(entry);
    if (options.blob !== undefined && document !== undefined)
      files.set(document.path, await options.blob(document.sha256));
  }
  return files;
}

/** One entry of a bundle, before anything was verified. */
export interface BundleEntry {
  readonly index: number;
  readonly leafHash: Uint8Array;
  readonly entry: Entry;
}

/**
 * The entries of a bundle in their order. Run {@link verifyBundle} first: nothing here is checked against a root.
 * @throws NOTE_INVALID, LEDGER_ENTRY_INVALID
 */
export function bundleEntries(files: BundleFiles): readonly BundleEntry[] {
  const { size } = peekCheckpoint(bundleText(files, 'checkpoint') ?? '');
  return entryBundlesOf(size)
    .flatMap((tile) => parseEntryBundle(files.get(tilePath(tile)) ?? new Uint8Array(0)))
    .map((bytes, index) => ({ index, leafHash: leafHash(bytes), entry: decodeEntry(bytes) }));
}

/** Text of a file, undefined when it is absent. @throws BYTES_INVALID when it is not UTF-8 */
export function bundleText(files: BundleFiles, path: string): string | undefined {
  const bytes = files.get(path);
  return bytes === undefined ? undefined : fromUtf8(bytes);
}

function present(bytes: Uint8Array | undefined): Uint8Array {
  // The tree holds every tile of a size it has signed; its absence would be a fault of this program.
  if (bytes === undefined) throw new Error('a tile of the signed size is missing');
  return bytes;
}

function readme(origin: string, size: number): string {
  return `Ledger ${origin}, ${size} entries

This directory can be checked without network and without trusting whoever made it.

With Tacit:    tacit ledger verify . --vkey "<the log's key, got from elsewhere>"
               (exit code 0: verified; 4: something does not hold, and the entry is named)

With others' tools:
  checkpoint              C2SP signed note (tlog-checkpoint), cosigned by the clients as witnesses (tlog-cosignature v1).
                          Go: golang.org/x/mod/sumdb/note, note.Open with log.vkey.
  tile/..                 C2SP tlog-tiles: the Merkle tree of RFC 6962, 256 hashes a tile.
  tile/entries/..         the entries themselves: uint16 length, then RFC 8785 JSON, again and again.
  proofs/N.tlog-proof     C2SP tlog-proof v1 for entry N; proofs/N.entry is that entry, byte for byte.
                          Go: golang.org/x/mod/sumdb/tlog, tlog.CheckRecord.
  log.vkey                the log's verifier key. A key from inside the bundle shows only that the bundle agrees with
                          itself: compare it with one you got from elsewhere (each participant has pinned it).
  witnesses.vkeys         verifier keys of the witnesses, one a line. The same holds.
  plans/, rosters/        documents that entries name by SHA-256.
`;
}
