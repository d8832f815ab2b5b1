import { base64, concat, equalBytes, fromBase64, utf8 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import { type Signer, verifySignature } from '../core/signing.ts';
import type { LedgerErrorCode } from './errors.ts';
import { ALGORITHM, isKeyName, sameKey, type VerifierKey } from './keys.ts';

/** C2SP signed-note: a text and the signatures of those who stand by it. Notes come from other machines: every limit is enforced. */
const MAX_NOTE_BYTES = 1_000_000;
const MAX_SIGNATURES = 100;
const DASH = '\u2014 ';

export interface NoteSignature {
  readonly name: string;
  readonly keyId: Uint8Array;
  /** What follows the key id: 64 bytes for Ed25519, 8 + 64 for cosignature/v1. */
  readonly signature: Uint8Array;
}

export interface VerifiedSignature {
  readonly key: VerifierKey;
  /** Unix seconds at which a witness says it saw the checkpoint; undefined for the log's own signature. */
  readonly time: number | undefined;
}

export interface OpenedNote {
  /** The signed text with its final LF. */
  readonly body: string;
  /** One per known key, in the order of the note. */
  readonly verified: readonly VerifiedSignature[];
  /** Signatures by keys that the reader does not know; they mean nothing. */
  readonly unknown: readonly NoteSignature[];
}

/** Signature line (without LF) of `signer` under `key`. @param time - Unix seconds, for cosignature/v1 only */
export function signLine(body: string, key: VerifierKey, signer: Signer, time?: number): string {
  if (!equalBytes(signer.publicKey, key.publicKey)) throw invalid(`the signer is not the key of ${key.name}`);
  if (key.algorithm === ALGORITHM.ed25519) return signatureLine(key, signer.sign(utf8(body)));
  if (time === undefined || !Number.isSafeInteger(time) || time < 0)
    throw invalid('a cosignature needs its time in Unix seconds');
  return signatureLine(key, concat(bigEndian64(time), signer.sign(cosignedMessage(body, time))));
}

function signatureLine(key: Pick<VerifierKey, 'name' | 'keyId'>, signature: Uint8Array): string {
  return `${DASH}${key.name} ${base64(concat(key.keyId, signature))}`;
}

/** Body, empty line, signature lines. */
export function formatNote(body: string, lines: readonly string[]): string {
  return `${body}\n${lines.map((line) => `${line}\n`).join('')}`;
}

/** Splits a note without looking at who signed. @throws NOTE_INVALID */
export function parseNote(note: string): { readonly body: string; readonly signatures: readonly NoteSignature[] } {
  if (utf8(note).length > MAX_NOTE_BYTES) throw invalid(`it is over ${MAX_NOTE_BYTES} bytes`);
  if (/[\p{Cc}\ufffd]/u.test(note.replaceAll('\n', ''))) throw invalid('it holds control characters or broken UTF-8');
  const at = note.lastIndexOf('\n\n');
  if (at <= 0) throw invalid('no empty line before the signatures');
  if (!note.endsWith('\n') || at + 2 === note.length) throw invalid('no signature line, or no final line end');
  const lines = note.slice(at + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw invalid(`over ${MAX_SIGNATURES} signatures`);
  return { body: note.slice(0, at + 1), signatures: lines.map(parseSignatureLine) };
}

/** @throws NOTE_INVALID */
export function parseSignatureLine(line: string): NoteSignature {
  const [, name, payload] = /^\u2014 ([^ ]+) ([A-Za-z0-9+/=]+)$/u.exec(line) ?? [];
  if (name === undefined || payload === undefined || !isKeyName(name)) throw invalid('a signature line is malformed');
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(payload);
  } catch {
    throw invalid('a signature is not canonical base64');
  }
  if (bytes.length < 5) throw invalid('a signature is too short');
  return { name, keyId: bytes.slice(0, 4), signature: bytes.slice(4) };
}

/**
 * Verifies a note with the keys that the reader trusts. A known key with a bad signature rejects the whole note; unknown
 * keys are skipped; the same key twice counts once.
 * @throws NOTE_INVALID (format), NOTE_UNSIGNED (a bad signature, or none by a known key)
 */
export function openNote(note: string, keys: readonly VerifierKey[]): OpenedNote {
  const { body, signatures } = parseNote(note);
  const verified: VerifiedSignature[] = [];
  const unknown: NoteSignature[] = [];
  for (const signature of signatures) {
    const candidates = keys.filter((k) => sameKey(k, signature));
    if (candidates.length === 0) unknown.push(signature);
    for (const key of candidates) {
      if (verified.some((v) => sameKey(v.key, key))) continue;
      verified.push({ key, time: verifySignatureOf(key, body, signature.signature) });
    }
  }
  if (verified.length === 0) throw unsigned('no signature by a key that is trusted here');
  return { body, verified, unknown };
}

/** Time of a cosignature, undefined for a plain signature. @throws NOTE_UNSIGNED */
export function verifySignatureOf(key: VerifierKey, body: string, signature: Uint8Array): number | undefined {
  if (key.algorithm === ALGORITHM.ed25519) {
    if (!verifySignature(key.publicKey, utf8(body), signature))
      throw unsigned(`the signature of ${key.name} does not verify`);
    return undefined;
  }
  if (signature.length !== 72) throw unsigned(`the cosignature of ${key.name} is not 76 bytes with its key id`);
  const time = new DataView(signature.buffer, signature.byteOffset, 8).getBigUint64(0);
  if (time > BigInt(Number.MAX_SAFE_INTEGER)) throw unsigned(`the cosignature of ${key.name} has an impossible time`);
  if (!verifySignature(key.publicKey, cosignedMessage(body, Number(time)), signature.slice(8))) {
    throw unsigned(`the cosignature of ${key.name} does not verify`);
  }
  return Number(time);
}

/** C2SP tlog-cosignature: what a witness signs. */
function cosignedMessage(body: string, time: number): Uint8Array {
  return utf8(`cosignature/v1\ntime ${time}\n${body}`);
}

function bigEndian64(value: number): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

function invalid(why: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('NOTE_INVALID', `not a signed note: ${why}`);
}

function unsigned(why: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('NOTE_UNSIGNED', why, {
    fix: 'Check that the verifier keys are the right ones; if they are, the note was changed.',
  });
}
