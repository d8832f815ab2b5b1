import { describe, expect, it } from 'vitest';
import { hex, utf8 } from '../../../shared/core/bytes.ts';
import { openCheckpoint, peekCheckpoint } from '../../../shared/ledger/checkpoint.ts';
import { assertDurable, type Durable } from '../../../shared/ledger/durable.ts';
import { ALGORITHM, formatVkey, verifierKey } from '../../../shared/ledger/keys.ts';
import { type Ledger, openLedger } from '../../../shared/ledger/log.ts';
import { leafHash, MerkleTree, verifyInclusion } from '../../../shared/ledger/merkle.ts';
import { parseProof, verifyProof } from '../../../shared/ledger/proof.ts';
import { LedgerReader } from '../../../shared/ledger/reader.ts';
import { parseEntryBundle } from '../../../shared/ledger/tiles.ts';
import { witnessCheckpoint } from '../../../shared/ledger/witness.ts';
import { createMemoryStore } from '../../../shared/store/memory.ts';
import type { Store } from '../../../shared/store/port.ts';
import { incident, testSigner, tickingClock } from '../../support/ledger.ts';

const origin = 'tacit.test/ledger';
const open = (store: Store, signer = testSigner('log')): Promise<Ledger> =>
  openLedger({ store, stream: 'ledger', origin, signer, clock: tickingClock() });

async function filled(count: number, store = createMemoryStore()): Promise<{ store: Store; ledger: Ledger }> {
  const ledger = await open(store);
  for (let i = 0; i < count; i++) await ledger.append(incident(i), `op/${i}`);
  return { store, ledger };
}

describe('append', () => {
  it('stores RFC 8785 bytes and gives back a durable entry', async () => {
    const { ledger } = await filled(0);
    const durable = await ledger.append(incident(7), 'op');
    const record = await ledger.entry(0);
    expect(record.text).toBe(
      '{"at":"2026-03-01T09:00:01.000Z","code":"TEST","detail":{"n":7},"kind":"incident","version":1,"what":"number 7"}',
    );
    expect(durable.leafHash).toEqual(leafHash(utf8(record.text)));
    assertDurable(durable, 'incident');
  });

  it('an entry that no ledger made is not durable', () => {
    const forged = {
      index: 0,
      entry: { ...incident(1), version: 1, at: '2026-01-01T00:00:00.000Z' },
      leafHash: new Uint8Array(32),
    };
    expect(() => assertDurable(forged as unknown as Durable<'incident'>, 'incident')).toThrow(/durable incident/);
  });

  it('the same operation again is the first entry, also after a restart', async () => {
    const { store, ledger } = await filled(3);
    const again = await ledger.append(incident(1), 'op/1');
    expect(again.index).toBe(1);
    await ledger.checkpoint();
    const reopened = await open(store);
    expect((await reopened.append(incident(2), 'op/2')).index).toBe(2);
    expect(reopened.size).toBe(3);
    await expect(reopened.append(incident(99), 'op/2')).rejects.toMatchObject({ code: 'LEDGER_OPERATION_REUSED' });
  });

  it('expectedSize refuses when another writer came first', async () => {
    const { store, ledger } = await filled(2);
    await ledger.checkpoint();
    const other = await open(store);
    await ledger.append(incident(3), 'mine', { expectedSize: ledger.size });
    await expect(other.append(incident(4), 'theirs', { expectedSize: 2 })).rejects.toMatchObject({
      code: 'LEDGER_MOVED',
    });
    expect(other.size).toBe(ledger.size);
  });

  it('two writers interleave without loss', async () => {
    const store = createMemoryStore();
    const [a, b] = [await open(store), await open(store)];
    await Promise.all(Array.from({ length: 40 }, (_, i) => (i % 2 ? a : b).append(incident(i), `op/${i}`)));
    await Promise.all([a.refresh(), b.refresh()]);
    expect(a.size).toBe(40);
    expect(hex(a.root())).toBe(hex(b.root()));
    const numbers = (await a.entries(0)).map((r) => (r.entry.kind === 'incident' ? r.entry.detail.n : -1));
    expect([...numbers].sort((x, y) => Number(x) - Number(y))).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });

  it('refuses an entry over 65,535 bytes and one with a missing field', async () => {
    const { ledger } = await filled(0);
    const long = { ...incident(1), detail: { text: 'x'.repeat(66_000) } };
    await expect(ledger.append(long, 'a')).rejects.toMatchObject({ code: 'LEDGER_ENTRY_INVALID' });
    await expect(ledger.append({ kind: 'incident', code: 'X', what: 'y' } as never, 'b')).rejects.toMatchObject({
      code: 'LEDGER_ENTRY_INVALID',
    });
    expect(ledger.size).toBe(0);
  });
});

describe('checkpoints', () => {
  it('are signed by the log over the root of exactly the entries', async () => {
    const { ledger } = await filled(300);
    const opened = openCheckpoint(await ledger.checkpoint(), { log: [ledger.key] });
    expect(opened).toMatchObject({ origin, size: 300 });
    const tree = new MerkleTree();
    for (const r of await ledger.entries(0)) tree.append(leafHash(r.bytes));
    expect(hex(opened.root)).toBe(hex(tree.root()));
  });

  it('one size has one note, whoever signs it and how often', async () => {
    const store = createMemoryStore();
    const [a, b] = [await open(store), await open(store)];
    await a.append(incident(1), 'x');
    await b.refresh();
    const [x, y] = await Promise.all([a.checkpoint(), b.checkpoint()]);
    expect(x).toBe(y);
    expect(await store.head('ledger/checkpoints')).toBe(1);
  });

  it('an empty ledger has one too', async () => {
    const { ledger } = await filled(0);
    expect(peekCheckpoint(await ledger.checkpoint()).size).toBe(0);
  });

  it('cosignatures of clients are checked, kept once and served', async () => {
    const { store, ledger } = await filled(5);
    const checkpoint = await ledger.checkpoint();
    const witness = (name: string) =>
      witnessCheckpoint({
        lastSeen: undefined,
        checkpoint,
        proof: [],
        logKey: ledger.key,
        name,
        signer: testSigner(name),
        clock: tickingClock(),
      });
    const [a, b] = [witness('clinic-a.test/w'), witness('clinic-b.test/w')];
    for (const w of [a, b, a]) await ledger.cosign({ checkpointSize: 5, line: w.line, vkey: formatVkey(w.key) });
    const reopened = await open(store);
    const opened = openCheckpoint(await reopened.checkpoint(), { log: [ledger.key], witnesses: [a.key, b.key] });
    expect(opened.witnesses.map((w) => w.key.name)).toEqual(['clinic-a.test/w', 'clinic-b.test/w']);
    await expect(ledger.cosign({ checkpointSize: 5, line: a.line, vkey: formatVkey(b.key) })).rejects.toMatchObject({
      code: 'NOTE_UNSIGNED',
    });
    await expect(ledger.cosign({ checkpointSize: 4, line: a.line, vkey: formatVkey(a.key) })).rejects.toMatchObject({
      code: 'LEDGER_RANGE',
    });
  });
});

describe('resources', () => {
  it('serves every tile of its size and 404 elsewhere', async () => {
    const { ledger } = await filled(300);
    expect((await ledger.tile(0, 0))?.length).toBe(8192);
    expect((await ledger.tile(0, 1, 44))?.length).toBe(44 * 32);
    expect((await ledger.tile(0, 1, 17))?.length).toBe(17 * 32);
    expect((await ledger.tile(1, 0, 1))?.length).toBe(32);
    expect(hex((await ledger.tile(1, 0, 1)) as Uint8Array)).toBe(hex(ledger.root(256)));
    for (const [level, index, width] of [
      [0, 1, 45],
      [0, 1, 256],
      [0, 2, 1],
      [1, 0, 2],
      [2, 0, 1],
      [0, 0, 0],
      [-1, 0, 1],
    ] as const) {
      expect(await ledger.tile(level, index, width)).toBeUndefined();
    }
    const bundle = parseEntryBundle((await ledger.entryBundle(1, 44)) as Uint8Array);
    expect(bundle[43]).toEqual((await ledger.entry(299)).bytes);
    expect(await ledger.entryBundle(1)).toBeUndefined();
  });

  it('proof files verify with the log key alone', async () => {
    const { ledger } = await filled(11);
    const file = await ledger.proofFile(4);
    expect(verifyProof(file, (await ledger.entry(4)).bytes, { log: [ledger.key] }).index).toBe(4);
    const other = (await ledger.entry(5)).bytes;
    expect(() => verifyProof(file, other, { log: [ledger.key] })).toThrow(/another root/);
    expect(parseProof(file).hashes.length).toBeGreaterThan(0);
    verifyInclusion(4, 11, ledger.leafHash(4), ledger.inclusionProof(4, 11), ledger.root(11));
  });

  it('a reader needs no key', async () => {
    const { store, ledger } = await filled(4);
    const reader = await LedgerReader.openReader({ store, stream: 'ledger', origin });
    await expect(reader.checkpoint()).rejects.toMatchObject({ code: 'LEDGER_RANGE' });
    const note = await ledger.checkpoint();
    await reader.refresh();
    expect(await reader.checkpoint()).toBe(note);
  });
});

describe('opening', () => {
  it('a crash between append and checkpoint is repaired and shows', async () => {
    const { store, ledger } = await filled(3);
    await ledger.checkpoint();
    await ledger.append(incident(3), 'op/3'); // and the process dies here
    const reopened = await open(store);
    expect(reopened.repair).toEqual({ from: 3, to: 3 });
    expect((await reopened.entry(4)).entry).toMatchObject({
      kind: 'incident',
      code: 'UNSIGNED_TAIL',
      detail: { from: 3, to: 3 },
    });
    expect(reopened.signedSize).toBe(5);
    expect((await open(store)).repair).toBeUndefined();
  });

  it('a crash between signing and storing the checkpoint signs the same root again', async () => {
    const inner = createMemoryStore();
    let dead = false;
    const store: Store = {
      ...inner,
      append(stream, seq, event) {
        if (dead && stream.endsWith('/checkpoints')) return Promise.reject(new Error('killed'));
        return inner.append(stream, seq, event);
      },
    };
    const ledger = await open(store);
    await ledger.append(incident(0), 'op');
    dead = true;
    await expect(ledger.checkpoint()).rejects.toThrow('killed');
    dead = false;
    expect(peekCheckpoint(await ledger.checkpoint()).size).toBe(1);
  });

  it('refuses a store that lost signed entries (rollback)', async () => {
    const { store, ledger } = await filled(5);
    await ledger.checkpoint();
    const rolledBack: Store = {
      ...store,
      read: async (s, from, limit) => (await store.read(s, from, limit)).filter((e) => s !== 'ledger' || e.seq < 4),
    };
    await expect(open(rolledBack)).rejects.toMatchObject({ code: 'LEDGER_CORRUPT', message: /rolled back/ });
  });

  it('refuses a store whose entry was changed', async () => {
    const { store, ledger } = await filled(5);
    await ledger.checkpoint();
    const changed: Store = {
      ...store,
      read: async (s, from, limit) =>
        (await store.read(s, from, limit)).map((e) =>
          s === 'ledger' && e.seq === 2 ? { ...e, text: e.text.replace('number 2', 'number 3') } : e,
        ),
    };
    await expect(open(changed)).rejects.toMatchObject({ code: 'LEDGER_CORRUPT', message: /signed with root/ });
  });

  it('names an entry that changes under a running ledger', async () => {
    const { store } = await filled(0);
    let tamper = false;
    const changed: Store = {
      ...store,
      read: async (s, from, limit) =>
        (await store.read(s, from, limit)).map((e) =>
          tamper && e.seq === 1 ? { ...e, text: e.text.replace('number', 'numbes') } : e,
        ),
    };
    const ledger = await open(changed);
    for (let i = 0; i < 3; i++) await ledger.append(incident(i), `op/${i}`);
    tamper = true;
    await expect(ledger.entry(1)).rejects.toMatchObject({ code: 'LEDGER_CORRUPT', message: 'entry 1 was changed' });
  });

  it('refuses another key, unless the old one handed over', async () => {
    const { store, ledger } = await filled(2);
    await ledger.checkpoint();
    const next = testSigner('log, second key');
    await expect(open(store, next)).rejects.toMatchObject({ code: 'LEDGER_KEY_UNKNOWN' });
    const { index } = await ledger.rotateKey(next, 'yearly');
    const both = openCheckpoint(ledger.checkpointAt(index + 1) as string, {
      log: [ledger.key, verifierKey(origin, ALGORITHM.ed25519, next.publicKey)],
    });
    expect(both.logKeys).toHaveLength(2);
    await ledger.append(incident(8), 'too-late');
    await expect(ledger.checkpoint()).rejects.toMatchObject({ code: 'LEDGER_KEY_UNKNOWN' });
    await expect(open(store)).rejects.toMatchObject({ code: 'LEDGER_KEY_UNKNOWN' });
    const rotated = await open(store, next);
    await rotated.append(incident(9), 'after');
    expect(openCheckpoint(await rotated.checkpoint(), { log: [rotated.key] }).size).toBe(6);
  });

  it('refuses the checkpoints of another origin', async () => {
    const { store, ledger } = await filled(1);
    await ledger.checkpoint();
    const wrong = openLedger({
      store,
      stream: 'ledger',
      origin: 'else.test/ledger',
      signer: testSigner('log'),
      clock: tickingClock(),
    });
    await expect(wrong).rejects.toMatchObject({ code: 'LEDGER_CORRUPT' });
  });
});
