import { zipSync } from 'fflate';
import { fromHex, hex, utf8 } from '../../shared/core/bytes.ts';
import { formatVkey } from '../../shared/ledger/keys.ts';
import { MerkleTree } from '../../shared/ledger/merkle.ts';
import {
  entryBundlesOf,
  formatEntryBundle,
  TILE_WIDTH,
  tileBytes,
  tilePath,
  tilesOf,
} from '../../shared/ledger/tiles.ts';
import type { VerifyReport } from '../../shared/ledger/verify.ts';
import { type Placed, scopeAccounts } from '../../shared/protocol/report/account.ts';
import { type RegistryRecord, registryRecord } from '../../shared/protocol/report/registry.ts';
import { type LedgerReport, ledgerReport } from '../../shared/protocol/report/report.ts';
import type { Audit } from './audit.ts';

/** What this device found, in the form of `tacit ledger verify`. The key came from the coordinator, so the signer is not established. */
function foundBy(audit: Audit): VerifyReport {
  const { checkpoint, problems, notes, unchecked, budgets, runs, logKey } = audit;
  return {
    verdict: problems.length > 0 ? 'failed' : 'consistent',
    origin: checkpoint.origin,
    size: checkpoint.size,
    root: hex(checkpoint.root),
    logKey: formatVkey(logKey),
    witnesses: [],
    failures: problems.map((what) => ({ index: null, code: 'FOUND', what, expected: '', actual: '' })),
    unchecked,
    notes,
    budgets,
    runs,
  };
}

function placed(audit: Audit): readonly Placed[] {
  return audit.entries.flatMap(({ index, entry }) => (entry === null ? [] : [{ index, entry }]));
}

/** The report of `tacit ledger report`, made on this device. */
export function accountOf(audit: Audit): LedgerReport {
  return ledgerReport(foundBy(audit), placed(audit), {}, new Date().toISOString());
}

/** The drafts of `tacit ledger registry`; JSON is YAML as well. */
export function registryOf(audit: Audit): readonly RegistryRecord[] {
  const verified = foundBy(audit);
  const scopes = scopeAccounts(placed(audit), verified.budgets, verified.runs);
  return scopes.flatMap((scope) => scope.runs.map((run) => registryRecord(run, scope, verified, {})));
}

/** The log as this device read it, in the layout of `tacit ledger export` without proofs. */
export function bundleZip(audit: Audit): Uint8Array<ArrayBuffer> {
  const { size } = audit.checkpoint;
  const tree = new MerkleTree();
  for (const { leafHash } of audit.entries) tree.append(fromHex(leafHash));
  const files: Record<string, Uint8Array> = {
    checkpoint: utf8(audit.note),
    'log.vkey': utf8(`${formatVkey(audit.logKey)}\n`),
  };
  if (tree.size === size)
    for (const tile of tilesOf(size)) files[tilePath(tile)] = tileBytes(tree, { ...tile, level: tile.level as number });
  for (const tile of entryBundlesOf(size)) {
    const from = tile.index * TILE_WIDTH;
    const texts = audit.entries.slice(from, from + tile.width);
    files[tilePath(tile)] = formatEntryBundle(texts.map(({ text }) => utf8(text)));
  }
  return zipSync(files) as Uint8Array<ArrayBuffer>;
}
