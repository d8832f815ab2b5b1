import { ed25519 } from '@noble/curves/ed25519.js';
import { fromHex, hex } from './bytes.ts';
import { nativeCrypto } from './native.ts';

/** An Ed25519 identity (RFC 8032). The private half never leaves the closure. */
export interface Signer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64-byte signature of `message`. */
  sign(message: Uint8Array): Uint8Array;
}

/** @param seed - 32 secret bytes (RFC 8032 §5.1.5). */
export function signerFromSeed(seed: Uint8Array): Signer {
  const secret = seed.slice();
  const publicKey = ed25519.getPublicKey(secret);
  const native = nativeCrypto();
  return { publicKey, sign: native?.signEd25519(secret) ?? ((message) => ed25519.sign(message, secret)) };
}

/** Order of the base point (RFC 8032 §5.1), little-endian. */
const ORDER = fromHex('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010');

/** S < L: of the two spellings of a signature only one counts (RFC 8032 §5.1.7). S is not secret. */
function isReduced(s: Uint8Array): boolean {
  for (let i = 31; i >= 0; i--) {
    const difference = (s[i] as number) - (ORDER[i] as number);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** Verdicts on public keys: few identities sign many messages, and a look at a key costs half a verification. */
const MOST_KEYS = 20_000;
const soundKeys = new Map<string, boolean>();

/** Canonically encoded, on the curve and not of small order. */
function isSound(publicKey: Uint8Array): boolean {
  const name = hex(publicKey);
  const known = soundKeys.get(name);
  if (known !== undefined) return known;
  let sound = false;
  try {
    sound = !ed25519.Point.fromBytes(publicKey, false).isSmallOrder();
  } catch {
    // Not a point.
  }
  if (soundKeys.size >= MOST_KEYS) soundKeys.clear();
  soundKeys.set(name, sound);
  return sound;
}

/**
 * Strict RFC 8032 verification: canonical encodings only, small-order keys and S ≥ L refused.
 * tweetnacl accepts the identity point as a key that verifies anything, so it is not used for signatures.
 *
 * A platform's own verification (OpenSSL) compares the encoding of S·B − k·A with R byte for byte: it accepts nothing that
 * this accepts not, since equal points are equal after multiplication by the cofactor (docs/adr).
 */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  if (!isReduced(signature.subarray(32)) || !isSound(publicKey)) return false;
  try {
    const native = nativeCrypto();
    if (native !== undefined) return native.verifyEd25519(publicKey, message, signature);
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
}
