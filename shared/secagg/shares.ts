import nacl from 'tweetnacl';
import { concat, equalBytes, utf8 } from '../core/bytes.ts';
import { sha256 } from '../core/hash.ts';
import type { Rng } from '../core/rng.ts';

/** The two secrets of a client that its neighbours hold: exactly one of them is ever opened. */
export type SecretKind = 'seed' | 'key';

/** One share with the randomness that hides it in its commitment. */
export interface BlindedShare {
  /** 32 bytes. */
  readonly share: Uint8Array;
  /** 32 random bytes. */
  readonly blinding: Uint8Array;
}

export type SharePair = Readonly<Record<SecretKind, BlindedShare>>;

/** Whose secret, who holds the share, and at which point. */
export interface ShareLabel {
  readonly sid: Uint8Array;
  readonly from: string;
  readonly to: string;
  /** 1-based position of `to` among the holders of `from`. */
  readonly x: number;
}

/** Hiding and binding: SHA-256 over the share and 32 bytes of blinding, bound to session, dealer, holder and point. */
export function commitToShare(label: ShareLabel, kind: SecretKind, { share, blinding }: BlindedShare): Uint8Array {
  const head = utf8(`secagg/1/share\0${kind}\0${label.from}\0${label.to}\0`);
  return sha256(head, label.sid, Uint8Array.of(label.x), share, blinding);
}

/** Commitment to the self-mask seed, which has 256 bits of entropy and so needs no blinding. */
export function commitToSeed(sid: Uint8Array, clientId: string, seed: Uint8Array): Uint8Array {
  return sha256(utf8(`secagg/1/seed\0${clientId}\0`), sid, seed);
}

/** x, then share and blinding of the seed, then of the key. */
const PLAINTEXT_BYTES = 1 + 4 * 32;
export const BOX_BYTES = nacl.secretbox.nonceLength + nacl.secretbox.overheadLength + PLAINTEXT_BYTES;

/** Both shares for one holder, sealed under the pair's channel key: a random 24-byte nonce, then the box. */
export function sealShares(pair: SharePair, x: number, key: Uint8Array, rng: Rng): Uint8Array {
  const { seed, key: maskKey } = pair;
  const plain = concat(Uint8Array.of(x), seed.share, seed.blinding, maskKey.share, maskKey.blinding);
  const nonce = rng.bytes(nacl.secretbox.nonceLength);
  const box = nacl.secretbox(plain, nonce, key);
  plain.fill(0);
  return concat(nonce, box);
}

/** Opens a box; undefined when it was not sealed for this direction of this session, or holds another point than `x`. */
export function openShares(box: Uint8Array, x: number, key: Uint8Array): SharePair | undefined {
  if (box.length !== BOX_BYTES) return undefined;
  const nonce = box.subarray(0, nacl.secretbox.nonceLength);
  const plain = nacl.secretbox.open(box.subarray(nacl.secretbox.nonceLength), nonce, key);
  if (plain === null || plain.length !== PLAINTEXT_BYTES || plain[0] !== x) return undefined;
  const part = (i: number): Uint8Array => plain.slice(1 + 32 * i, 33 + 32 * i);
  const pair = { seed: { share: part(0), blinding: part(1) }, key: { share: part(2), blinding: part(3) } };
  plain.fill(0);
  return pair;
}

/** True when both shares open the commitments that their dealer signed. */
export function opensCommitments(
  label: ShareLabel,
  pair: SharePair,
  seedCommitment: Uint8Array,
  keyCommitment: Uint8Array,
): boolean {
  return (
    equalBytes(commitToShare(label, 'seed', pair.seed), seedCommitment) &&
    equalBytes(commitToShare(label, 'key', pair.key), keyCommitment)
  );
}
