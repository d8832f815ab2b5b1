import { base64, concat, equalBytes, fromBase64, hex, utf8 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import { sha256 } from '../core/hash.ts';
import type { LedgerErrorCode } from './errors.ts';

/** Signature types of C2SP signed-note: 0x01 signs a note's body; 0x04 is a witness's cosignature/v1. */
export const ALGORITHM = { ed25519: 1, cosignature: 4 } as const;
export type Algorithm = (typeof ALGORITHM)[keyof typeof ALGORITHM];

/** A verifier key: who, by which Ed25519 key, for which kind of signature. */
export interface VerifierKey {
  readonly name: string;
  readonly algorithm: Algorithm;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 4 bytes: SHA-256(name ‖ LF ‖ algorithm ‖ public key)[:4]. A hint for finding the key, never proof of it. */
  readonly keyId: Uint8Array;
}

export function verifierKey(name: string, algorithm: Algorithm, publicKey: Uint8Array): VerifierKey {
  if (!isKeyName(name)) throw invalidKey(name, 'the name is empty or holds a plus sign or white space');
  if (publicKey.length !== 32) throw invalidKey(name, 'an Ed25519 public key is 32 bytes');
  const tagged = concat(new Uint8Array([algorithm]), publicKey);
  return { name, algorithm, publicKey, keyId: sha256(utf8(`${name}\n`), tagged).slice(0, 4) };
}

/** `name+hex8(keyId)+base64(algorithm ‖ public key)`. */
export function formatVkey(key: VerifierKey): string {
  return `${key.name}+${hex(key.keyId)}+${base64(concat(new Uint8Array([key.algorithm]), key.publicKey))}`;
}

/** @throws NOTE_INVALID for any other text, also when the key id is not the key's */
export function parseVkey(text: string): VerifierKey {
  const [, name, id, tagged] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
  if (name === undefined || id === undefined || tagged === undefined)
    throw invalidKey(text, 'it is not name+keyid+base64');
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(tagged);
  } catch {
    throw invalidKey(text, 'its base64 is not canonical');
  }
  const algorithm = bytes[0];
  if (algorithm !== ALGORITHM.ed25519 && algorithm !== ALGORITHM.cosignature)
    throw invalidKey(text, `signature type ${algorithm} is unknown`);
  const key = verifierKey(name, algorithm, bytes.slice(1));
  if (hex(key.keyId) !== id) throw invalidKey(text, `its key id should be ${hex(key.keyId)}`);
  return key;
}

export function sameKey(a: Pick<VerifierKey, 'name' | 'keyId'>, b: Pick<VerifierKey, 'name' | 'keyId'>): boolean {
  return a.name === b.name && equalBytes(a.keyId, b.keyId);
}

/** signed-note: non-empty, no plus sign, no Unicode white space; control characters are refused as well. */
export function isKeyName(name: string): boolean {
  return name.length > 0 && name.length <= 400 && !/[+\s\p{Cc}\p{Z}]/u.test(name);
}

function invalidKey(text: string, why: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('NOTE_INVALID', `not a verifier key: ${why}`, {
    where: text.slice(0, 120),
    fix: 'Copy the whole line name+keyid+base64 as the log or the witness published it.',
  });
}
