import { base64, concat, fromBase64, utf8 } from '../core/bytes.ts';
import { canonicalBytes } from '../core/canonical.ts';
import { sha256 } from '../core/hash.ts';
import { type Signer, verifySignature } from '../core/signing.ts';

/**
 * What a person or a client signs outside the protocol's own frames, and inside entries:
 * `"tacit/1/<kind>\0" ‖ SHA-256(RFC 8785 of the document)`. The kind keeps a signature from meaning something else.
 */
export type StatementKind = 'consent' | 'refusal' | 'countersignature' | 'budget.open' | 'approvers' | 'key.rotate';

/** Bytes that a statement's signature covers. */
export function statementBytes(kind: StatementKind, document: unknown): Uint8Array {
  return concat(utf8(`tacit/1/${kind}\0`), sha256(canonicalBytes(document)));
}

/** Base64 of the Ed25519 signature. */
export function signStatement(kind: StatementKind, document: unknown, signer: Signer): string {
  return base64(signer.sign(statementBytes(kind, document)));
}

/** @param publicKey - base64 of 32 bytes @param signature - base64 of 64 bytes */
export function verifyStatement(kind: StatementKind, document: unknown, publicKey: string, signature: string): boolean {
  try {
    return verifySignature(fromBase64(publicKey), statementBytes(kind, document), fromBase64(signature));
  } catch {
    return false;
  }
}
