import type { Rng } from '../../shared/core/rng.ts';
import { type Signer, signerFromSeed } from '../../shared/core/signing.ts';
import type { KeySlots } from '../../shared/ledger/key-change.ts';
import { answer, committed, DATABASES, openDatabase } from './database.ts';

/** This browser's identity. `sealed`: its seed lies in storage only encrypted under a key that no script can export. */
export interface Identity {
  readonly signer: Signer;
  readonly sealed: boolean;
}

/** AES-256-GCM, or the bare seed where the page is no secure context and WebCrypto therefore absent. */
type Stored =
  | {
      readonly form: 'sealed';
      readonly key: CryptoKey;
      readonly iv: Uint8Array<ArrayBuffer>;
      readonly seed: ArrayBuffer;
    }
  | { readonly form: 'bare'; readonly seed: Uint8Array };

const SEED_BYTES = 32;
/** Where the key in force lies, and where the next one does until it takes over. */
const [SELF, NEXT] = ['self', 'next'];
const TABLE = 'identity';

/** The identity of this browser for this origin; made at the first call. */
export function openIdentity(rng: Rng): Promise<Identity> {
  return withTable(async (db) => identityOf((await kept(db, SELF)) ?? (await keepFirst(db, SELF, await fresh(rng)))));
}

/** The same key, and the one that replaces it. */
export function identitySlots(rng: Rng): KeySlots {
  const signer = async (stored: Stored): Promise<Signer> => (await identityOf(stored)).signer;
  return {
    current: async () => (await openIdentity(rng)).signer,
    next: () =>
      withTable(async (db) => {
        const stored = await kept(db, NEXT);
        return stored === undefined ? undefined : signer(stored);
      }),
    makeNext: () => withTable(async (db) => signer(await keepFirst(db, NEXT, await fresh(rng)))),
    promote: () =>
      withTable(async (db) => {
        const transaction = writing(db);
        const done = committed(transaction);
        const table = transaction.objectStore(TABLE);
        table.put(await answer(table.get(NEXT)), SELF);
        table.delete(NEXT);
        await done;
      }),
  };
}

async function withTable<T>(use: (db: IDBDatabase) => Promise<T>): Promise<T> {
  const db = await openDatabase(DATABASES.identity, (made) => made.createObjectStore(TABLE));
  try {
    return await use(db);
  } finally {
    db.close();
  }
}

function kept(db: IDBDatabase, slot: string): Promise<Stored | undefined> {
  return answer(db.transaction(TABLE).objectStore(TABLE).get(slot) as IDBRequest<Stored | undefined>);
}

/** Of two tabs that make one at once, one wins and both use it. */
async function keepFirst(db: IDBDatabase, slot: string, made: Stored): Promise<Stored> {
  const transaction = writing(db);
  const done = committed(transaction);
  const table = transaction.objectStore(TABLE);
  const other = await answer(table.get(slot) as IDBRequest<Stored | undefined>);
  if (other === undefined) table.add(made, slot);
  await done;
  return other ?? made;
}

function writing(db: IDBDatabase): IDBTransaction {
  return db.transaction(TABLE, 'readwrite', { durability: 'strict' });
}

async function fresh(rng: Rng): Promise<Stored> {
  const seed = rng.bytes(SEED_BYTES);
  // Undefined outside secure contexts, whatever the DOM types say.
  const subtle = crypto.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) return { form: 'bare', seed };
  const key = await subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
  const iv = rng.bytes(12).slice();
  const plain = seed.slice();
  const sealed = await subtle.encrypt({ name: 'AES-GCM', iv }, key, plain);
  for (const bytes of [seed, plain]) bytes.fill(0);
  return { form: 'sealed', key, iv, seed: sealed };
}

async function identityOf(stored: Stored): Promise<Identity> {
  return { signer: signerFromSeed(await unseal(stored)), sealed: stored.form === 'sealed' };
}

async function unseal(stored: Stored): Promise<Uint8Array> {
  if (stored.form === 'bare') return stored.seed;
  return new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv: stored.iv }, stored.key, stored.seed));
}
