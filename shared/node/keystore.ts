import { type ScryptOptions, scrypt } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import nacl from 'tweetnacl';
import { base64, fromBase64 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import {
  type KeyFile,
  parseKeyFile,
  passphraseBytes,
  SCRYPT,
  SEALING_KEY_BYTES,
  sealKey,
  unsealKey,
} from '../core/key-file.ts';
import type { Rng } from '../core/rng.ts';
import { createPrivate, readIfThere, readOrCreateSecret } from './secret-file.ts';

export type KeystoreErrorCode = 'KEYSTORE_LOCKED' | 'KEYSTORE_INVALID';

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
  const from: KeyFile['key'] =
    protection === 'machine' ? { from: 'machine' } : { from: 'passphrase', scrypt: SCRYPT, salt: base64(salt) };
  await createPrivate(path, sealKey(seed, key, nonce, from));
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
  const seed = unsealKey(stored, key);
  if (seed === undefined) {
    throw new TacitError<KeystoreErrorCode>('KEYSTORE_LOCKED', 'the key does not open with this passphrase', {
      where: path,
      fix: 'Set TACIT_KEY_PASSPHRASE to the passphrase it was made with.',
    });
  }
  return { seed, protection: stored.key.from, created: false };
}

function parse(path: string, bytes: Uint8Array): KeyFile {
  const stored = parseKeyFile(bytes);
  if (stored !== undefined) return stored;
  throw new TacitError<KeystoreErrorCode>('KEYSTORE_INVALID', 'the key file is damaged', {
    where: path,
    fix: 'Restore it from a backup, or move it away to start with a new identity.',
  });
}

async function passphraseKey(
  path: string,
  key: Extract<KeyFile['key'], { from: 'passphrase' }>,
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
  const { bytes } = await readOrCreateSecret(name, () => rng.bytes(SEALING_KEY_BYTES));
  if (bytes.length !== SEALING_KEY_BYTES) {
    throw new TacitError<KeystoreErrorCode>('KEYSTORE_INVALID', 'the machine key is damaged', {
      where: name,
      fix: 'Restore it from a backup.',
    });
  }
  return Uint8Array.from(bytes);
}

function stretched(passphrase: string, salt: Uint8Array, cost: ScryptOptions): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    scrypt(passphraseBytes(passphrase), salt, SEALING_KEY_BYTES, { ...cost, maxmem: 2 ** 31 - 1 }, (error, key) =>
      error === null ? resolve(Uint8Array.from(key)) : reject(error),
    );
  });
}
