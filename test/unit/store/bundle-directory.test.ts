import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { exportBundle } from '../../../shared/ledger/bundle.ts';
import { verifyBundle } from '../../../shared/ledger/verify.ts';
import { readBundle, writeBundle } from '../../../shared/node/store/bundle-directory.ts';
import { openSqliteStore } from '../../../shared/node/store/sqlite.ts';
import { runLedger } from '../../support/run-ledger.ts';

it('a run in SQLite, exported to a directory and read back, verifies', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tacit-bundle-'));
  const store = await openSqliteStore(join(dir, 'data'));
  try {
    const { ledger } = await runLedger(store);
    const files = await exportBundle(ledger, { vkey: ledger.vkey });
    await writeBundle(join(dir, 'out'), files);
    const read = await readBundle(join(dir, 'out'));
    expect([...read.keys()].sort()).toEqual([...files.keys()].sort());
    expect(await verifyBundle(read, { vkeys: [ledger.vkey], recompute: () => ({ epsilon: 1 }) })).toMatchObject({
      verdict: 'verified',
      failures: [],
    });
    await expect(writeBundle(join(dir, 'out'), files)).rejects.toMatchObject({ code: 'BUNDLE_EXISTS' });
    await expect(readBundle(join(dir, 'none'))).rejects.toMatchObject({ code: 'BUNDLE_UNREADABLE' });
    await expect(readBundle(join(dir, 'data'))).rejects.toMatchObject({ code: 'BUNDLE_UNREADABLE' });
  } finally {
    await store.close();
    await rm(dir, { recursive: true, force: true });
  }
});
