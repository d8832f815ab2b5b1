import { base64, fromBase64 } from '../core/bytes.ts';
import { type BundleFiles, exportBundle } from '../ledger/bundle.ts';
import { peekCheckpoint } from '../ledger/checkpoint.ts';
import { clientOfLog } from '../ledger/client-name.ts';
import { ALGORITHM, formatVkey, verifierKey } from '../ledger/keys.ts';
import { corrupt, LedgerReader } from '../ledger/reader.ts';
import { clientIdThrough } from '../protocol/client-chain.ts';
import type { Store } from '../store/port.ts';
import { OWN_LEDGER_STREAM } from './own-ledger.ts';

/** A site's own ledger as it lies in its store, read only and without its key; undefined while nothing was signed in it. */
export async function openOwnReader(store: Store): Promise<LedgerReader | undefined> {
  const [first] = await store.read(`${OWN_LEDGER_STREAM}/checkpoints`, 0, 1);
  if (first === undefined) return undefined;
  const { origin } = peekCheckpoint((JSON.parse(first.text) as { note: string }).note);
  return LedgerReader.openReader({ store, stream: OWN_LEDGER_STREAM, origin });
}

/**
 * The bundle that `verify` and `reconcile` take. Its key needs no secret to be told: the entries name it, and the site's id is
 * the hash of its first one.
 * @throws LEDGER_CORRUPT when the key that the entries name is not the site's
 */
export async function exportOwnLedger(
  reader: LedgerReader,
): Promise<{ readonly files: BundleFiles; readonly vkey: string }> {
  const vkey = await ownVkey(reader);
  return { files: await exportBundle(reader, { vkey }), vkey };
}

async function ownVkey(reader: LedgerReader): Promise<string> {
  const { origin, signedSize } = reader;
  const key = reader.keys.inForce(signedSize)?.publicKey ?? (await firstKey(reader));
  if (clientIdThrough(key, reader.keys.handovers) !== clientOfLog(origin))
    throw corrupt(`the key ${base64(key)} is not that of ${origin}`, reader.stream);
  return formatVkey(verifierKey(origin, ALGORITHM.ed25519, key));
}

/** A site opens its budget, under its own key, before anything else. */
async function firstKey(reader: LedgerReader): Promise<Uint8Array> {
  const { entry } = await reader.entry(0);
  const approval = entry.kind === 'budget.open' ? entry.approvals[0] : undefined;
  if (approval === undefined) throw corrupt('a site’s own ledger does not begin with its budget', reader.stream);
  return fromBase64(approval.publicKey);
}
