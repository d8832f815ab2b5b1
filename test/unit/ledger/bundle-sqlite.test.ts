import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { exportBundle } from '../../../shared/ledger/bundle.ts';
import { LedgerReader } from '../../../shared/ledger/reader.ts';
import { verifyBundle } from '../../../shared/ledger/verify.ts';
import { readDirectoryFiles, writeDirectoryFiles } from '../../../shared/node/directory-files.ts';
import { openSqliteStore } from '../../../shared/node/store/sqlite.ts';
import { origin, runLedger } from '../../support/run-ledger.ts';

it('a run in SQLite, exported without its key after a restart, read back from the directory, verifies', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tacit-bundle-'));
  try {
    const first = await openSqliteStore(join(dir, 'data'));
    const { ledger } = await runLedger(first);
    await first.close();
    const store = await openSqliteStore(join(dir, 'data'));
    const reader = await LedgerReader.openReader({ store, stream: 'ledger', origin });
    await writeDirectoryFiles(join(dir, 'out'), await exportBundle(reader, { vkey: ledger.vkey }));
    await store.close();
    const files = await readDirectoryFiles(join(dir, 'out'), 2 ** 20);
    const report = await verifyBundle(files, { vkeys: [ledger.vkey], recompute: () => ({ epsilon: 1 }) });
    expect(report).toMatchObject({ verdict: 'verified', failures: [], size: 14 });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
