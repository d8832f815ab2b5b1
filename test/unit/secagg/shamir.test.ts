import { describe, expect, test } from 'vitest';
import { fromHex, hex } from '../../../shared/core/bytes.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { combineShares, splitSecret } from '../../../shared/secagg/shamir.ts';
import { subsets } from '../../support/secagg-session.ts';

/** GF(2^8) by logarithms to the generator 3, an independent route to the same field. */
const exp: number[] = [];
for (let i = 0, x = 1; i < 255; i++) {
  exp.push(x);
  x ^= (x << 1) ^ ((x >> 7) * 0x11b);
  x &= 0xff;
}
const log = new Map(exp.map((x, i) => [x, i]));
const times = (a: number, b: number): number =>
  a === 0 || b === 0 ? 0 : (exp[((log.get(a) as number) + (log.get(b) as number)) % 255] as number);

describe('Shamir over GF(2^8)', () => {
  test('every subset of t of n gives the secret back', () => {
    const rng = seededRng('shamir');
    const secret = rng.bytes(32);
    const shares = splitSecret(secret, 6, 4, rng).map((share, j) => ({ x: j + 1, share }));
    for (const some of subsets(shares, 4)) expect(hex(combineShares(some))).toBe(hex(secret));
    expect(hex(combineShares(shares))).toBe(hex(secret));
  });

  test('t − 1 shares give something else', () => {
    const rng = seededRng('too few');
    const secret = rng.bytes(32);
    const shares = splitSecret(secret, 6, 4, rng).map((share, j) => ({ x: j + 1, share }));
    for (const some of subsets(shares, 3)) expect(hex(combineShares(some))).not.toBe(hex(secret));
  });

  test('shares are the values of a polynomial in the AES field (FIPS 197 §4.2: 57 · 83 = c1)', () => {
    expect(times(0x57, 0x83)).toBe(0xc1);
    const coefficients = [0x2a, 0x57, 0xff];
    const fixed = [Uint8Array.of(0x57), Uint8Array.of(0xff)];
    const shares = splitSecret(Uint8Array.of(0x2a), 255, 3, { bytes: () => fixed.shift() as Uint8Array });
    shares.forEach((share, j) => {
      const x = j + 1;
      const value = coefficients.reduceRight((sum, c) => times(sum, x) ^ c, 0);
      expect(share[0]).toBe(value);
    });
  });

  test('255 holders, threshold 128, secrets of any length', () => {
    const rng = seededRng('large');
    for (const length of [1, 3, 32, 33]) {
      const secret = rng.bytes(length);
      const shares = splitSecret(secret, 255, 128, rng).map((share, j) => ({ x: j + 1, share }));
      expect(combineShares(shares.slice(127))).toEqual(secret.slice());
    }
  });

  test('the point 0, a repeated point and no shares are refused', () => {
    const share = fromHex('00ff');
    const bad = [
      [],
      [{ x: 0, share }],
      [{ x: 256, share }],
      [
        { x: 1, share },
        { x: 1, share },
      ],
      [
        { x: 1, share },
        { x: 2, share: share.subarray(1) },
      ],
    ];
    for (const shares of bad)
      expect(() => combineShares(shares)).toThrow(expect.objectContaining({ code: 'SECAGG_PARAMETERS' }));
    for (const [count, threshold] of [
      [0, 0],
      [256, 2],
      [4, 5],
    ] as const) {
      expect(() => splitSecret(share, count, threshold, seededRng('x'))).toThrow(
        expect.objectContaining({ code: 'SECAGG_PARAMETERS' }),
      );
    }
  });
});
