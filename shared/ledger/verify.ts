import { equalBytes, hex } from '../core/bytes.ts';
import type { BudgetAuthority, BudgetStatus } from './budget.ts';
import { type BundleFiles, bundleText } from './bundle.ts';
import { type Checkpoint, type OpenedCheckpoint, openCheckpoint, peekCheckpoint } from './checkpoint.ts';
import { clientOfLog } from './client-name.ts';
import { decodeEntry, type Entry } from './entries.ts';
import { KeyHistory } from './key-chain.ts';
import { ALGORITHM, formatVkey, parseVkey, type VerifierKey } from './keys.ts';
import { leafHash, MerkleTree } from './merkle.ts';
import { EntryVerifier } from './verify-entries.ts';
import { LogFindings, type VerifyFailure } from './verify-findings.ts';
import { readEntries, verifyRoot, verifyTiles } from './verify-log.ts';
import type { Recompute } from './verify-plans.ts';
import { HistoryVerifier, type TrustedKeys } from './verify-proofs.ts';
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
  /** Whose ledger this is. Default: a client's own by its origin, where the owner opens budgets; else a coordinator's. */
  readonly authority?: BudgetAuthority;
}

/**
 * Checks an export bundle offline, trusting nothing in it: signatures, cosignatures, every root, tile and path, the form
 * and meaning of every entry, signatures of clients, budget totals, and every ε from its parameters.
 *
 * @throws NOTE_INVALID only for malformed `options`; whatever is wrong with the bundle is in the report
 */
export async function verifyBundle(files: BundleFiles, options: VerifyOptions = {}): Promise<VerifyReport> {
  const findings = new LogFindings();
  const given = (options.vkeys ?? []).map(parseVkey);
  const own = trustedKeys(files, given, findings);
  const { note, claimed } = claimedCheckpoint(files, findings);
  const raw = readEntries(claimed.size, files, findings);
  const entries = raw.map((bytes, i) => findings.attempt<Entry>('entry', () => decodeEntry(bytes), i));
  const history = keyHistory(claimed.origin, entries);
  const keys = { log: history.linked(own.log), witnesses: [...own.witnesses, ...history.followed(own.witnesses)] };
  const opened = note === undefined ? undefined : signedCheckpoint(note, keys, history, findings);
  const tree = new MerkleTree();
  for (const bytes of raw) tree.append(leafHash(bytes));
  verifyTiles(tree, claimed, files, findings);
  verifyRoot(tree, claimed, findings);
  const past = new HistoryVerifier(tree, claimed, keys, findings);
  past.proofs(files, raw);
  past.since(options.since);
  const meaning = await verifyEntries(entries, files, tree, claimed.origin, options, findings);
  const present = history.followed(given);
  const established = opened?.logKeys.some((k) => isOneOf(k, history.linked(logKeysOf(given))));
  return {
    verdict: findings.failures.length > 0 ? 'failed' : established ? 'verified' : 'consistent',
    origin: claimed.origin,
    size: claimed.size,
    root: hex(claimed.root),
    logKey: opened === undefined ? null : formatVkey(opened.logKey),
    witnesses: (opened?.witnesses ?? []).map(({ key, time }) => ({
      name: key.name,
      vkey: formatVkey(key),
      at: new Date(time * 1000).toISOString(),
      established: isOneOf(key, present),
    })),
    failures: mostTellingFirst(findings.failures),
    unchecked: findings.unchecked,
    notes: findings.notes,
    ...meaning,
  };
}

/** Keys from outside win; the bundle's own log key is used only when none was given. */
function trustedKeys(files: BundleFiles, given: readonly VerifierKey[], findings: LogFindings): TrustedKeys {
  const own = (path: string): VerifierKey[] =>
    findings.attempt(path, () =>
      (bundleText(files, path) ?? '')
        .split('\n')
        .filter((l) => l !== '')
        .map(parseVkey),
    ) ?? [];
  const [ownLog, ownWitnesses] = [own('log.vkey'), own('witnesses.vkeys')];
  const log = logKeysOf(given);
  const witnesses = given.filter((k) => k.algorithm === ALGORITHM.cosignature);
  if (log.length === 0)
    findings.unchecked.push(
      ownLog.length === 0
        ? 'who signed, and whether anybody did: no key of the log is known; give --vkey'
        : "who signed: the log's key came from the bundle itself; give --vkey with a key got from elsewhere",
    );
  return { log: log.length > 0 ? log : ownLog, witnesses: [...witnesses, ...ownWitnesses] };
}

/** What the checkpoint says, before anybody knows who signed it: what differs from it is named. */
function claimedCheckpoint(
  files: BundleFiles,
  findings: LogFindings,
): { readonly note: string | undefined; readonly claimed: Checkpoint } {
  const nothing = { origin: '', size: 0, root: new MerkleTree().root() };
  const note = findings.attempt('checkpoint', () => bundleText(files, 'checkpoint'));
  if (note === undefined)
    findings.fail(null, 'CHECKPOINT_MISSING', 'the bundle has no readable checkpoint', 'a signed note', 'nothing');
  const claimed = note === undefined ? undefined : findings.attempt('checkpoint', () => peekCheckpoint(note));
  return { note: claimed === undefined ? undefined : note, claimed: claimed ?? nothing };
}

function keyHistory(origin: string, entries: readonly (Entry | undefined)[]): KeyHistory {
  const history = new KeyHistory(origin);
  for (const [index, entry] of entries.entries()) if (entry?.kind === 'key.rotate') history.take(index, entry);
  return history;
}

/** The checkpoint's signatures, by the key that is in force at its size. Undefined when they do not hold. */
function signedCheckpoint(
  note: string,
  keys: TrustedKeys,
  history: KeyHistory,
  findings: LogFindings,
): OpenedCheckpoint | undefined {
  if (keys.log.length === 0) return undefined;
  const { size } = peekCheckpoint(note);
  const opened = findings.attempt(
    `checkpoint of ${size} entries`,
    () => openCheckpoint(note, keys),
    size === 0 ? null : size - 1,
  );
  if (opened === undefined) return undefined;
  if (opened.unknownSignatures > 0)
    findings.unchecked.push(
      `${opened.unknownSignatures} signature(s) on the checkpoint by keys that are not known here`,
    );
  const inForce = history.inForce(opened.size);
  if (inForce !== undefined && !isOneOf(inForce, opened.logKeys))
    findings.fail(
      null,
      'KEY_RETIRED',
      'the checkpoint is signed by a key that was not in force at its size',
      formatVkey(inForce),
      opened.logKeys.map(formatVkey).join(' and '),
    );
  return opened;
}

async function verifyEntries(
  entries: readonly (Entry | undefined)[],
  files: BundleFiles,
  tree: MerkleTree,
  origin: string,
  options: VerifyOptions,
  findings: LogFindings,
): Promise<{ budgets: readonly BudgetStatus[]; runs: readonly RunSummary[] }> {
  const own = clientOfLog(origin) !== undefined;
  if (own) findings.notes.push('a participant’s own ledger: its owner alone opens budgets in it');
  const verifier = new EntryVerifier({
    origin,
    files,
    authority: options.authority ?? (own ? 'own-data' : 'two-person'),
    recompute: options.recompute,
    leafHash: (index) => tree.subtree(0, index),
  });
  for (const [index, entry] of entries.entries()) await verifier.take(index, entry);
  const { failures, unchecked, notes, budgets, runs } = verifier.finish();
  for (const f of failures) findings.fail(f.index, f.code, f.what, f.expected, f.actual);
  findings.unchecked.push(...unchecked);
  findings.notes.push(...notes);
  return { budgets, runs };
}

/** What names the entry that was touched comes before what only shows that something was. */
function mostTellingFirst(failures: readonly VerifyFailure[]): readonly VerifyFailure[] {
  const rank = ({ index, code }: VerifyFailure): number => {
    if (index === null) return 3;
    if (code.startsWith('LOG_')) return 2;
    return code === 'PROOF_INVALID' ? 1 : 0;
  };
  return [...failures].sort((a, b) => rank(a) - rank(b) || (a.index ?? 0) - (b.index ?? 0));
}

function logKeysOf(keys: readonly VerifierKey[]): VerifierKey[] {
  return keys.filter((k) => k.algorithm === ALGORITHM.ed25519);
}

function isOneOf(key: VerifierKey, keys: readonly VerifierKey[]): boolean {
  return keys.some((k) => equalBytes(k.keyId, key.keyId) && k.name === key.name);
}
