import { type Collection, MongoNetworkError, MongoServerError, MongoServerSelectionError } from 'mongodb';
import { checkAppend, checkStream, conflict } from '../../../shared/store/names.ts';
import type { Store, StoredEvent } from '../../../shared/store/port.ts';
import { createGridBlobs } from './blobs.ts';
import { connect, type EventDocument, eventsCollection, unavailable, withoutCredentials } from './connect.ts';
import { type Lease, type LeaseOptions, takeLease } from './lease.ts';

const DUPLICATE_KEY = 11000;
const ATTEMPTS = 3;

/**
 * The production store. Everything is decided by inserts under unique keys, so it is right on a standalone server, a
 * replica set and a sharded cluster (shard key `stream`) alike, and on servers without transactions or atomic updates.
 *
 * @param uri - `mongodb://…/database`; the database `tacit` when none is named
 * @param options - with `lease`, the one process that may write; its writes fail once another could have taken over
 * @throws STORE_UNAVAILABLE, STORE_INVALID (indexes), STORE_IN_USE
 */
export async function openMongoStore(
  uri: string,
  options: { readonly timeoutMs?: number; readonly lease?: LeaseOptions } = {},
): Promise<Store> {
  const client = await connect(uri, options.timeoutMs ?? 10_000);
  const db = client.db(/^mongodb(?:\+srv)?:\/\/[^/]+\/([^?]+)/.exec(uri)?.[1] ?? 'tacit');
  let lease: Lease | undefined;
  try {
    if (options.lease !== undefined) lease = await takeLease(db, options.lease);
    const events = await eventsCollection(db, withoutCredentials(uri));
    const guard = async <T>(body: () => Promise<T>): Promise<T> => {
      try {
        return await body();
      } catch (error) {
        throw isLost(error) ? unavailable(uri, error) : error;
      }
    };
    const write = <T>(body: () => Promise<T>): Promise<T> =>
      guard(async () => {
        lease?.check();
        return body();
      });
    const blobs = createGridBlobs(db);
    const streams = createStreams(events);
    return {
      append: (...args) => write(() => streams.append(...args)),
      read: (...args) => guard(() => streams.read(...args)),
      head: (stream) => guard(() => streams.head(stream)),
      streams: (prefix) => guard(() => streams.streams(prefix)),
      putBlob: (bytes) => write(() => blobs.putBlob(bytes)),
      getBlob: (...args) => guard(() => blobs.getBlob(...args)),
      blobSize: (sha256) => guard(() => blobs.blobSize(sha256)),
      deleteBlob: (sha256) => write(() => blobs.deleteBlob(sha256)),
      async close() {
        await lease?.release();
        await client.close();
      },
    };
  } catch (error) {
    await lease?.release();
    await client.close();
    throw isLost(error) ? unavailable(uri, error) : error;
  }
}

function createStreams(events: Collection<EventDocument>): Pick<Store, 'append' | 'read' | 'head' | 'streams'> {
  /** Number of events known to be in a stream; the truth is never less, because nothing is ever removed. */
  const known = new Map<string, number>();
  const learn = (stored: StoredEvent): StoredEvent => {
    known.set(stored.stream, Math.max(known.get(stored.stream) ?? 0, stored.seq + 1));
    return stored;
  };
  const has = async (stream: string, seq: number): Promise<boolean> =>
    (await events.findOne({ _id: `${stream}/${seq}` }, { projection: { _id: 1 } })) !== null;
  const findMine = async (stream: string, opId: string): Promise<StoredEvent | undefined> => {
    const found = await events.findOne({ stream, opId });
    return found === null ? undefined : learn(plain(found));
  };

  const append: Store['append'] = async (stream, expectedSeq, event) => {
    checkAppend(stream, expectedSeq, event);
    const settled = async (): Promise<StoredEvent> => {
      const mine = await findMine(stream, event.opId);
      if (mine?.text === event.text) return mine;
      throw conflict(stream, expectedSeq);
    };
    // No gaps: the position before must be taken. Rows are never removed, so this stays true until the insert.
    if (expectedSeq > (known.get(stream) ?? 0) && !(await has(stream, expectedSeq - 1))) return settled();
    const document = { _id: `${stream}/${expectedSeq}`, stream, seq: expectedSeq, ...event };
    for (let attempt = 1; ; attempt++) {
      try {
        await events.insertOne({ ...document });
        return learn({ stream, seq: expectedSeq, opId: event.opId, text: event.text });
      } catch (error) {
        // Which key was hit is not looked at: servers differ. A refused insert under w:majority has waited for what it
        // collided with, so what is read now cannot be rolled back.
        if (error instanceof MongoServerError && error.code === DUPLICATE_KEY) return settled();
        if (!isLost(error)) throw error;
        const mine = await findMine(stream, event.opId);
        // The row is there, but the lost answer was also the promise of durability: insert again to be told.
        if (attempt === ATTEMPTS) throw error;
        if (mine !== undefined && mine.text !== event.text) throw conflict(stream, expectedSeq);
      }
    }
  };

  return {
    append,
    async read(stream, fromSeq = 0, limit = 0) {
      checkStream(stream);
      const found = events.find({ stream, seq: { $gte: fromSeq } }).sort({ stream: 1, seq: 1 });
      return (await (Number.isFinite(limit) ? found.limit(limit) : found).toArray()).map(plain).map(learn);
    },
    async head(stream) {
      checkStream(stream);
      // Streams have no gaps, so the head is found by probes by key: doubling steps from what is known, then halving.
      let low = known.get(stream) ?? 0;
      let step = 1;
      while (await has(stream, low + step - 1)) {
        low += step;
        step *= 2;
      }
      for (let high = low + step - 1; low < high; ) {
        const middle = Math.floor((low + high) / 2);
        if (await has(stream, middle)) low = middle + 1;
        else high = middle;
      }
      known.set(stream, Math.max(known.get(stream) ?? 0, low));
      return low;
    },
    async streams(prefix) {
      const escaped = prefix.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      const firsts = events.find({ seq: 0, stream: { $regex: `^${escaped}` } }, { projection: { stream: 1 } });
      return (await firsts.toArray()).map((d) => d.stream).sort();
    },
  };
}

function plain(d: EventDocument): StoredEvent {
  return { stream: d.stream, seq: d.seq, opId: d.opId, text: d.text };
}

/** Errors after which it is unknown whether the server did what was asked. */
function isLost(error: unknown): boolean {
  if (error instanceof MongoNetworkError || error instanceof MongoServerSelectionError) return true;
  // Not primary, stepped down, shutting down, write concern not reached in time.
  return (
    error instanceof MongoServerError && [91, 189, 10107, 11600, 11602, 13435, 13436, 64].includes(error.code as number)
  );
}
