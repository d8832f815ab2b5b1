import type { Rng } from '../../shared/core/rng.ts';
import { type Signer, signerFromSeed } from '../../shared/core/signing.ts';
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
const SLOT = 'self';
const TABLE = 'identity';

/** The identity of this browser for this origin; made at the first call. */
export async function openIdentity(rng: Rng): Promise<Identity> {
  const db = await openDatabase(DATABASES.identity, (made) => made.createObjectStore(TABLE));
  try {
    const kept = await answer(db.transaction(TABLE).objectStore(TABLE).get(SLOT) as IDBRequest<Stored | undefined>);
    const stored = kept ?? (await keepFirst(db, await seal(rng.bytes(SEED_BYTES), rng)));
    return { signer: signerFromSeed(await unseal(stored)), sealed: stored.form === 'sealed' };
  } finally {
    db.close();
  }
}

/** Of two tabs that make an identity at once, one wins and both use it. */
async function keepFirst(db: IDBDatabase, fresh: Stored): Promise<Stored> {
  const transaction = db.transaction(TABLE, 'readwrite', { durability: 'strict' });
  const done = committed(transaction);
  const table = transaction.objectStore(TABLE);
  const other = await answer(table.get(SLOT) as IDBRequest<Stored | undefined>);
  if (other === undefined) table.add(fresh, SLOT);
  await done;
  return other ?? fresh;
}

async function seal(seed: Uint8Array, rng: Rng): Promise<Stored> {
  // Undefined outside secure contexts, whatever the DOM types say.
  const subtle = crypto.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) return { form: 'bare', seed };
  const key = await subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
  const iv = rng.bytes(12).slice();
  const sealed = await subtle.encrypt({ name: 'AES-GCM', iv }, key, seed.slice());
  return { form: 'sealed', key, iv, seed: sealed };
}

async function unseal(stored: Stored): Promise<Uint8Array> {
  if (stored.form === 'bare') return stored.seed;
  return new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv: stored.iv }, stored.key, stored.seed));
}
