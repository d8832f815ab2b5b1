import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import { hex } from './bytes.ts';
import { nativeCrypto } from './native.ts';

/** SHA-256 of the concatenation of `parts` (FIPS 180-4). */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const native = nativeCrypto();
  if (native !== undefined) return native.sha256(parts);
  const h = nobleSha256.create();
  for (const part of parts) h.update(part);
  return h.digest();
}

/** Lower-case hex of SHA-256. */
export function sha256Hex(...parts: readonly Uint8Array[]): string {
  return hex(sha256(...parts));
}

/**
 * {@link sha256Hex} by what the platform has installed, or by WebCrypto where there is one: ten times as fast as JavaScript on large
 * inputs. WebCrypto copies them to another thread, which costs more than waiting for OpenSSL.
 */
export async function sha256HexAsync(bytes: Uint8Array): Promise<string> {
  const { subtle } = crypto;
  if (nativeCrypto() !== undefined || subtle === undefined) return sha256Hex(bytes);
  return hex(new Uint8Array(await subtle.digest('SHA-256', bytes)));
}
