import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { utf8 } from '../../../../shared/core/bytes.ts';
import { canonicalBytes } from '../../../../shared/core/canonical.ts';
import { openCheckpoint } from '../../../../shared/ledger/checkpoint.ts';
import { parseVkey } from '../../../../shared/ledger/keys.ts';
import { verifyProof } from '../../../../shared/ledger/proof.ts';
import { parseEntryBundle, parseTile } from '../../../../shared/ledger/tiles.ts';
import { verifyBundle } from '../../../../shared/ledger/verify.ts';
import { fetchLog } from '../../../../shared/node/remote-log.ts';
import { type Fixture, startFixture } from './fixture.ts';

/** Enough for one full tile and a partial one. */
const ENTRIES = 258;

let f: Fixture;
beforeAll(async () => {
  f = await startFixture();
  for (let i = 0; i < ENTRIES; i++)
    await f.ledger.append({ kind: 'incident', code: 'TEST', what: `entry ${i}`, detail: {} }, `op/${i}`);
});
afterAll(() => f.stop());

const get = (path: string) => fetch(f.url + path);
const bytesOf = async (path: string) => new Uint8Array(await (await get(path)).arrayBuffer());

describe('the ledger as a static log', () => {
  it('serves a checkpoint that its key opens, never immutable', async () => {
    const response = await get('/ledger/checkpoint');
    expect([response.headers.get('content-type'), response.headers.get('cache-control')]).toEqual([
      'text/plain; charset=utf-8',
      'public, max-age=1',
    ]);
    expect(openCheckpoint(await response.text(), { log: [parseVkey(f.ledger.vkey)] }).size).toBe(ENTRIES);
  });

  it('serves full and partial tiles and bundles for ever, byte for byte what was hashed', async () => {
    for (const path of [
      '/ledger/tile/0/000',
      '/ledger/tile/0/001.p/2',
      '/ledger/tile/1/000.p/1',
      '/ledger/tile/entries/000',
      '/ledger/tile/entries/001.p/2',
      '/ledger/tile/0/001.p/1',
    ]) {
      const { status, headers } = await get(path);
      expect([path, status, headers.get('content-type'), headers.get('cache-control')]).toEqual([
        path,
        200,
        'application/octet-stream',
        'public, max-age=31536000, immutable',
      ]);
    }
    const hashes = parseTile(await bytesOf('/ledger/tile/0/000'));
    const entries = parseEntryBundle(await bytesOf('/ledger/tile/entries/000'));
    expect([hashes.length, entries.length]).toEqual([256, 256]);
    expect(hashes.map((h) => Buffer.from(h).toString('hex'))).toEqual(
      entries.map((e) => createHash('sha256').update('\0').update(e).digest('hex')),
    );
  });

  it('answers 404 for everything else below its prefix', async () => {
    for (const path of [
      '',
      '/',
      '/checkpoint/',
      '/Checkpoint',
      '/tile/0/001',
      '/tile/0/001.p/3',
      '/tile/0/001.p/0',
      '/tile/0/001.p/01',
      '/tile/0/000.p/256',
      '/tile/00/000',
      '/tile/8/0/000',
      '/tile/2/000',
      '/tile/0/0',
      '/tile/0/x000/000',
      '/tile/64/000',
      '/tile/0/002',
      '/tile/entries/002',
      '/tile/0/999999999',
      '/tile/data/000',
      '/index.html',
    ]) {
      expect([path, (await get(`/ledger${path}`)).status]).toEqual([path, 404]);
    }
    expect((await fetch(`${f.url}/ledger/checkpoint`, { method: 'POST' })).status).toBe(404);
  });
});

describe('the ledger for people', () => {
  it('pages through entries', async () => {
    const page = (await (await get('/api/v1/ledger/entries?from=255&limit=2')).json()) as {
      size: number;
      entries: { index: number; leafHash: string; entry: { what: string } }[];
    };
    expect([page.size, page.entries.map((e) => [e.index, e.entry.what])]).toEqual([
      ENTRIES,
      [
        [255, 'entry 255'],
        [256, 'entry 256'],
      ],
    ]);
    expect(page.entries[0]?.leafHash).toBe(Buffer.from(f.ledger.leafHash(255)).toString('hex'));
    const all = (await (await get('/api/v1/ledger/entries')).json()) as { entries: unknown[] };
    expect(all.entries.length).toBe(100);
    const beyond = (await (await get('/api/v1/ledger/entries?from=999999')).json()) as { entries: unknown[] };
    expect(beyond.entries).toEqual([]);
    for (const query of ['from=-1', 'from=x', 'limit=0', 'limit=1001', 'from=1e3'])
      expect((await get(`/api/v1/ledger/entries?${query}`)).status).toBe(400);
  });

  it('gives one entry, and a proof that other tools accept', async () => {
    const entry = (await (await get('/api/v1/ledger/entries/7')).json()) as { entry: unknown };
    expect(entry.entry).toMatchObject({ kind: 'incident', what: 'entry 7' });
    const proof = await (await get('/api/v1/ledger/entries/7.tlog-proof')).text();
    const { bytes } = await f.ledger.entry(7);
    expect(verifyProof(proof, bytes, { log: [parseVkey(f.ledger.vkey)] })).toMatchObject({ index: 7 });
    for (const path of [`${ENTRIES}`, '-1', '007', 'x', `${ENTRIES}.tlog-proof`, '1.proof'])
      expect([path, (await get(`/api/v1/ledger/entries/${path}`)).status]).toEqual([path, 404]);
  });
});

describe('documents beside the log', () => {
  it('gives out what an entry names, to fetchLog too, and no other blob of the store', async () => {
    const own = await startFixture();
    try {
      const members = [
        { clientId: '0'.repeat(64), organisation: 'A hospital', publicKey: Buffer.alloc(32, 1).toString('base64') },
      ];
      const document = canonicalBytes(members);
      const hash = await own.store.putBlob(document);
      const secret = await own.store.putBlob(utf8('weights'));
      const missing = createHash('sha256').update('never stored').digest('hex');
      for (const rosterHash of [hash, missing])
        await own.ledger.append(
          { kind: 'roster.update', rosterHash, members: null, approvers: [] },
          `roster/${rosterHash}`,
        );
      await own.ledger.checkpoint();
      const status = async (path: string) => (await fetch(`${own.url}/ledger/${path}`)).status;
      expect(await status(`rosters/${hash}.json`)).toBe(200);
      for (const path of [`rosters/${secret}.json`, `plans/${hash}.json`, `rosters/${missing}.json`, `rosters/${hash}`])
        expect([path, await status(path)]).toEqual([path, 404]);
      const files = await fetchLog(`${own.url}/ledger`, 2 ** 20);
      expect(files.get(`rosters/${hash}.json`)).toEqual(document);
      expect(files.has(`rosters/${missing}.json`)).toBe(false);
      const report = await verifyBundle(files, { vkeys: [own.ledger.vkey] });
      expect(report.failures).toEqual([]);
      expect(report.unchecked.filter((line) => line.includes(hash))).toEqual([]);
      expect(report.unchecked.filter((line) => line.includes(missing))).toHaveLength(1);
      const size = [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
      await expect(fetchLog(`${own.url}/ledger`, size - 1)).rejects.toMatchObject({ code: 'LOG_TOO_LARGE' });
    } finally {
      await own.stop();
    }
  });
});
