import { equalBytes, hex } from '../../shared/core/bytes.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { type BudgetStatus, budgetInWords } from '../../shared/ledger/budget.ts';
import type { OpenedCheckpoint } from '../../shared/ledger/checkpoint.ts';
import { decodeEntry, type Entry } from '../../shared/ledger/entries.ts';
import { KeyHistory } from '../../shared/ledger/key-chain.ts';
import { formatVkey, parseVkey, type VerifierKey } from '../../shared/ledger/keys.ts';
import { leafHash, MerkleTree } from '../../shared/ledger/merkle.ts';
import { entryBundlesOf } from '../../shared/ledger/tiles.ts';
import { EntryVerifier } from '../../shared/ledger/verify-entries.ts';
import type { RunSummary } from '../../shared/ledger/verify-runs.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import type { AboutView, BudgetView } from '../../shared/protocol/views.ts';
import { formatEpsilon, plural } from '../lib/format.ts';
import { LogClient } from './log-client.ts';
import { recallSeen, rememberSeen, type Seen } from './seen.ts';

/** An entry whose bytes this device has hashed into the root that the log signed. */
export interface AuditedEntry {
  readonly index: number;
  /** RFC 8785 JSON, byte for byte. */
  readonly text: string;
  readonly leafHash: string;
  /** Null for an entry of a kind or version that this page does not know. */
  readonly entry: Entry | null;
}

/** What this device found out for itself. */
export interface Audit {
  readonly checkpoint: OpenedCheckpoint;
  readonly note: string;
  readonly logKey: VerifierKey;
  /** What this browser had seen before, or null at the first visit. */
  readonly before: Seen | null;
  readonly entries: readonly AuditedEntry[];
  /** Sentences; empty when everything holds. */
  readonly problems: readonly string[];
  /** Facts to know that are no faults: incidents, refusals, open reservations. */
  readonly notes: readonly string[];
  /** What could not be checked here, and why. */
  readonly unchecked: readonly string[];
  /** The budgets as these entries give them. */
  readonly budgets: readonly BudgetStatus[];
  readonly runs: readonly RunSummary[];
}

/**
 * Reads the whole log, hashes every entry, and compares: with the signed root, with what this browser saw before.
 * @param about - the coordinator's own claim of its key; only what was pinned before is better
 * @throws NOTE_INVALID, NOTE_UNSIGNED when the checkpoint itself cannot be trusted
 */
export async function auditLog(
  about: AboutView,
  client: LogClient,
  onProgress: (share: number) => void,
): Promise<Audit> {
  const logKey = parseVkey(about.vkey);
  const before = recallSeen(about.origin);
  const problems: string[] = [];
  const note = await client.checkpointNote();
  const checkpoint = LogClient.open(note, logKey);
  if (checkpoint.origin !== about.origin)
    problems.push(`The checkpoint is of ${checkpoint.origin}, the page is of ${about.origin}.`);
  const tree = new MerkleTree();
  const entries = await readEntries(client, checkpoint.size, tree, onProgress);
  problems.push(...keyProblems(about.origin, entries, checkpoint, before));
  problems.push(...rootProblems(tree, checkpoint, before));
  const claims = await checkClaims(about.origin, tree, entries);
  problems.push(...claims.problems);
  if (problems.length === 0) {
    const seen = {
      vkey: formatVkey(logKey),
      size: checkpoint.size,
      root: hex(checkpoint.root),
      at: new Date().toISOString(),
      checkpoint: note,
    };
    rememberSeen(about.origin, seen);
  }
  return { checkpoint, note, logKey, before, entries, ...claims, problems };
}

async function readEntries(
  client: LogClient,
  size: number,
  tree: MerkleTree,
  onProgress: (share: number) => void,
): Promise<AuditedEntry[]> {
  const entries: AuditedEntry[] = [];
  for (const { index } of entryBundlesOf(size)) {
    for (const bytes of await client.bundle(index, size)) {
      if (entries.length === size) break;
      const hash = leafHash(bytes);
      tree.append(hash);
      entries.push({
        index: entries.length,
        text: new TextDecoder().decode(bytes),
        leafHash: hex(hash),
        entry: known(bytes),
      });
    }
    onProgress(entries.length / size);
  }
  return entries;
}

/** What the entries claim: signatures of clients and approvers, budgets never overspent, every ε computed again. */
async function checkClaims(origin: string, tree: MerkleTree, entries: readonly AuditedEntry[]) {
  const problems: string[] = [];
  const verifier = new EntryVerifier({
    origin,
    files: new Map(),
    authority: 'two-person',
    recompute: recomputeCertificate,
    leafHash: (index) => tree.subtree(0, index),
  });
  for (const { index, entry } of entries) {
    if (entry === null) problems.push(`Entry ${index} is not of a kind that this page knows.`);
    await verifier.take(index, entry ?? undefined);
  }
  const { failures, notes, unchecked, budgets, runs } = verifier.finish();
  for (const f of failures)
    problems.push(`Entry ${f.index}: ${f.what}: expected ${f.expected}, found ${f.actual}. (${f.code})`);
  return { problems, notes, unchecked, budgets, runs };
}

function known(bytes: Uint8Array): Entry | null {
  try {
    return decodeEntry(bytes);
  } catch (error) {
    if (error instanceof TacitError) return null;
    throw error;
  }
}

/** The key that signs is the one in force, and the one seen before, or that one handed over to it. */
function keyProblems(
  origin: string,
  entries: readonly AuditedEntry[],
  { logKey, size }: OpenedCheckpoint,
  before: Seen | null,
): string[] {
  const history = new KeyHistory(origin);
  for (const { index, entry } of entries) if (entry?.kind === 'key.rotate') history.take(index, entry);
  const problems: string[] = [];
  const inForce = history.inForce(size);
  if (inForce !== undefined && formatVkey(inForce) !== formatVkey(logKey))
    problems.push('The checkpoint is signed by a key that has handed over to another.');
  const known =
    before === null || history.linked([parseVkey(before.vkey)]).some((k) => formatVkey(k) === formatVkey(logKey));
  if (!known)
    problems.push(
      'The log’s key is not the one that this browser saw before, and that one has not handed over to it: somebody else answers.',
    );
  return problems;
}

function rootProblems(tree: MerkleTree, checkpoint: OpenedCheckpoint, before: Seen | null): string[] {
  const problems: string[] = [];
  if (tree.size !== checkpoint.size)
    problems.push(`The log serves ${plural(tree.size, 'entry', 'entries')}, its checkpoint says ${checkpoint.size}.`);
  else if (!equalBytes(tree.root(), checkpoint.root)) {
    problems.push(
      `The entries give the root ${hex(tree.root()).slice(0, 16)}…, the signed one is ${hex(checkpoint.root).slice(0, 16)}…: an entry was changed, removed or put in another place.`,
    );
  }
  if (before === null) return problems;
  if (checkpoint.size < before.size)
    problems.push(
      `The log has shrunk from ${before.size} to ${plural(checkpoint.size, 'entry', 'entries')} since ${before.at}.`,
    );
  else if (tree.size >= before.size && hex(tree.root(before.size)) !== before.root) {
    problems.push(
      `The first ${plural(before.size, 'entry', 'entries')} are not the ones that this browser saw on ${before.at}: the ledger was rewritten.`,
    );
  }
  return problems;
}

/** Where the coordinator's summary differs from what its own entries give, and datasets over their budget. */
export function budgetProblems(shown: readonly BudgetView[], computed: readonly BudgetStatus[] | null): string[] {
  const over = shown
    .filter((b) => b.spent + b.reserved > b.epsilon * (1 + SAME))
    .map((b) => `${budgetInWords(b)}: ε ${formatEpsilon(b.spent + b.reserved)} is spent or reserved of ${b.epsilon}.`);
  if (computed === null) return over;
  const differing = computed.filter((c) => {
    const b = shown.find((x) => budgetInWords(x) === budgetInWords(c.budget));
    return (
      b === undefined || !close(b.spent, c.spent) || !close(b.reserved, c.reserved) || !close(b.epsilon, c.epsilon)
    );
  });
  return [
    ...over,
    ...differing.map(
      (c) =>
        `${budgetInWords(c.budget)}: the coordinator’s summary is not what its ledger’s entries give (ε ${c.spent} spent, ${c.reserved} reserved of ${c.epsilon}).`,
    ),
  ];
}

const SAME = 1e-9;

function close(a: number, b: number): boolean {
  return Math.abs(a - b) <= SAME * Math.max(1, Math.abs(a), Math.abs(b));
}
