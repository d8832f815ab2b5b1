import { TacitError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import type { ProtocolErrorCode } from './errors.ts';

/** What a join link holds: `<url>/#join=<token>.<fingerprint>`. The fragment never reaches a server's log. */
export interface JoinCode {
  /** Origin of the coordinator, e.g. `http://127.0.0.1:7400`. */
  readonly url: string;
  /** Invitation token, base64url. */
  readonly token: string;
  /** Pins the coordinator's key: see {@link fingerprintOf}. */
  readonly fingerprint: string;
}

/** First 16 hex digits of SHA-256 of an Ed25519 public key, in groups of four: `1a2b-3c4d-5e6f-7081`. */
export function fingerprintOf(publicKey: Uint8Array): string {
  return (sha256Hex(publicKey).slice(0, 16).match(/.{4}/g) as string[]).join('-');
}

export function formatJoinCode(code: JoinCode): string {
  return `${code.url}/#join=${code.token}.${code.fingerprint}`;
}

/** @throws JOIN_CODE_INVALID */
export function parseJoinCode(text: string): JoinCode {
  const match = /^(https?:\/\/[^\s#/]+)\/?#join=([A-Za-z0-9_-]{16,128})\.([0-9a-f]{4}(?:-[0-9a-f]{4}){3})$/.exec(
    text.trim(),
  );
  if (match === null) {
    throw new TacitError<ProtocolErrorCode>('JOIN_CODE_INVALID', 'this is not a join code', {
      fix: 'Copy the whole link from the coordinator: http(s)://host/#join=TOKEN.FINGERPRINT',
    });
  }
  return { url: match[1] as string, token: match[2] as string, fingerprint: match[3] as string };
}
