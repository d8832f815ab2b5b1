import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openSqliteStore } from '../../../shared/node/store/sqlite.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tacit-sqlite-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

it('a reopened store holds what was acknowledged', async () => {
  const first = await openSqliteStore(join(dir, 'new', 'nested'));
  await first.append('s', 0, { opId: 'a', text: '{"x":1}' });
  const blob = await first.putBlob(new Uint8Array([1, 2, 3]));
  await first.close();
  const again = await openSqliteStore(join(dir, 'new', 'nested'));
  expect((await again.read('s')).map((e) => e.text)).toEqual(['{"x":1}']);
  expect(await again.getBlob(blob)).toEqual(new Uint8Array([1, 2, 3]));
  await again.close();
});

it('appends of one turn share one transaction, each decided on its own', async () => {
  const store = await openSqliteStore(dir);
  const turn = [
    store.append('s', 0, { opId: 'a', text: '0' }),
    store.append('s', 1, { opId: 'b', text: '1' }),
    store.append('s', 1, { opId: 'c', text: '2' }),
    store.append('t', 0, { opId: 'a', text: '3' }),
  ];
  const outcomes = await Promise.allSettled(turn);
  expect(outcomes.map((o) => o.status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect((await store.read('s')).map((e) => e.text)).toEqual(['0', '1']);
  await store.close();
});

it('close flushes what is waiting and refuses what comes later', async () => {
  const store = await openSqliteStore(dir);
  const waiting = store.append('s', 0, { opId: 'a', text: '0' });
  await store.close();
  expect((await waiting).seq).toBe(0);
  await expect(store.append('s', 1, { opId: 'b', text: '1' })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
});

it('keeps a write-ahead log (openDatabase itself refuses anything but WAL and FULL)', async () => {
  const store = await openSqliteStore(dir);
  await store.close();
  const db = new Database(join(dir, 'tacit.db'));
  expect(db.pragma('journal_mode')).toMatchObject([{ journal_mode: 'wal' }]);
  db.close();
});

it('names a blob whose bytes were changed on disk', async () => {
  const store = await openSqliteStore(dir);
  const blob = await store.putBlob(new Uint8Array(1000));
  await writeFile(join(dir, 'blobs', blob.slice(0, 2), blob), new Uint8Array(1000).fill(1));
  await expect(store.getBlob(blob)).rejects.toMatchObject({ code: 'STORE_CORRUPT', where: blob });
  await store.close();
});

it('leaves no temporary files behind', async () => {
  const store = await openSqliteStore(dir);
  const blob = await store.putBlob(new Uint8Array([7]));
  expect(await readdir(join(dir, 'blobs', blob.slice(0, 2)))).toEqual([blob]);
  await store.close();
});

it('says what to do when the directory is a file', async () => {
  await mkdir(join(dir, 'd'));
  await writeFile(join(dir, 'd', 'file'), 'x');
  const error = await openSqliteStore(join(dir, 'd', 'file')).catch((e) => e);
  expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(error.fix).toMatch(/writable/);
});
