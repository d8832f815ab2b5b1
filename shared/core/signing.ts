import { ed25519 } from '@noble/curves/ed25519.js';

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
  return { publicKey, sign: (message) => ed25519.sign(message, secret) };
}

/**
 * Strict RFC 8032 verification: canonical encodings only, small-order keys and S ≥ L refused.
 * tweetnacl accepts the identity point as a key that verifies anything, so it is not used for signatures.
 */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  try {
    const point = ed25519.Point.fromBytes(publicKey, false);
    if (point.isSmallOrder()) return false;
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
}
