import { type ScryptOptions, scrypt } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import nacl from 'tweetnacl';
import { z } from 'zod';
import { base64, fromBase64, fromUtf8, utf8 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import { createPrivate, readIfThere, readOrCreateSecret } from './secret-file.ts';

export type KeystoreErrorCode = 'KEYSTORE_LOCKED' | 'KEYSTORE_INVALID';

const file = z.strictObject({
  version: z.literal(1),
  key: z.discriminatedUnion('from', [
    z.strictObject({
      from: z.literal('passphrase'),
      scrypt: z.strictObject({
        cost: z
          .number()
          .int()
          .min(2 ** 14)
          .max(2 ** 20),
        blockSize: z.literal(8),
        parallelization: z.literal(1),
      }),
      salt: z.base64(),
    }),
    z.strictObject({ from: z.literal('machine') }),
  ]),
  nonce: z.base64(),
  box: z.base64(),
});
type KeystoreFile = z.infer<typeof file>;

/** RFC 7914 §2; 128 MiB and about 0.4 s for each guess. */
const SCRYPT = { cost: 2 ** 17, blockSize: 8, parallelization: 1 } as const;

export interface OpenKeystore {
  /** The 32 secret bytes of an Ed25519 identity (RFC 8032 §5.1.5). */
  readonly seed: Uint8Array;
  /** `machine`: only file permissions protect it, so a stolen disk gives it away. */
  readonly protection: 'passphrase' | 'machine';
  readonly created: boolean;
}

/**
 * An Ed25519 seed, encrypted at rest with XSalsa20-Poly1305 (nacl.secretbox): under scrypt of a passphrase, or without
 * one under a random key in `machine-key` beside it, mode 0600. Made on first use; it never leaves this machine.
 * @throws KEYSTORE_LOCKED when the passphrase is wrong or missing, KEYSTORE_INVALID when the file is damaged
 */
export async function openKeystore(
  path: string,
  options: { passphrase?: string | undefined; rng: Rng },
): Promise<OpenKeystore> {
  const existing = await readIfThere(path);
  return existing === undefined ? create(path, options) : unlock(path, existing, options);
}

async function create(
  path: string,
  { passphrase, rng }: { passphrase?: string | undefined; rng: Rng },
): Promise<OpenKeystore> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const seed = rng.bytes(nacl.sign.seedLength);
  const nonce = rng.bytes(nacl.secretbox.nonceLength);
  const salt = rng.bytes(32);
  const protection = passphrase === undefined ? 'machine' : 'passphrase';
  const key = passphrase === undefined ? await machineKey(path, rng) : await stretched(passphrase, salt, SCRYPT);
  const stored: KeystoreFile = {
    version: 1,
    key: protection === 'machine' ? { from: 'machine' } : { from: 'passphrase', scrypt: SCRYPT, salt: base64(salt) },
    nonce: base64(nonce),
    box: base64(nacl.secretbox(seed, nonce, key)),
  };
  await createPrivate(path, utf8(`${JSON.stringify(stored)}\n`));
  return { seed, protection, created: true };
}

async function unlock(
  path: string,
  bytes: Uint8Array,
  options: { passphrase?: string | undefined; rng: Rng },
): Promise<OpenKeystore> {
  const stored = parse(path, bytes);
  const key =
    stored.key.from === 'machine'
      ? await machineKey(path, options.rng)
      : await passphraseKey(path, stored.key, options.passphrase);
  const seed = nacl.secretbox.open(fromBase64(stored.box), fromBase64(stored.nonce), key);
  if (seed === null) {
    throw new TacitError<KeystoreErrorCode>('KEYSTORE_LOCKED', 'the key does not open with this passphrase', {
      where: path,
      fix: 'Set TACIT_KEY_PASSPHRASE to the passphrase it was made with.',
    });
  }
  return { seed, protection: stored.key.from, created: false };
}

function parse(path: string, bytes: Uint8Array): KeystoreFile {
  try {
    return file.parse(JSON.parse(fromUtf8(bytes)));
  } catch (cause) {
    throw new TacitError<KeystoreErrorCode>('KEYSTORE_INVALID', 'the key file is damaged', {
      where: path,
      fix: 'Restore it from a backup, or move it away to start with a new identity.',
      cause,
    });
  }
}

async function passphraseKey(
  path: string,
  key: Extract<KeystoreFile['key'], { from: 'passphrase' }>,
  passphrase: string | undefined,
): Promise<Uint8Array> {
  if (passphrase === undefined) {
    throw new TacitError<KeystoreErrorCode>('KEYSTORE_LOCKED', 'this key is protected by a passphrase', {
      where: path,
      fix: 'Set TACIT_KEY_PASSPHRASE.',
    });
  }
  return stretched(passphrase, fromBase64(key.salt), key.scrypt);
}

async function machineKey(path: string, rng: Rng): Promise<Uint8Array> {
  const name = join(dirname(path), 'machine-key');
  const { bytes } = await readOrCreateSecret(name, () => rng.bytes(nacl.secretbox.keyLength));
  if (bytes.length !== nacl.secretbox.keyLength) {
    throw new TacitError<KeystoreErrorCode>('KEYSTORE_INVALID', 'the machine key is damaged', {
      where: name,
      fix: 'Restore it from a backup.',
    });
  }
  return Uint8Array.from(bytes);
}

function stretched(passphrase: string, salt: Uint8Array, cost: ScryptOptions): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    scrypt(
      passphrase.normalize('NFKC'),
      salt,
      nacl.secretbox.keyLength,
      { ...cost, maxmem: 2 ** 31 - 1 },
      (error, key) => (error === null ? resolve(Uint8Array.from(key)) : reject(error)),
    );
  });
}
