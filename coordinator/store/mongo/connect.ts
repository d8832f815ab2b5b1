import { type Collection, type Db, MongoClient, MongoError } from 'mongodb';
import { TacitError } from '../../../shared/core/errors.ts';
import type { StoreErrorCode } from '../../../shared/store/port.ts';

/** One event of one stream. `text` is the RFC 8785 text: servers differ in what they do to nested documents. */
export interface EventDocument {
  /** `<stream>/<seq>`: a probe by key, and uniqueness even before the indexes exist. */
  readonly _id: string;
  readonly stream: string;
  readonly seq: number;
  readonly opId: string;
  readonly text: string;
}

const UNIQUE_INDEXES = [
  { stream: 1, seq: 1 },
  { stream: 1, opId: 1 },
] as const;

/**
 * A connected client whose every write is acknowledged by a majority's journal.
 *
 * `retryWrites` is off: what the driver would retry blindly, the store decides by opId (and not every compatible
 * server has sessions). @throws STORE_UNAVAILABLE
 */
export async function connect(uri: string, timeoutMs: number): Promise<MongoClient> {
  try {
    const client = new MongoClient(uri, {
      serverSelectionTimeoutMS: timeoutMs,
      connectTimeoutMS: timeoutMs,
      writeConcern: { w: 'majority', journal: true },
      readConcern: { level: 'majority' },
      readPreference: 'primary',
      retryWrites: false,
      appName: 'tacit',
    });
    await client.connect();
    await client.db().command({ ping: 1 });
    return client;
  } catch (cause) {
    throw unavailable(uri, cause);
  }
}

/** Creates the two unique indexes and proves by reading them back that they are what was asked. @throws STORE_INVALID */
export async function eventsCollection(db: Db, where: string): Promise<Collection<EventDocument>> {
  const events = db.collection<EventDocument>('events');
  let refusal: unknown;
  for (const key of UNIQUE_INDEXES) {
    await events.createIndex(key, { unique: true }).catch((error) => {
      if (!(error instanceof MongoError)) throw error;
      refusal = error;
    });
  }
  // By key and uniqueness, not by name: createIndexes can "succeed" over an index that is not unique.
  const present = await events.listIndexes().toArray();
  for (const key of UNIQUE_INDEXES) {
    const found = present.some((index) => index.unique === true && JSON.stringify(index.key) === JSON.stringify(key));
    if (found) continue;
    throw new TacitError<StoreErrorCode>(
      'STORE_INVALID',
      `the collection events has no unique index on ${Object.keys(key).join(', ')}`,
      {
        where,
        fix: 'Drop the index that stands in its place (listIndexes shows it), then start again; never write without it.',
        cause: refusal,
      },
    );
  }
  return events;
}

/** The URI without user and password, for messages. */
export function withoutCredentials(uri: string): string {
  return uri.replace(/\/\/[^/]*@/, '//');
}

export function unavailable(uri: string, cause: unknown): TacitError<StoreErrorCode> {
  return new TacitError<StoreErrorCode>(
    'STORE_UNAVAILABLE',
    `the MongoDB store does not answer: ${withoutCredentials((cause as Error).message)}`,
    {
      where: withoutCredentials(uri),
      fix: 'Start the server or correct the address and the credentials, then start again; nothing acknowledged is lost.',
      cause,
    },
  );
}
