import type { Collection, Db } from 'mongodb';
import { MongoServerError } from 'mongodb';
import { TacitError } from '../../../shared/core/errors.ts';

export type LeaseErrorCode = 'STORE_IN_USE' | 'STORE_LEASE_LOST';

/** One term of writing; terms are never removed, so that each can be taken once. */
interface LeaseDocument {
  /** 1, 2, 3, …: the fencing token. */
  readonly _id: number;
  readonly owner: string;
  /** Counts up while the owner lives. */
  readonly beat: number;
  readonly released: boolean;
}

/** Monotonic milliseconds, and waiting. */
export interface LeaseTime {
  now(): number;
  sleep(ms: number): Promise<void>;
}

export interface LeaseOptions {
  /** Who writes, for the message to whoever is refused. */
  readonly owner: string;
  /** A lease whose owner has not been heard of for so long is over. @defaultValue 20_000 */
  readonly lifetimeMs?: number;
  readonly time?: LeaseTime;
  /** Told once when another has taken over or the server no longer answers. */
  readonly onLost?: (error: TacitError<LeaseErrorCode>) => void;
}

/** The right to write to one database. */
export interface Lease {
  readonly term: number;
  /** @throws STORE_LEASE_LOST from the moment on at which another could have taken over */
  check(): void;
  release(): Promise<void>;
}

const DUPLICATE_KEY = 11000;
const systemTime: LeaseTime = {
  now: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref()),
};

/**
 * Takes the right to write to a database, which one process has at a time. It is taken by inserting the next term under its
 * unique key, so one of any number wins, without transactions or atomic updates. No clocks are compared: whoever finds a
 * term watches its beat for a whole lifetime on its own clock, and takes the next one only if that stood still. The owner
 * counts from when it sent its last acknowledged beat and stops writing after 6/10 of a lifetime, so before anybody can
 * have seen a whole one pass (Gray & Cheriton 1989).
 * @throws STORE_IN_USE while another beats
 */
export async function takeLease(db: Db, options: LeaseOptions): Promise<Lease> {
  const { owner, lifetimeMs = 20_000, time = systemTime, onLost } = options;
  const leases = db.collection<LeaseDocument>('lease');
  const last = await latest(leases);
  if (last !== undefined && !last.released) await waitUntilOver(leases, last, lifetimeMs, time);
  const term = (last?._id ?? 0) + 1;
  let heard = time.now();
  try {
    await leases.insertOne({ _id: term, owner, beat: 0, released: false });
  } catch (error) {
    if (error instanceof MongoServerError && error.code === DUPLICATE_KEY) throw inUse((await latest(leases)) ?? last);
    throw error;
  }
  const quietMs = 0.6 * lifetimeMs;
  let state: 'held' | 'lost' | 'released' = 'held';
  const lose = (): void => {
    if (state !== 'held') return;
    state = 'lost';
    onLost?.(lost(term));
  };
  const beating = (async () => {
    for (let beat = 1; state === 'held'; beat++) {
      await time.sleep(lifetimeMs / 5);
      if (state !== 'held') return;
      const sent = time.now();
      try {
        await leases.updateOne({ _id: term }, { $set: { beat } });
        if ((await leases.findOne({ _id: term + 1 })) !== null) return lose();
        heard = sent;
      } catch {
        // A beat that is not acknowledged does not count; the next one may be.
      }
      if (time.now() - heard > quietMs) lose();
    }
  })();
  return {
    term,
    check() {
      if (state === 'held' && time.now() - heard > quietMs) lose();
      if (state !== 'held') throw lost(term);
    },
    async release() {
      const held = state === 'held';
      state = 'released';
      void beating;
      if (held) await leases.updateOne({ _id: term }, { $set: { released: true } }).catch(() => undefined);
    },
  };
}

async function latest(leases: Collection<LeaseDocument>): Promise<LeaseDocument | undefined> {
  return (await leases.find().sort({ _id: -1 }).limit(1).toArray())[0];
}

/** Returns when the term's owner has released it or was not heard of for a lifetime. @throws STORE_IN_USE */
async function waitUntilOver(
  leases: Collection<LeaseDocument>,
  seen: LeaseDocument,
  lifetimeMs: number,
  time: LeaseTime,
): Promise<void> {
  const start = time.now();
  do {
    await time.sleep(lifetimeMs / 20);
    const now = await latest(leases);
    if (now?._id === seen._id && now.released) return;
    if (now?._id !== seen._id || now.beat !== seen.beat) throw inUse(now ?? seen);
  } while (time.now() - start <= lifetimeMs);
}

function inUse(by: LeaseDocument | undefined): TacitError<LeaseErrorCode> {
  return new TacitError<LeaseErrorCode>('STORE_IN_USE', 'another coordinator or command writes to this database', {
    where: `${by?.owner ?? 'unknown'}, term ${by?._id ?? '?'}`,
    fix: 'Stop that one first, or give this coordinator a database of its own in the MongoDB address.',
  });
}

function lost(term: number): TacitError<LeaseErrorCode> {
  return new TacitError<LeaseErrorCode>('STORE_LEASE_LOST', 'this process may no longer write to its database', {
    where: `term ${term}`,
    fix: 'Start it again: MongoDB did not answer for too long, or another coordinator has taken over.',
  });
}
