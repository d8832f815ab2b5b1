/**
 * What a platform does faster than JavaScript and just as strictly. The shell of an application hands it in once, when it
 * starts; without it everything works, only slower. Same results for honest inputs, and nothing is accepted that the
 * JavaScript refuses.
 */
export interface NativeCrypto {
  /** SHA-256 of the concatenation. */
  sha256(parts: readonly Uint8Array[]): Uint8Array;
  /** RFC 8032 §5.1.7 without the cofactor; callers have checked the lengths, that S < L, and the key. */
  verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** RFC 8032 §5.1.6, with the 32 secret bytes of §5.1.5: equal bytes for equal messages. */
  signEd25519(seed: Uint8Array): (message: Uint8Array) => Uint8Array;
  /** X25519 of RFC 7748 §5; all zeros for a public key of small order. `secretKey` is the same array each time it is used. */
  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array;
  /** AES-256-CTR (NIST SP 800-38A §6.5): fills `into` with keystream from a counter block of 16 bytes on. The key is copied. */
  aes256Ctr(key: Uint8Array): (counter: Uint8Array, into: Uint8Array) => void;
  /** HKDF-SHA-256 (RFC 5869). */
  hkdf(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array;
}

let installed: NativeCrypto | undefined;

/** Undefined until, and unless, a shell handed one in. */
export function nativeCrypto(): NativeCrypto | undefined {
  return installed;
}

export function installNativeCrypto(native: NativeCrypto | undefined): void {
  installed = native;
}
