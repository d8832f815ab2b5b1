import { TacitError } from '../../shared/core/errors.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import {
  blobMissing,
  checkAppend,
  checkBlobName,
  checkRange,
  checkStream,
  conflict,
} from '../../shared/store/names.ts';
import type { Store, StoredEvent, StoreErrorCode } from '../../shared/store/port.ts';
import { answer, committed, DATABASES, openDatabase } from './database.ts';

const EVENTS = 'events';
const BLOBS = 'blobs';
const BY_OPERATION = 'stream, opId';

/**
 * The store of a participant in a browser (IndexedDB). Same answers as the other adapters (test/conformance/store.ts).
 * A read-write transaction sees nobody else's writes half done, in whatever tab, so "read, decide, add" is one step;
 * `strict` durability waits for the disk.
 */
export async function openIndexedDbStore(name: string = DATABASES.store): Promise<Store> {
  const db = await openDatabase(name, makeStores).catch((cause: unknown) => {
    throw unavailable(cause);
  });
  return {
    append: (stream, expectedSeq, event) => append(db, stream, expectedSeq, event),
    async read(stream, fromSeq = 0, limit = Number.POSITIVE_INFINITY) {
      checkStream(stream);
      if (limit <= 0) return [];
      const count = Number.isFinite(limit) ? Math.floor(limit) : undefined;
      return answer(reading(db, EVENTS).getAll(rows(stream, fromSeq), count) as IDBRequest<StoredEvent[]>);
    },
    async head(stream) {
      checkStream(stream);
      return headOf(reading(db, EVENTS), stream);
    },
    streams: (prefix) => streams(db, prefix),
    putBlob: (bytes) => putBlob(db, bytes),
    async getBlob(sha256, range) {
      checkBlobName(sha256);
      const blob = await answer(reading(db, BLOBS).get(sha256) as IDBRequest<Uint8Array | undefined>);
      if (blob === undefined) throw blobMissing(sha256);
      const { start, end } = checkRange(sha256, blob.length, range);
      return blob.slice(start, end);
    },
    async blobSize(sha256) {
      checkBlobName(sha256);
      return (await answer(reading(db, BLOBS).get(sha256) as IDBRequest<Uint8Array | undefined>))?.length;
    },
    async deleteBlob(sha256) {
      checkBlobName(sha256);
      const transaction = writing(db, BLOBS);
      transaction.objectStore(BLOBS).delete(sha256);
      await committed(transaction);
    },
    async close() {
      db.close();
    },
  };
}

function makeStores(db: IDBDatabase): void {
  const events = db.createObjectStore(EVENTS, { keyPath: ['stream', 'seq'] });
  events.createIndex(BY_OPERATION, ['stream', 'opId'], { unique: true });
  db.createObjectStore(BLOBS);
}

async function append(
  db: IDBDatabase,
  stream: string,
  expectedSeq: number,
  event: { readonly opId: string; readonly text: string },
): Promise<StoredEvent> {
  checkAppend(stream, expectedSeq, event);
  const transaction = writing(db, EVENTS);
  const done = committed(transaction);
  const events = transaction.objectStore(EVENTS);
  const mine = (await answer(events.index(BY_OPERATION).get([stream, event.opId]))) as StoredEvent | undefined;
  const retried = mine?.text === event.text ? mine : undefined;
  if (retried === undefined && (mine !== undefined || (await headOf(events, stream)) !== expectedSeq)) {
    await done;
    throw conflict(stream, expectedSeq);
  }
  const stored = retried ?? { stream, seq: expectedSeq, opId: event.opId, text: event.text };
  if (retried === undefined) events.add(stored);
  await done;
  return stored;
}

async function putBlob(db: IDBDatabase, bytes: Uint8Array): Promise<string> {
  const key = sha256Hex(bytes);
  const transaction = writing(db, BLOBS);
  // Same key, same bytes: putting again changes nothing.
  transaction.objectStore(BLOBS).put(bytes.slice(), key);
  await committed(transaction).catch((cause: unknown) => {
    throw unavailable(cause);
  });
  return key;
}

/** Number of the last event plus one. */
async function headOf(events: IDBObjectStore, stream: string): Promise<number> {
  const last = await answer(events.openKeyCursor(rows(stream, 0), 'prev'));
  return last === null ? 0 : ((last.key as [string, number])[1] ?? 0) + 1;
}

/** Hops from stream to stream instead of reading their events. Names are ASCII, so key order is string order. */
async function streams(db: IDBDatabase, prefix: string): Promise<readonly string[]> {
  const events = reading(db, EVENTS);
  const names: string[] = [];
  for (let from: IDBKeyRange = IDBKeyRange.lowerBound([prefix]); ; ) {
    const cursor = await answer(events.openKeyCursor(from));
    const name = cursor === null ? undefined : (cursor.key as [string, number])[0];
    if (name === undefined || !name.startsWith(prefix)) return names;
    names.push(name);
    from = IDBKeyRange.lowerBound([name, Number.POSITIVE_INFINITY], true);
  }
}

function rows(stream: string, fromSeq: number): IDBKeyRange {
  return IDBKeyRange.bound([stream, fromSeq], [stream, Number.POSITIVE_INFINITY]);
}

function reading(db: IDBDatabase, name: string): IDBObjectStore {
  return db.transaction(name, 'readonly').objectStore(name);
}

function writing(db: IDBDatabase, name: string): IDBTransaction {
  return db.transaction(name, 'readwrite', { durability: 'strict' });
}

function unavailable(cause: unknown): TacitError<StoreErrorCode> {
  return new TacitError<StoreErrorCode>('STORE_UNAVAILABLE', 'the browser refuses to store anything for this page', {
    fix: 'Leave private browsing, or free some disk space.',
    cause,
  });
}
