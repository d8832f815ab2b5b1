import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../shared/core/hash.ts';
import type { Store } from '../../shared/store/port.ts';

let unique = 0;
/** A stream that no other test (or earlier run on the same server) uses. */
function fresh(): string {
  return `t/${Date.now().toString(36)}-${process.pid}-${unique++}`;
}

function bytesOf(length: number, salt: string): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = (i * 31 + salt.charCodeAt(i % salt.length) + (i >> 8)) & 255;
  return out;
}

/** Every `open` is a connection to the same data, as another coordinator process would have. */
export type StoreUnderTest = { open(): Promise<Store> } | { readonly skip: string };

/** What every adapter must do. Run by store.memory, store.sqlite and store.mongo tests. */
export function storeConformance(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`store conformance: ${name}`, () => {
    let store: Store;
    let other: Store;
    let skipped: string | undefined;
    beforeAll(async () => {
      const under = await make();
      if ('skip' in under) {
        skipped = under.skip;
        return;
      }
      store = await under.open();
      other = await under.open();
    }, 600_000);
    beforeEach((context) => {
      if (skipped !== undefined) context.skip(skipped);
    });
    afterAll(async () => {
      await other?.close();
      await store?.close();
    });

    it('an empty stream has head 0 and no events', async () => {
      const s = fresh();
      expect(await store.head(s)).toBe(0);
      expect(await store.read(s)).toEqual([]);
    });

    it('gives back the text byte for byte, in order', async () => {
      const s = fresh();
      const texts = ['{"a":1}', '{"ü":"\\u0000 é 漢 😀 $x.y"}', '[[1,[2]],{"$ne":null}]', '""'];
      for (const [i, text] of texts.entries()) {
        expect(await store.append(s, i, { opId: `op${i}`, text })).toEqual({ stream: s, seq: i, opId: `op${i}`, text });
      }
      expect((await store.read(s)).map((e) => e.text)).toEqual(texts);
      expect((await other.read(s)).map((e) => e.seq)).toEqual([0, 1, 2, 3]);
      expect(await other.head(s)).toBe(4);
    });

    it('reads from a position, at most limit', async () => {
      const s = fresh();
      for (let i = 0; i < 12; i++) await store.append(s, i, { opId: `o${i}`, text: String(i) });
      expect((await store.read(s, 9)).map((e) => e.text)).toEqual(['9', '10', '11']);
      expect((await store.read(s, 2, 3)).map((e) => e.text)).toEqual(['2', '3', '4']);
      expect(await store.read(s, 12)).toEqual([]);
    });

    it('refuses a taken position', async () => {
      const s = fresh();
      await store.append(s, 0, { opId: 'a', text: '1' });
      await expect(other.append(s, 0, { opId: 'b', text: '2' })).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
      expect((await other.read(s)).map((e) => e.opId)).toEqual(['a']);
    });

    it('refuses a gap', async () => {
      const s = fresh();
      await expect(store.append(s, 1, { opId: 'a', text: '1' })).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
      await store.append(s, 0, { opId: 'a', text: '1' });
      await expect(store.append(s, 5, { opId: 'b', text: '1' })).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
      expect(await store.head(s)).toBe(1);
    });

    it('the same operation twice is one append, whatever position the retry names', async () => {
      const s = fresh();
      const first = await store.append(s, 0, { opId: 'a', text: '1' });
      await store.append(s, 1, { opId: 'b', text: '2' });
      for (const at of [0, 1, 2, 3]) expect(await other.append(s, at, { opId: 'a', text: '1' })).toEqual(first);
      expect(await store.head(s)).toBe(2);
    });

    it('the same opId with another text is a conflict and changes nothing', async () => {
      const s = fresh();
      await store.append(s, 0, { opId: 'a', text: '1' });
      for (const at of [0, 1]) {
        await expect(other.append(s, at, { opId: 'a', text: '2' })).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
      }
      expect((await store.read(s)).map((e) => e.text)).toEqual(['1']);
    });

    it('the same opId in two streams is two events', async () => {
      const [s, t] = [fresh(), fresh()];
      await store.append(s, 0, { opId: 'a', text: '1' });
      await store.append(t, 0, { opId: 'a', text: '2' });
      expect((await store.read(t)).map((e) => e.text)).toEqual(['2']);
    });

    it('of racing writers at one position exactly one wins', async () => {
      const s = fresh();
      for (let seq = 0; seq < 5; seq++) {
        const outcomes = await Promise.allSettled(
          Array.from({ length: 8 }, (_, i) =>
            (i % 2 === 0 ? store : other).append(s, seq, { opId: `${seq}.${i}`, text: `${i}` }),
          ),
        );
        const lost = outcomes.filter((o) => o.status === 'rejected');
        expect(lost).toHaveLength(7);
        for (const l of lost) expect(l.reason).toMatchObject({ code: 'STORE_CONFLICT' });
      }
      expect((await store.read(s)).map((e) => e.seq)).toEqual([0, 1, 2, 3, 4]);
    });

    it('racing writers that re-read on conflict lose nothing', async () => {
      const s = fresh();
      const write = async (through: Store, opId: string): Promise<void> => {
        for (;;) {
          try {
            await through.append(s, await through.head(s), { opId, text: opId });
            return;
          } catch (error) {
            if ((error as { code?: string }).code !== 'STORE_CONFLICT') throw error;
          }
        }
      };
      const ids = Array.from({ length: 24 }, (_, i) => `op${i}`);
      await Promise.all(ids.map((id, i) => write(i % 2 === 0 ? store : other, id)));
      const stored = await store.read(s);
      expect(stored.map((e) => e.seq)).toEqual(ids.map((_, i) => i));
      expect(new Set(stored.map((e) => e.opId))).toEqual(new Set(ids));
    });

    it('appends that follow one another without waiting are all kept', async () => {
      const s = fresh();
      for (let i = 0; i < 3; i++) await store.append(s, i, { opId: `w${i}`, text: 'x' });
      const inOrder = [];
      for (let i = 3; i < 20; i++) inOrder.push(await store.append(s, i, { opId: `w${i}`, text: 'x' }));
      expect(inOrder).toHaveLength(17);
      expect(await other.head(s)).toBe(20);
    });

    it('lists streams by prefix, sorted', async () => {
      const s = fresh();
      for (const part of ['b', 'a', 'c.x', 'c_x']) await store.append(`${s}/${part}`, 0, { opId: 'o', text: '1' });
      expect(await store.streams(`${s}/`)).toEqual([`${s}/a`, `${s}/b`, `${s}/c.x`, `${s}/c_x`]);
      expect(await store.streams(`${s}/c.`)).toEqual([`${s}/c.x`]);
      expect(await store.streams(`${s}/none`)).toEqual([]);
    });

    it('refuses names and positions that some adapter could not keep', async () => {
      const e = { opId: 'a', text: '1' };
      for (const bad of ['', ' ', 'a b', '../x', 'ä', 'x'.repeat(201)]) {
        await expect(store.append(bad, 0, e)).rejects.toMatchObject({ code: 'STORE_INVALID' });
      }
      for (const seq of [-1, 0.5, Number.NaN])
        await expect(store.append('s', seq, e)).rejects.toMatchObject({ code: 'STORE_INVALID' });
      for (const opId of ['', 'a b', 'é', 'x'.repeat(251)]) {
        await expect(store.append('s', 0, { opId, text: '1' })).rejects.toMatchObject({ code: 'STORE_INVALID' });
      }
      await expect(store.getBlob('../../etc/passwd')).rejects.toMatchObject({ code: 'STORE_INVALID' });
    });

    it('keeps a blob under its SHA-256 and gives ranges of it', async () => {
      const bytes = bytesOf(3_000_001, fresh());
      const key = await store.putBlob(bytes);
      expect(key).toBe(sha256Hex(bytes));
      expect(await other.blobSize(key)).toBe(bytes.length);
      expect(Buffer.compare(await other.getBlob(key), bytes)).toBe(0);
      for (const [start, end] of [
        [0, 0],
        [0, 1],
        [1_048_570, 1_048_590],
        [2_999_990, 3_000_001],
        [3_000_001, 3_000_001],
      ] as const) {
        expect(Buffer.compare(await other.getBlob(key, { start, end }), bytes.subarray(start, end))).toBe(0);
      }
      await expect(other.getBlob(key, { start: 0, end: bytes.length + 1 })).rejects.toMatchObject({
        code: 'STORE_INVALID',
      });
    });

    it('keeps an empty blob', async () => {
      const key = await store.putBlob(new Uint8Array(0));
      expect(await other.getBlob(key)).toEqual(new Uint8Array(0));
      expect(await other.blobSize(key)).toBe(0);
    });

    it('stores a blob once, also when many store it at once', async () => {
      const bytes = bytesOf(200_000, fresh());
      const keys = await Promise.all(Array.from({ length: 6 }, (_, i) => (i % 2 ? store : other).putBlob(bytes)));
      expect(new Set(keys).size).toBe(1);
      expect(Buffer.compare(await store.getBlob(keys[0] as string), bytes)).toBe(0);
      await store.deleteBlob(keys[0] as string);
      expect(await other.blobSize(keys[0] as string)).toBeUndefined();
    });

    it('a missing blob is a coded error; deleting it is not', async () => {
      const key = sha256Hex(bytesOf(9, fresh()));
      await expect(store.getBlob(key)).rejects.toMatchObject({ code: 'STORE_BLOB_MISSING' });
      expect(await store.blobSize(key)).toBeUndefined();
      await store.deleteBlob(key);
    });
  });
}
