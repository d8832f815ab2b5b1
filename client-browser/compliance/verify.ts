import { base64, fromHex, fromUtf8, hex } from '../../shared/core/bytes.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { decodeEntry } from '../../shared/ledger/entries.ts';
import { parseVkey, type VerifierKey } from '../../shared/ledger/keys.ts';
import { leafHash, rootFromInclusion, verifyConsistency, verifyInclusion } from '../../shared/ledger/merkle.ts';
import { formatProof } from '../../shared/ledger/proof.ts';
import type { AboutView } from '../../shared/protocol/views.ts';
import { formatDate, plural } from '../lib/format.ts';
import { LogClient } from './log-client.ts';
import { recallSeen } from './seen.ts';

/** One step of a verification, as it is shown. */
export interface VerifyStep {
  readonly title: string;
  readonly ok: boolean;
  readonly text: string;
  /** The values that were computed and compared. */
  readonly values: readonly { readonly label: string; readonly value: string }[];
}

export interface EntryVerification {
  readonly steps: readonly VerifyStep[];
  /** `.tlog-proof` file, when every step held. */
  readonly proof: string | null;
}

/**
 * Recomputes everything that shows entry `index` to be in the log: its form, its leaf, its path to the root, the
 * signature on that root, and that the log only grew since this browser's last visit. Stops at the first failure.
 */
export async function verifyEntry(
  index: number,
  about: AboutView,
  onStep: (step: VerifyStep) => void,
): Promise<EntryVerification> {
  const steps: VerifyStep[] = [];
  const add = (step: VerifyStep): void => {
    steps.push(step);
    onStep(step);
  };
  try {
    const proof = await allSteps(index, about, new LogClient(), add);
    return { steps, proof };
  } catch (error) {
    add({
      title: 'Stopped',
      ok: false,
      text: error instanceof TacitError ? error.toString() : String(error),
      values: [],
    });
    return { steps, proof: null };
  }
}

async function allSteps(
  index: number,
  about: AboutView,
  client: LogClient,
  add: (step: VerifyStep) => void,
): Promise<string> {
  const logKey = parseVkey(about.vkey);
  const note = await client.checkpointNote();
  const { size, root, witnesses, unknownSignatures } = signatureStep(note, logKey, add);
  const entry = await client.entry(index, size);
  formStep(index, entry, add);
  const leaf = leafHash(entry);
  add({
    title: 'Leaf',
    ok: true,
    text: 'SHA-256 of a zero byte and the entry’s bytes, computed here.',
    values: [{ label: 'leaf', value: hex(leaf) }],
  });
  const path = await client.inclusionProof(index, size);
  verifyInclusion(index, size, leaf, path, root);
  add({
    title: 'Path',
    ok: true,
    text: `${plural(path.length, 'hash', 'hashes')} lead from the leaf to the signed root.`,
    values: [
      ...path.map((h, i) => ({ label: `hash ${i + 1}`, value: hex(h) })),
      { label: 'root computed', value: hex(rootFromInclusion(index, size, leaf, path)) },
      { label: 'root signed', value: hex(root) },
    ],
  });
  await consistencyStep(about, client, { size, root }, add);
  add({
    title: 'Witnesses',
    ok: true,
    text: `${plural(witnesses.length + unknownSignatures, 'other signature')} on the checkpoint. Participants sign it when it extends what they saw; their keys are in the roster entries and are not checked here.`,
    values: [],
  });
  return formatProof({ index, hashes: path, checkpoint: note });
}

function signatureStep(
  note: string,
  logKey: VerifierKey,
  add: (step: VerifyStep) => void,
): ReturnType<typeof LogClient.open> {
  const checkpoint = LogClient.open(note, logKey);
  add({
    title: 'Signature',
    ok: true,
    text: `${checkpoint.origin} signed a log of ${plural(checkpoint.size, 'entry', 'entries')} (Ed25519).`,
    values: [
      { label: 'key', value: base64(logKey.publicKey) },
      { label: 'root', value: hex(checkpoint.root) },
    ],
  });
  return checkpoint;
}

function formStep(index: number, bytes: Uint8Array, add: (step: VerifyStep) => void): void {
  const entry = decodeEntry(bytes);
  add({
    title: 'Entry',
    ok: true,
    text: `Entry ${index} is a ${entry.kind}, version ${entry.version}, in canonical JSON (RFC 8785), ${plural(fromUtf8(bytes).length, 'character')}.`,
    values: [],
  });
}

async function consistencyStep(
  about: AboutView,
  client: LogClient,
  now: { readonly size: number; readonly root: Uint8Array },
  add: (step: VerifyStep) => void,
): Promise<void> {
  const seen = recallSeen(about.origin);
  if (seen === null || seen.size === 0 || seen.size > now.size) {
    add({
      title: 'Consistency',
      ok: seen === null || seen.size === 0,
      text:
        seen === null || seen.size === 0
          ? 'This browser has not seen the log before; it remembers this root from now on.'
          : `The log has shrunk: this browser saw ${seen.size} entries.`,
      values: [],
    });
    return;
  }
  const proof = await client.consistencyProof(seen.size, now.size);
  verifyConsistency(seen.size, now.size, fromHex(seen.root), now.root, proof);
  add({
    title: 'Consistency',
    ok: true,
    text: `The log of ${plural(seen.size, 'entry', 'entries')} that this browser saw on ${formatDate(seen.at)} is a beginning of this one.`,
    values: [
      { label: 'root then', value: seen.root },
      ...proof.map((h, i) => ({ label: `hash ${i + 1}`, value: hex(h) })),
      { label: 'root now', value: hex(now.root) },
    ],
  });
}
