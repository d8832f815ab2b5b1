import { exportBundle } from '../../shared/ledger/bundle.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import { verifyBundle } from '../../shared/ledger/verify.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import type { Store } from '../../shared/store/port.ts';
import type { Outcome } from './closing.ts';

/** Exports the ledger and checks it as an auditor would who knows only its key. */
export async function verifyOwnLedger(
  ledger: Ledger,
  store: Store,
): Promise<Outcome['ledger'] & { readonly failures: readonly string[] }> {
  await ledger.checkpoint();
  const files = await exportBundle(ledger, { vkey: ledger.vkey, blob: (sha256) => store.getBlob(sha256) });
  const report = await verifyBundle(files, { vkeys: [ledger.vkey], recompute: recomputeCertificate });
  return {
    entries: report.size,
    root: report.root,
    verified: report.verdict === 'verified',
    failures: report.failures.map((f) => `${f.index === null ? '' : `entry ${f.index}: `}${f.code}: ${f.what}`),
  };
}
