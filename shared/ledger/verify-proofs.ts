import { equalBytes, fromUtf8, hex } from '../core/bytes.ts';
import type { BundleFiles } from './bundle.ts';
import { type Checkpoint, type OpenedCheckpoint, openCheckpoint } from './checkpoint.ts';
import type { VerifierKey } from './keys.ts';
import { leafHash, type MerkleTree, verifyInclusion } from './merkle.ts';
import { parseProof } from './proof.ts';
import type { LogFindings } from './verify-findings.ts';

export interface TrustedKeys {
  readonly log: readonly VerifierKey[];
  readonly witnesses: readonly VerifierKey[];
}

/** What was handed out earlier (proof files, a checkpoint that somebody kept) against what the bundle holds now. */
export class HistoryVerifier {
  readonly #tree: MerkleTree;
  readonly #main: Checkpoint;
  readonly #keys: TrustedKeys;
  readonly #findings: LogFindings;
  /** Many proofs carry one and the same checkpoint. */
  readonly #opened = new Map<string, OpenedCheckpoint>();
  readonly #compared = new Set<string>();

  constructor(tree: MerkleTree, main: Checkpoint, keys: TrustedKeys, findings: LogFindings) {
    this.#tree = tree;
    this.#main = main;
    this.#keys = keys;
    this.#findings = findings;
  }

  /** Every `proofs/<index>.tlog-proof` of the bundle. */
  proofs(files: BundleFiles, entries: readonly Uint8Array[]): void {
    let checked = 0;
    for (const [path, bytes] of files) {
      const [, digits] = /^proofs\/(0|[1-9]\d{0,14})\.tlog-proof$/.exec(path) ?? [];
      if (digits === undefined) continue;
      const index = Number(digits);
      checked++;
      const own = files.get(`proofs/${index}.entry`);
      this.#findings.attempt(path, () => this.#proof(index, fromUtf8(bytes), own, entries[index]), index);
    }
    if (checked < this.#main.size)
      this.#findings.notes.push(
        `${checked} of ${this.#main.size} entries have a proof file of their own; all were checked through the tree`,
      );
  }

  /** A checkpoint that was seen earlier: its entries must be the first of the bundle's. */
  since(note: string | undefined): void {
    if (note === undefined) {
      this.#findings.unchecked.push(
        'that nothing was rewritten before this export: give --since with a checkpoint seen earlier (witnesses did it at every cosignature)',
      );
      return;
    }
    const earlier = this.#findings.attempt('--since', () => openCheckpoint(note, { log: this.#keys.log }));
    if (earlier === undefined) return;
    if (earlier.size > this.#tree.size)
      this.#findings.fail(
        this.#tree.size,
        'LOG_SHRANK',
        'the log was longer before',
        `at least ${earlier.size} entries`,
        `${this.#tree.size}`,
      );
    else if (!equalBytes(this.#tree.root(earlier.size), earlier.root))
      this.#findings.fail(
        null,
        'LOG_FORKED',
        `the first ${earlier.size} entries are not those of the earlier checkpoint`,
        hex(earlier.root),
        hex(this.#tree.root(earlier.size)),
      );
  }

  #proof(index: number, text: string, own: Uint8Array | undefined, inLog: Uint8Array | undefined): void {
    const proof = parseProof(text);
    const checkpoint = this.#opened.get(proof.checkpoint) ?? openCheckpoint(proof.checkpoint, this.#keys);
    this.#opened.set(proof.checkpoint, checkpoint);
    if (proof.index !== index)
      this.#findings.fail(index, 'PROOF_WRONG', 'the proof file is for another entry', `${index}`, `${proof.index}`);
    if (own !== undefined && inLog !== undefined && !equalBytes(own, inLog))
      this.#findings.fail(
        index,
        'ENTRY_CHANGED',
        `proofs/${index}.entry is not the entry in the log`,
        hex(leafHash(own)),
        hex(leafHash(inLog)),
      );
    // A proof shows what was in the log when it was made, whatever the tiles say now.
    for (const bytes of [own, inLog])
      if (bytes !== undefined)
        verifyInclusion(proof.index, checkpoint.size, leafHash(bytes), proof.hashes, checkpoint.root);
    this.#sameHistory(proof.checkpoint, checkpoint);
  }

  /** Once for each checkpoint under which proofs were handed out. Two roots for one size, both signed, are a fork. */
  #sameHistory(note: string, earlier: OpenedCheckpoint): void {
    if (this.#compared.has(note)) return;
    this.#compared.add(note);
    const { size, root } = this.#main;
    if (earlier.size > size) {
      const what = 'proofs were handed out under a larger checkpoint than this one';
      this.#findings.fail(size, 'LOG_SHRANK', what, `at least ${earlier.size} entries`, `${size}`);
      return;
    }
    const now =
      earlier.size === size ? root : earlier.size <= this.#tree.size ? this.#tree.root(earlier.size) : undefined;
    if (now === undefined || equalBytes(earlier.root, now)) return;
    const what = `two histories are signed for ${earlier.size} entries`;
    this.#findings.fail(Math.max(0, earlier.size - 1), 'LOG_FORKED', what, hex(earlier.root), hex(now));
  }
}
