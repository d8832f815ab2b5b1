import { equalBytes, fromUtf8, hex } from '../core/bytes.ts';
import type { BudgetAuthority, BudgetStatus } from './budget.ts';
import { type BundleFiles, bundleText } from './bundle.ts';
import { type OpenedCheckpoint, openCheckpoint, peekCheckpoint } from './checkpoint.ts';
import { decodeEntry, type Entry } from './entries.ts';
import { ALGORITHM, formatVkey, parseVkey, type VerifierKey } from './keys.ts';
import { leafHash, MerkleTree, verifyInclusion } from './merkle.ts';
import { parseProof } from './proof.ts';
import { entryBundlesOf, parseEntryBundle, parseTile, type TileId, tileBytes, tilePath, tilesOf } from './tiles.ts';
import { EntryVerifier } from './verify-entries.ts';
import type { VerifyFailure } from './verify-findings.ts';
import type { Recompute } from './verify-plans.ts';
import type { RunSummary } from './verify-runs.ts';

export interface VerifyReport {
  /** `verified`: signed by a key given from outside. `consistent`: internally consistent, signer not established. */
  readonly verdict: 'verified' | 'consistent' | 'failed';
  readonly origin: string;
  readonly size: number;
  /** Hex of the signed root. */
  readonly root: string;
  readonly logKey: string | null;
  readonly witnesses: readonly {
    readonly name: string;
    readonly vkey: string;
    readonly at: string;
    readonly established: boolean;
  }[];
  readonly failures: readonly VerifyFailure[];
  /** What could not be checked, and why. */
  readonly unchecked: readonly string[];
  /** Facts an auditor should read: incidents, refusals, runs without privacy, open reservations. */
  readonly notes: readonly string[];
  readonly budgets: readonly BudgetStatus[];
  readonly runs: readonly RunSummary[];
}

export interface VerifyOptions {
  /** Verifier keys got from elsewhere: the log's (type 0x01) and witnesses' (0x04). */
  readonly vkeys?: readonly string[];
  /** A checkpoint of this log that was seen earlier: the bundle must extend it. */
  readonly since?: string;
  /** Computes a plan's ε again from its parameters (the accountant, handed in). */
  readonly recompute?: Recompute;
  /** Whose ledger this is. Default: a coordinator's, where budgets take two people. */
  readonly authority?: BudgetAuthority;
}

/** After this many entries with the same fault, only their number is told. */
const NAMED_PER_FAULT = 20;

/**
 * Checks an export bundle offline, trusting nothing in it: signatures, cosignatures, every root, tile and path, the form
 * and meaning of every entry, signatures of clients, budget totals, and every ε from its parameters.
 *
 * @throws NOTE_INVALID only for malformed `options`; whatever is wrong with the bundle is in the report
 */
export async function verifyBundle(files: BundleFiles, options: VerifyOptions = {}): Promise<VerifyReport> {
  const check = new BundleCheck(files, options);
  return check.run();
}

class BundleCheck {
  readonly #files: BundleFiles;
  readonly #options: VerifyOptions;
  readonly #failures: VerifyFailure[] = [];
  readonly #unchecked: string[] = [];
  readonly #notes: string[] = [];
  /** Many proofs carry one and the same checkpoint. */
  readonly #opened = new Map<string, OpenedCheckpoint>();

  constructor(files: BundleFiles, options: VerifyOptions) {
    this.#files = files;
    this.#options = options;
  }

  async run(): Promise<VerifyReport> {
    const given = (this.#options.vkeys ?? []).map(parseVkey);
    const keys = this.#keys(given);
    const checkpoint = this.#checkpoint(keys);
    const entries = this.#entries(checkpoint.size);
    const tree = new MerkleTree();
    for (const bytes of entries) tree.append(leafHash(bytes));
    this.#tiles(tree, entries.length, checkpoint);
    this.#root(tree, checkpoint);
    this.#proofs(entries, tree, checkpoint, keys);
    this.#since(tree, keys);
    const meaning = await this.#meaning(entries, tree, checkpoint.origin);
    const log = checkpoint.opened;
    const established =
      log !== undefined && given.some((k) => equalBytes(k.keyId, log.logKey.keyId) && k.name === log.logKey.name);
    return {
      verdict: this.#failures.length > 0 ? 'failed' : established ? 'verified' : 'consistent',
      origin: checkpoint.origin,
      size: checkpoint.size,
      root: hex(checkpoint.root),
      logKey: log === undefined ? null : formatVkey(log.logKey),
      witnesses: (log?.witnesses ?? []).map(({ key, time }) => ({
        name: key.name,
        vkey: formatVkey(key),
        at: new Date(time * 1000).toISOString(),
        established: given.some((k) => equalBytes(k.keyId, key.keyId) && k.name === key.name),
      })),
      failures: this.#failures,
      unchecked: this.#unchecked,
      notes: this.#notes,
      budgets: meaning.budgets,
      runs: meaning.runs,
    };
  }

  /** Keys from outside win; the bundle's own log key is used only when none was given. */
  #keys(given: readonly VerifierKey[]): Keys {
    const own = (path: string): VerifierKey[] =>
      this.#attempt(path, () =>
        (bundleText(this.#files, path) ?? '')
          .split('\n')
          .filter((l) => l !== '')
          .map(parseVkey),
      ) ?? [];
    const [ownLog, ownWitnesses] = [own('log.vkey'), own('witnesses.vkeys')];
    const log = given.filter((k) => k.algorithm === ALGORITHM.ed25519);
    const witnesses = given.filter((k) => k.algorithm === ALGORITHM.cosignature);
    if (log.length === 0)
      this.#unchecked.push(
        "who signed: the log's key came from the bundle itself; give --vkey with a key got from elsewhere",
      );
    return { log: log.length > 0 ? log : ownLog, witnesses: [...witnesses, ...ownWitnesses] };
  }

  #checkpoint(keys: Keys): CheckedCheckpoint {
    const nothing = { origin: '', size: 0, root: new MerkleTree().root(), opened: undefined };
    const note = this.#attempt('checkpoint', () => bundleText(this.#files, 'checkpoint'));
    if (note === undefined) {
      this.#fail(null, 'CHECKPOINT_MISSING', 'the bundle has no readable checkpoint', 'a signed note', 'nothing');
      return nothing;
    }
    const opened = this.#attempt('checkpoint', () => openCheckpoint(note, keys));
    if (opened !== undefined) {
      if (opened.unknownSignatures > 0)
        this.#unchecked.push(
          `${opened.unknownSignatures} signature(s) on the checkpoint by keys that are not known here`,
        );
      return { ...opened, opened };
    }
    // What it claims is still compared with the entries, so that the report names what differs.
    const claimed = this.#attempt(null, () => peekCheckpoint(note));
    return claimed === undefined ? nothing : { ...claimed, opened: undefined };
  }

  /** Entries out of the bundles of the signed size; what is missing is a failure. */
  #entries(size: number): Uint8Array[] {
    const entries: Uint8Array[] = [];
    for (const bundle of entryBundlesOf(size)) {
      const path = tilePath(bundle);
      const bytes = this.#files.get(path);
      const found = bytes === undefined ? undefined : this.#attempt(path, () => parseEntryBundle(bytes));
      if (found?.length !== bundle.width) {
        const first = entries.length + (found?.length ?? 0);
        this.#fail(
          Math.min(first, size - 1),
          'ENTRIES_MISSING',
          `${path} does not hold its entries`,
          `${bundle.width} entries`,
          `${found?.length ?? 0} entries`,
        );
      }
      entries.push(...(found ?? []));
    }
    return entries;
  }

  #tiles(tree: MerkleTree, count: number, { size, root }: CheckedCheckpoint): void {
    const whole = count === size && equalBytes(tree.root(), root);
    for (const tile of tilesOf(size)) {
      const path = tilePath(tile);
      const bytes = this.#files.get(path);
      if (bytes === undefined)
        this.#fail(null, 'TILE_MISSING', `${path} is missing`, `${tile.width} hashes`, 'nothing');
      else if (tile.level === 0) this.#leaves(path, tile, bytes, tree, count, whole);
      else if (count === size && !equalBytes(bytes, tileBytes(tree, tile as TileId & { level: number }))) {
        this.#fail(
          null,
          'TILE_WRONG',
          `${path} is not what the entries give`,
          'the hashes of complete subtrees',
          'others',
        );
      }
    }
  }

  /** Level 0 names the entry: its hash in the tile against the hash of its bytes. */
  #leaves(path: string, tile: TileId, bytes: Uint8Array, tree: MerkleTree, count: number, whole: boolean): void {
    const hashes = this.#attempt(path, () => parseTile(bytes)) ?? [];
    if (hashes.length !== tile.width)
      this.#fail(null, 'TILE_WRONG', `${path} has the wrong length`, `${tile.width} hashes`, `${hashes.length} hashes`);
    for (const [i, hash] of hashes.entries()) {
      const index = tile.index * 256 + i;
      if (index >= count) continue;
      const actual = tree.subtree(0, index);
      if (equalBytes(hash, actual)) continue;
      // If the entries give the signed root, it is the tile that was changed.
      const what = whole
        ? `the leaf hash in ${path} is not that of the entry`
        : `the entry is not the one that ${path} was made of`;
      this.#fail(
        index,
        whole ? 'TILE_WRONG' : 'ENTRY_CHANGED',
        what,
        hex(whole ? actual : hash),
        hex(whole ? hash : actual),
      );
    }
  }

  #root(tree: MerkleTree, { size, root }: CheckedCheckpoint): void {
    if (tree.size !== size)
      this.#fail(
        Math.min(tree.size, Math.max(0, size - 1)),
        'ENTRIES_MISSING',
        'the number of entries is not the signed one',
        `${size}`,
        `${tree.size}`,
      );
    else if (!equalBytes(tree.root(), root)) {
      this.#fail(null, 'ROOT_WRONG', 'the entries do not give the root in the checkpoint', hex(root), hex(tree.root()));
    }
  }

  #proofs(entries: readonly Uint8Array[], tree: MerkleTree, main: CheckedCheckpoint, keys: Keys): void {
    let checked = 0;
    for (const [path, bytes] of this.#files) {
      const [, digits] = /^proofs\/(0|[1-9]\d{0,14})\.tlog-proof$/.exec(path) ?? [];
      if (digits === undefined) continue;
      const index = Number(digits);
      checked++;
      this.#attempt(path, () => this.#proof(index, fromUtf8(bytes), entries, tree, main, keys), index);
    }
    if (checked < main.size)
      this.#notes.push(
        `${checked} of ${main.size} entries have a proof file of their own; all were checked through the tree`,
      );
  }

  #proof(
    index: number,
    text: string,
    entries: readonly Uint8Array[],
    tree: MerkleTree,
    main: CheckedCheckpoint,
    keys: Keys,
  ): void {
    const proof = parseProof(text);
    const checkpoint = this.#opened.get(proof.checkpoint) ?? openCheckpoint(proof.checkpoint, keys);
    this.#opened.set(proof.checkpoint, checkpoint);
    const entry = this.#files.get(`proofs/${index}.entry`);
    const inLog = entries[index];
    if (proof.index !== index)
      this.#fail(index, 'PROOF_WRONG', 'the proof file is for another entry', `${index}`, `${proof.index}`);
    if (entry !== undefined && inLog !== undefined && !equalBytes(entry, inLog)) {
      this.#fail(
        index,
        'ENTRY_CHANGED',
        `proofs/${index}.entry is not the entry in the log`,
        hex(leafHash(entry)),
        hex(leafHash(inLog)),
      );
    }
    // A proof shows what was in the log when it was made, whatever the tiles say now.
    for (const bytes of [entry, inLog])
      if (bytes !== undefined)
        verifyInclusion(proof.index, checkpoint.size, leafHash(bytes), proof.hashes, checkpoint.root);
    if (checkpoint.size > main.size)
      this.#fail(
        index,
        'LOG_SHRANK',
        'the proof is under a larger checkpoint than the bundle',
        `at most ${main.size}`,
        `${checkpoint.size}`,
      );
    else this.#sameHistory(index, checkpoint, tree, main);
  }

  /** Two roots for one size, both signed, are the evidence of a fork. */
  #sameHistory(index: number | null, earlier: OpenedCheckpoint, tree: MerkleTree, main: CheckedCheckpoint): void {
    const now =
      earlier.size === main.size ? main.root : earlier.size <= tree.size ? tree.root(earlier.size) : undefined;
    if (now === undefined || equalBytes(earlier.root, now)) return;
    this.#fail(
      index,
      'LOG_FORKED',
      `two histories are signed for ${earlier.size} entries`,
      hex(earlier.root),
      hex(now),
    );
  }

  #since(tree: MerkleTree, keys: Keys): void {
    const { since } = this.#options;
    if (since === undefined) {
      this.#unchecked.push(
        'that nothing was rewritten before this export: give --since with a checkpoint seen earlier (witnesses did it at every cosignature)',
      );
      return;
    }
    const earlier = this.#attempt('--since', () => openCheckpoint(since, { log: keys.log }));
    if (earlier === undefined) return;
    if (earlier.size > tree.size)
      this.#fail(
        tree.size,
        'LOG_SHRANK',
        'the log was longer before',
        `at least ${earlier.size} entries`,
        `${tree.size}`,
      );
    else if (!equalBytes(tree.root(earlier.size), earlier.root)) {
      this.#fail(
        null,
        'LOG_FORKED',
        `the first ${earlier.size} entries are not those of the earlier checkpoint`,
        hex(earlier.root),
        hex(tree.root(earlier.size)),
      );
    }
  }

  async #meaning(
    entries: readonly Uint8Array[],
    tree: MerkleTree,
    origin: string,
  ): Promise<{ budgets: readonly BudgetStatus[]; runs: readonly RunSummary[] }> {
    const verifier = new EntryVerifier({
      origin,
      files: this.#files,
      authority: this.#options.authority ?? 'two-person',
      recompute: this.#options.recompute,
      leafHash: (index) => tree.subtree(0, index),
    });
    for (const [index, bytes] of entries.entries()) {
      const entry = this.#attempt<Entry>('entry', () => decodeEntry(bytes), index);
      await verifier.take(index, entry);
    }
    const { failures, unchecked, notes, budgets, runs } = verifier.finish();
    for (const f of failures) this.#fail(f.index, f.code, f.what, f.expected, f.actual);
    this.#unchecked.push(...unchecked);
    this.#notes.push(...notes);
    return { budgets, runs };
  }

  #fail(index: number | null, code: string, what: string, expected: string, actual: string): void {
    const same = this.#failures.filter((f) => f.code === code).length;
    if (same < NAMED_PER_FAULT) this.#failures.push({ index, code, what, expected, actual });
    else if (same === NAMED_PER_FAULT)
      this.#failures.push({ index, code, what: 'and more of the same', expected: '', actual: '' });
  }

  /** Runs a check that throws coded errors; an error becomes a failure about `path`. */
  #attempt<T>(path: string | null, body: () => T, index: number | null = null): T | undefined {
    try {
      return body();
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      if (code === undefined) throw error;
      if (path !== null) this.#fail(index, code, `${path}: ${message}`, 'a valid one', 'this one');
      return undefined;
    }
  }
}

interface Keys {
  readonly log: readonly VerifierKey[];
  readonly witnesses: readonly VerifierKey[];
}

interface CheckedCheckpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  /** Undefined when its signatures do not hold. */
  readonly opened: OpenedCheckpoint | undefined;
}
