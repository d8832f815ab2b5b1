import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 as sha256Hash } from '@noble/hashes/sha2.js';
import nacl from 'tweetnacl';
import { concat, fromHex, hex, utf8 } from '../core/bytes.ts';
import { sha256 } from '../core/hash.ts';
import { nativeCrypto } from '../core/native.ts';
import type { Rng } from '../core/rng.ts';
import { checkNonZero } from './key-checks.ts';

/** An X25519 key pair (RFC 7748) that lives for one session. */
export interface KeyPair {
  /** 32 bytes, public. */
  readonly publicKey: Uint8Array;
  /** 32 bytes, erased when the session no longer needs it. */
  readonly secretKey: Uint8Array;
}

/** A fresh session key. The secret is clamped at once (RFC 7748 §5), so that reconstruction can be compared byte for byte. */
export function keyPair(rng: Rng): KeyPair {
  return keyPairOf(rng.bytes(32));
}

/** u = 9 (RFC 7748 §4.1). */
const BASE = Uint8Array.of(9, ...new Uint8Array(31));

/** The key pair of 32 secret bytes. */
export function keyPairOf(secret: Uint8Array): KeyPair {
  const secretKey = secret.slice();
  secretKey[0] = (secretKey[0] as number) & 248;
  secretKey[31] = ((secretKey[31] as number) & 127) | 64;
  const publicKey = nativeCrypto()?.x25519(secretKey, BASE) ?? nacl.scalarMult.base(secretKey);
  return { publicKey, secretKey };
}

/**
 * X25519. tweetnacl returns zeros for a public key of small order instead of failing; such a "secret" is known to everybody.
 * @throws SECAGG_LOW_ORDER_KEY
 */
export function sharedSecret(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const secret = nativeCrypto()?.x25519(secretKey, publicKey) ?? nacl.scalarMult(secretKey, publicKey);
  checkNonZero(secret);
  return secret;
}

/**
 * u-coordinates of the points of small order on the curve and its twist, with their spellings of 255 bits (RFC 7748 §6.1;
 * https://cr.yp.to/ecdh.html#validate). X25519 ignores the highest bit.
 */
const SMALL_ORDER = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

/** True when a secret with this public key would not be zero. A clamped scalar is a multiple of 8, so it kills exactly the small orders. */
export function isContributory(publicKey: Uint8Array): boolean {
  const plain = publicKey.slice();
  plain[31] = (plain[31] as number) & 0x7f;
  return !SMALL_ORDER.has(hex(plain));
}

/** Everything that every key of a session is bound to. */
export interface KeyContext {
  /** Session id, 32 bytes: H(M0) and everybody's keys and nonces (Pasquini et al. CCS 2022). */
  readonly sid: Uint8Array;
  readonly weightsSha256: string;
  readonly layoutSha256: string;
}

function derive(secret: Uint8Array, context: KeyContext, label: string, first: string, second: string): Uint8Array {
  const info = concat(
    utf8(`secagg/1/${label}\0${first}\0${second}\0`),
    fromHex(context.weightsSha256),
    fromHex(context.layoutSha256),
  );
  return nativeCrypto()?.hkdf(secret, context.sid, info, 32) ?? hkdf(sha256Hash, secret, context.sid, info, 32);
}

/** Key of the box in which `from` hands its shares to `to`. One key per direction: a box reflected to its sender does not open. */
export function channelKey(secret: Uint8Array, context: KeyContext, from: string, to: string): Uint8Array {
  return derive(secret, context, 'channel', from, to);
}

/** Key of the mask stream between two clients; the same for both. */
export function pairMaskKey(secret: Uint8Array, context: KeyContext, a: string, b: string): Uint8Array {
  return a < b ? derive(secret, context, 'mask', a, b) : derive(secret, context, 'mask', b, a);
}

/** Key of the stream that hides a client's input until the survivors are known. */
export function selfMaskKey(selfSeed: Uint8Array, context: KeyContext, clientId: string): Uint8Array {
  return derive(selfSeed, context, 'self', clientId, clientId);
}

/**
 * Seed of the next component of a client's noise, and after the last the value that the client commits to. A chain: who is
 * given the seed of component k knows those after it, which are surplus when k is, and none before.
 */
export function nextNoiseSeed(seed: Uint8Array, context: KeyContext, clientId: string, component: number): Uint8Array {
  return derive(seed, context, 'surplus', clientId, String(component));
}

/** Key of the keystream that one component of a client's noise is made of. */
export function noiseKey(seed: Uint8Array, context: KeyContext, clientId: string, component: number): Uint8Array {
  return derive(seed, context, 'noise', clientId, String(component));
}

/** Seed of the session's rotation: no secret, but nobody knows it before every honest client has chosen its nonce. */
export function rotationSeed(sid: Uint8Array): Uint8Array {
  return sha256(utf8('secagg/1/rotation\0'), sid);
}

/** Overwrites secrets. The engine may have copied them before; this removes the ones we know of. */
export function erase(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}
