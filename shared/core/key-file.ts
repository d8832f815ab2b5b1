import nacl from 'tweetnacl';
import { z } from 'zod';
import { base64, fromBase64, fromUtf8, utf8 } from './bytes.ts';

/** Cost of scrypt (RFC 7914 §2): N, r, p. */
const scryptCost = z.strictObject({
  cost: z
    .number()
    .int()
    .min(2 ** 14)
    .max(2 ** 20)
    .refine((n) => (n & (n - 1)) === 0, 'a power of two'),
  blockSize: z.literal(8),
  parallelization: z.literal(1),
});

const file = z.strictObject({
  version: z.literal(1),
  key: z.discriminatedUnion('from', [
    z.strictObject({ from: z.literal('passphrase'), scrypt: scryptCost, salt: z.base64() }),
    z.strictObject({ from: z.literal('machine') }),
  ]),
  nonce: z.base64().length(32),
  box: z.base64().length(64),
});
/** A 32-byte Ed25519 seed sealed with XSalsa20-Poly1305 (nacl.secretbox), as it lies in a file. */
export type KeyFile = z.infer<typeof file>;

/** 128 MiB and about 0.4 s for each guess. */
export const SCRYPT = { cost: 2 ** 17, blockSize: 8, parallelization: 1 } as const;

/** Length of the key that seals a seed, in bytes. */
export const SEALING_KEY_BYTES = nacl.secretbox.keyLength;

/** Undefined when the bytes are no key file. */
export function parseKeyFile(bytes: Uint8Array): KeyFile | undefined {
  try {
    return file.safeParse(JSON.parse(fromUtf8(bytes))).data;
  } catch {
    return undefined;
  }
}

/** @param seed - 32 secret bytes @param sealingKey - 32 bytes @param nonce - 24 bytes, used once */
export function sealKey(seed: Uint8Array, sealingKey: Uint8Array, nonce: Uint8Array, from: KeyFile['key']): Uint8Array {
  const stored: KeyFile = {
    version: 1,
    key: from,
    nonce: base64(nonce),
    box: base64(nacl.secretbox(seed, nonce, sealingKey)),
  };
  return utf8(`${JSON.stringify(stored)}\n`);
}

/** The seed; undefined when this is not the key that sealed it. */
export function unsealKey(stored: KeyFile, sealingKey: Uint8Array): Uint8Array | undefined {
  return nacl.secretbox.open(fromBase64(stored.box), fromBase64(stored.nonce), sealingKey) ?? undefined;
}

/** What scrypt reads: the same text typed on any keyboard is the same passphrase (Unicode NFKC). */
export function passphraseBytes(passphrase: string): Uint8Array {
  return utf8(passphrase.normalize('NFKC'));
}
