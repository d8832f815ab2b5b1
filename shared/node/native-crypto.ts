import {
  type Cipher,
  createCipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  hash,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { free } from '../core/free.ts';
import { installNativeCrypto, type NativeCrypto } from '../core/native.ts';

/** DER heads of RFC 8410: SubjectPublicKeyInfo and PKCS #8 PrivateKeyInfo, which end in the 32 raw bytes. */
const ED25519_PUBLIC = Buffer.from('302a300506032b6570032100', 'hex');
const ED25519_PRIVATE = Buffer.from('302e020100300506032b657004220420', 'hex');
const X25519_PUBLIC = Buffer.from('302a300506032b656e032100', 'hex');
const X25519_PRIVATE = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** A session uses one secret key with all its neighbours. Weak: the key object goes when the array does. */
const secretKeys = new WeakMap<Uint8Array, { readonly key: KeyObject; readonly first: number }>();

function privateKey(head: Buffer, raw: Uint8Array): KeyObject {
  const der = Buffer.concat([head, raw]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  return key;
}

function secretKey(raw: Uint8Array): KeyObject {
  const known = secretKeys.get(raw);
  const first = Buffer.from(raw.buffer, raw.byteOffset, 4).readUInt32LE();
  // An erased array is another key.
  if (known?.first === first) return known.key;
  const key = privateKey(X25519_PRIVATE, raw);
  secretKeys.set(raw, { key, first });
  return key;
}

/** Few identities sign many messages, and a session uses each of its keys more than once. */
const MOST_KEYS = 20_000;
const publicKeys = new Map<string, KeyObject>();

function publicKey(head: Buffer, raw: Uint8Array): KeyObject {
  const der = Buffer.concat([head, raw]);
  const name = der.toString('latin1');
  const known = publicKeys.get(name);
  if (known !== undefined) return known;
  const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  if (publicKeys.size >= MOST_KEYS) publicKeys.clear();
  publicKeys.set(name, key);
  return key;
}

/** What a cipher encrypts at a time: source, result and target stay in cache, and malloc does not ask the system for the result. */
const PIECE = new Uint8Array(96 << 10);

/** A counter block as the number that it is. */
function positionOf({ buffer, byteOffset }: Uint8Array): bigint {
  const view = new DataView(buffer, byteOffset, 16);
  return (view.getBigUint64(0) << 64n) | view.getBigUint64(8);
}

/** Short inputs are hashed in one call, which costs half as much. */
const together = new Uint8Array(1024);

function sha256InParts(parts: readonly Uint8Array[]): Uint8Array {
  const state = createHash('sha256');
  for (const part of parts) state.update(part);
  return new Uint8Array(state.digest());
}

/** OpenSSL, by node:crypto: seven to ten times as fast as JavaScript. */
export const opensslCrypto: NativeCrypto = {
  sha256(parts) {
    let length = 0;
    for (const part of parts) length += part.length;
    if (length > together.length) return sha256InParts(parts);
    let at = 0;
    for (const part of parts) {
      together.set(part, at);
      at += part.length;
    }
    const digest = hash('sha256', together.subarray(0, length), 'buffer');
    together.fill(0, 0, length);
    return new Uint8Array(digest);
  },
  verifyEd25519: (key, message, signature) => verify(null, message, publicKey(ED25519_PUBLIC, key), signature),
  signEd25519(seed) {
    const key = privateKey(ED25519_PRIVATE, seed);
    return (message) => new Uint8Array(sign(null, message, key));
  },
  x25519(secret, other) {
    try {
      return new Uint8Array(
        diffieHellman({ privateKey: secretKey(secret), publicKey: publicKey(X25519_PUBLIC, other) }),
      );
    } catch {
      // OpenSSL refuses to derive the all-zero secret (RFC 7748 §6.1); callers refuse zeros under their own code.
      return new Uint8Array(32);
    }
  },
  aes256Ctr(key) {
    const secret = createSecretKey(key);
    // A vector is asked for piece by piece: where the last one ended the same cipher goes on.
    let open: { readonly cipher: Cipher; readonly next: bigint } | undefined;
    return (counter, into) => {
      const block = positionOf(counter);
      const cipher = open?.next === block ? open.cipher : createCipheriv('aes-256-ctr', secret, counter);
      // What fails half-way is not gone on with: the cipher would be further than its name says.
      open = undefined;
      for (let at = 0; at < into.length; at += PIECE.length) {
        const made = cipher.update(PIECE.subarray(0, Math.min(PIECE.length, into.length - at)));
        into.set(made, at);
        free(made);
      }
      if (into.length % 16 === 0) open = { cipher, next: block + BigInt(into.length / 16) };
    };
  },
  hkdf(secret, salt, info, length) {
    // Two HMACs cost half of `hkdfSync`.
    const key = createHmac('sha256', salt).update(secret).digest();
    const out = new Uint8Array(32 * Math.ceil(length / 32));
    let last = new Uint8Array(0);
    for (let i = 1; 32 * (i - 1) < length; i++) {
      last = createHmac('sha256', key).update(last).update(info).update(Uint8Array.of(i)).digest();
      out.set(last, 32 * (i - 1));
    }
    key.fill(0);
    return out.subarray(0, length);
  },
};

/** For the start of every Node application. */
export function useOpensslCrypto(): void {
  installNativeCrypto(opensslCrypto);
}
