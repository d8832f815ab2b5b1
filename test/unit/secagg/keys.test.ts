import nacl from 'tweetnacl';
import { describe, expect, test } from 'vitest';
import { fromHex, hex } from '../../../shared/core/bytes.ts';
import { sha256 } from '../../../shared/core/hash.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import {
  channelKey,
  isContributory,
  keyPair,
  keyPairOf,
  pairMaskKey,
  selfMaskKey,
  sharedSecret,
} from '../../../shared/secagg/keys.ts';
import { lowOrder } from '../../support/low-order.ts';

describe('session keys', () => {
  test('X25519 agrees with RFC 7748 §6.1', () => {
    const alice = keyPairOf(fromHex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'));
    const bob = keyPairOf(fromHex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'));
    expect(hex(alice.publicKey)).toBe('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
    expect(hex(bob.publicKey)).toBe('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
    const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742';
    expect(hex(sharedSecret(alice.secretKey, bob.publicKey))).toBe(shared);
    expect(hex(sharedSecret(bob.secretKey, alice.publicKey))).toBe(shared);
  });

  test.each(lowOrder.map((point) => [hex(point), point] as const))(
    'the point %s of small order is refused',
    (_, point) => {
      const { secretKey } = keyPair(seededRng('me'));
      expect(nacl.scalarMult(secretKey, point)).toEqual(new Uint8Array(32));
      expect(() => sharedSecret(secretKey, point)).toThrow(expect.objectContaining({ code: 'SECAGG_LOW_ORDER_KEY' }));
      expect(isContributory(point)).toBe(false);
    },
  );

  test('an honest key is contributory, and its secret is clamped as RFC 7748 §5 says', () => {
    const { publicKey, secretKey } = keyPair(seededRng('honest'));
    expect(isContributory(publicKey)).toBe(true);
    expect([(secretKey[0] as number) & 7, (secretKey[31] as number) & 192]).toEqual([0, 64]);
    expect(keyPairOf(secretKey).secretKey).toEqual(secretKey);
  });

  test('every key depends on everything: secret, sid, both ids, direction, purpose, weights and layout', () => {
    const context = { sid: sha256(Uint8Array.of(1)), weightsSha256: '11'.repeat(32), layoutSha256: '22'.repeat(32) };
    const secret = new Uint8Array(32).fill(9);
    const other = new Uint8Array(32).fill(8);
    const derived = [
      pairMaskKey(secret, context, 'a', 'b'),
      pairMaskKey(other, context, 'a', 'b'),
      pairMaskKey(secret, { ...context, sid: sha256(Uint8Array.of(2)) }, 'a', 'b'),
      pairMaskKey(secret, { ...context, weightsSha256: '33'.repeat(32) }, 'a', 'b'),
      pairMaskKey(secret, { ...context, layoutSha256: '33'.repeat(32) }, 'a', 'b'),
      pairMaskKey(secret, context, 'a', 'c'),
      pairMaskKey(secret, context, 'ab', ''),
      channelKey(secret, context, 'a', 'b'),
      channelKey(secret, context, 'b', 'a'),
      selfMaskKey(secret, context, 'a'),
      selfMaskKey(secret, context, 'b'),
    ].map(hex);
    expect(new Set(derived).size).toBe(derived.length);
    expect(hex(pairMaskKey(secret, context, 'b', 'a'))).toBe(derived[0]);
  });
});
