import {
  createCipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  hkdfSync,
  type KeyObject,
  verify,
} from 'node:crypto';
import { free } from '../core/free.ts';
import { installNativeCrypto, type NativeCrypto } from '../core/native.ts';

/** DER heads of RFC 8410: SubjectPublicKeyInfo and PKCS #8 PrivateKeyInfo, which end in the 32 raw bytes. */
const ED25519_PUBLIC = Buffer.from('302a300506032b6570032100', 'hex');
const X25519_PUBLIC = Buffer.from('302a300506032b656e032100', 'hex');
const X25519_PRIVATE = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** A session uses one secret key with all its neighbours. Weak: the key object goes when the array does. */
const secretKeys = new WeakMap<Uint8Array, { readonly key: KeyObject; readonly first: number }>();

function secretKey(raw: Uint8Array): KeyObject {
  const known = secretKeys.get(raw);
  const first = Buffer.from(raw.buffer, raw.byteOffset, 4).readUInt32LE();
  // An erased array is another key.
  if (known?.first === first) return known.key;
  const der = Buffer.concat([X25519_PRIVATE, raw]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
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

/** What a cipher encrypts at a time: source, result and target stay in cache. */
const PIECE = new Uint8Array(1 << 16);

/** OpenSSL, by node:crypto: seven to ten times as fast as JavaScript. */
export const opensslCrypto: NativeCrypto = {
  sha256(parts) {
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    return new Uint8Array(hash.digest());
  },
  verifyEd25519: (key, message, signature) => verify(null, message, publicKey(ED25519_PUBLIC, key), signature),
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
    return (counter, into) => {
      const cipher = createCipheriv('aes-256-ctr', secret, counter);
      for (let at = 0; at < into.length; at += PIECE.length) {
        const made = cipher.update(PIECE.subarray(0, Math.min(PIECE.length, into.length - at)));
        into.set(made, at);
        free(made);
      }
    };
  },
  hkdf: (secret, salt, info, length) => new Uint8Array(hkdfSync('sha256', secret, salt, info, length)),
};

/** For the start of every Node application. */
export function useOpensslCrypto(): void {
  installNativeCrypto(opensslCrypto);
}
