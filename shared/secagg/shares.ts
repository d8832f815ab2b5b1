import nacl from 'tweetnacl';
import { concat, equalBytes, utf8 } from '../core/bytes.ts';
import { sha256 } from '../core/hash.ts';
import type { Rng } from '../core/rng.ts';

/** Secrets of a client that its holders keep: of `seed` and `key` exactly one is ever opened, of the surplus seeds at most one. */
export type SecretKind = 'seed' | 'key' | `surplus ${number}`;

/** One share with the randomness that hides it in its commitment. */
export interface BlindedShare {
  /** 32 bytes. */
  readonly share: Uint8Array;
  /** 32 random bytes. */
  readonly blinding: Uint8Array;
}

/** What one holder keeps of one dealer. */
export interface HeldShares {
  /** Of the self-mask seed. */
  readonly seed: BlindedShare;
  /** Of the mask key. */
  readonly key: BlindedShare;
  /** Of s_1…s_K, the seeds of the noise that may turn out to be surplus. */
  readonly surplus: readonly BlindedShare[];
}

/** All of them, in the order in which they are sealed. */
export function sharesOf({ seed, key, surplus }: HeldShares): readonly BlindedShare[] {
  return [seed, key, ...surplus];
}

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

/** Commitment to the end of the chain of noise seeds: whoever is given one of them can walk to the end. */
export function commitToNoise(sid: Uint8Array, clientId: string, end: Uint8Array): Uint8Array {
  return sha256(utf8(`secagg/1/noise\0${clientId}\0`), sid, end);
}

/** x, then share and blinding of the seed, of the key and of each surplus seed. */
const plaintextBytes = (surplus: number): number => 1 + 64 * (2 + surplus);
export const boxBytes = (surplus: number): number =>
  nacl.secretbox.nonceLength + nacl.secretbox.overheadLength + plaintextBytes(surplus);

/** The shares for one holder, sealed under the pair's channel key: a random 24-byte nonce, then the box. */
export function sealShares(held: HeldShares, x: number, key: Uint8Array, rng: Rng): Uint8Array {
  const plain = concat(Uint8Array.of(x), ...sharesOf(held).flatMap(({ share, blinding }) => [share, blinding]));
  const nonce = rng.bytes(nacl.secretbox.nonceLength);
  const box = nacl.secretbox(plain, nonce, key);
  plain.fill(0);
  return concat(nonce, box);
}

/**
 * Opens a box; undefined when it was not sealed for this direction of this session, or holds another point than `x` or
 * another number of surplus seeds.
 */
export function openShares(box: Uint8Array, x: number, key: Uint8Array, surplus: number): HeldShares | undefined {
  if (box.length !== boxBytes(surplus)) return undefined;
  const nonce = box.subarray(0, nacl.secretbox.nonceLength);
  const plain = nacl.secretbox.open(box.subarray(nacl.secretbox.nonceLength), nonce, key);
  if (plain === null || plain[0] !== x) return undefined;
  const part = (i: number): BlindedShare => ({
    share: plain.slice(1 + 64 * i, 33 + 64 * i),
    blinding: plain.slice(33 + 64 * i, 65 + 64 * i),
  });
  const held = { seed: part(0), key: part(1), surplus: Array.from({ length: surplus }, (_, k) => part(2 + k)) };
  plain.fill(0);
  return held;
}

/** The public commitments to what one holder keeps. */
export interface Commitments {
  readonly seedCommitment: Uint8Array;
  readonly keyCommitment: Uint8Array;
  readonly surplusCommitments: readonly Uint8Array[];
}

/** Commitments of the dealer to the shares of one holder. */
export function commitToShares(label: ShareLabel, held: HeldShares): Commitments {
  return {
    seedCommitment: commitToShare(label, 'seed', held.seed),
    keyCommitment: commitToShare(label, 'key', held.key),
    surplusCommitments: held.surplus.map((share, k) => commitToShare(label, `surplus ${k + 1}`, share)),
  };
}

/** True when all shares open the commitments that their dealer signed. */
export function opensCommitments(label: ShareLabel, held: HeldShares, commitments: Commitments): boolean {
  const own = commitToShares(label, held);
  return (
    equalBytes(own.seedCommitment, commitments.seedCommitment) &&
    equalBytes(own.keyCommitment, commitments.keyCommitment) &&
    own.surplusCommitments.length === commitments.surplusCommitments.length &&
    own.surplusCommitments.every((c, k) => equalBytes(c, commitments.surplusCommitments[k] as Uint8Array))
  );
}
