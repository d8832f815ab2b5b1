import { join, resolve } from 'node:path';
import Database from 'libsql';
import { TacitError } from '../../core/errors.ts';
import { checkAppend, checkStream, conflict } from '../../store/names.ts';
import type { Store, StoredEvent, StoreErrorCode } from '../../store/port.ts';
import { createBlobFiles, mkdirDurable } from './blob-files.ts';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS events (
    stream TEXT NOT NULL, seq INTEGER NOT NULL, opId TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (stream, seq)
  ) WITHOUT ROWID;
  CREATE UNIQUE INDEX IF NOT EXISTS events_op ON events (stream, opId);`;

interface Waiting {
  readonly stream: string;
  readonly expectedSeq: number;
  readonly event: { readonly opId: string; readonly text: string };
  readonly resolve: (stored: StoredEvent) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The embedded default: `<dir>/tacit.db` (SQLite, WAL) and `<dir>/blobs`. Several processes may open one directory.
 *
 * `synchronous=FULL` because NORMAL lost acknowledged rows in a power-cut test. Appends that arrive in one turn of the
 * event loop share one transaction and so one fsync; each is still decided on its own.
 * @throws STORE_UNAVAILABLE when the directory cannot be written or durability cannot be had
 */
export async function openSqliteStore(dir: string): Promise<Store> {
  const blobDir = join(resolve(dir), 'blobs');
  const db = await openDatabase(resolve(dir), blobDir);
  const sql = {
    head: db.prepare('SELECT COALESCE(MAX(seq) + 1, 0) AS head FROM events WHERE stream = ?'),
    byOpId: db.prepare('SELECT stream, seq, opId, text FROM events WHERE stream = ? AND opId = ?'),
    insert: db.prepare('INSERT INTO events (stream, seq, opId, text) VALUES (?, ?, ?, ?)'),
    read: db.prepare('SELECT stream, seq, opId, text FROM events WHERE stream = ? AND seq >= ? ORDER BY seq LIMIT ?'),
    streams: db.prepare('SELECT DISTINCT stream FROM events WHERE substr(stream, 1, ?) = ? ORDER BY stream'),
  };
  const headOf = (stream: string): number => (sql.head.get(stream) as { head: number }).head;

  /** The write lock is held, so what is read here cannot change before the commit. */
  const decide = ({ stream, expectedSeq, event }: Waiting): StoredEvent | TacitError => {
    const mine = sql.byOpId.get(stream, event.opId) as StoredEvent | undefined;
    if (mine !== undefined) return mine.text === event.text ? row(mine) : conflict(stream, expectedSeq);
    if (headOf(stream) !== expectedSeq) return conflict(stream, expectedSeq);
    sql.insert.run(stream, expectedSeq, event.opId, event.text);
    return { stream, seq: expectedSeq, opId: event.opId, text: event.text };
  };

  let waiting: Waiting[] = [];
  let closed = false;
  const flush = (): void => {
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    let outcomes: (StoredEvent | TacitError)[];
    try {
      outcomes = inTransaction(db, () => batch.map(decide));
    } catch (cause) {
      for (const w of batch) w.reject(unavailable(dir, cause));
      return;
    }
    batch.forEach((w, i) => {
      const outcome = outcomes[i] as StoredEvent | TacitError;
      if (outcome instanceof TacitError) w.reject(outcome);
      else w.resolve(outcome);
    });
  };

  return {
    ...createBlobFiles(blobDir),
    async append(stream, expectedSeq, event) {
      checkAppend(stream, expectedSeq, event);
      if (closed) throw unavailable(dir, new Error('the store is closed'));
      return new Promise<StoredEvent>((resolve, reject) => {
        if (waiting.length === 0) setImmediate(flush);
        waiting.push({ stream, expectedSeq, event, resolve, reject });
      });
    },
    async read(stream, fromSeq = 0, limit = -1) {
      checkStream(stream);
      return guarded(dir, () => (sql.read.all(stream, fromSeq, limit) as StoredEvent[]).map(row));
    },
    async head(stream) {
      checkStream(stream);
      return guarded(dir, () => headOf(stream));
    },
    async streams(prefix) {
      return guarded(dir, () => (sql.streams.all(prefix.length, prefix) as { stream: string }[]).map((r) => r.stream));
    },
    async close() {
      if (closed) return;
      flush();
      closed = true;
      db.close();
    },
  };
}

async function openDatabase(dir: string, blobDir: string): Promise<Database.Database> {
  try {
    await mkdirDurable(blobDir);
    const db = new Database(join(dir, 'tacit.db'));
    db.pragma('busy_timeout = 10000');
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.exec(SCHEMA);
    const mode = (db.pragma('journal_mode') as { journal_mode: string }[])[0]?.journal_mode;
    const sync = (db.pragma('synchronous') as { synchronous: number }[])[0]?.synchronous;
    if (mode !== 'wal' || sync !== 2) throw new Error(`journal_mode ${mode}, synchronous ${sync} instead of wal, 2`);
    return db;
  } catch (cause) {
    throw unavailable(dir, cause);
  }
}

/** IMMEDIATE takes the write lock first: two processes never decide on the same head. */
function inTransaction<T>(db: Database.Database, body: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = body();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    if (db.inTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** libsql hands out rows of its own class; callers compare plain objects. */
function row(r: StoredEvent): StoredEvent {
  return { stream: r.stream, seq: r.seq, opId: r.opId, text: r.text };
}

function guarded<T>(dir: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    throw unavailable(dir, cause);
  }
}

function unavailable(dir: string, cause: unknown): TacitError<StoreErrorCode> {
  return new TacitError<StoreErrorCode>(
    'STORE_UNAVAILABLE',
    `the embedded store cannot be used: ${(cause as Error).message}`,
    {
      where: dir,
      fix: 'Check that the directory exists on a local disk, is writable and has space left.',
      cause,
    },
  );
}
