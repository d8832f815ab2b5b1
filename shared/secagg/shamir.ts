import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { SecaggErrorCode } from './errors.ts';

/**
 * Shamir's scheme (CACM 1979) byte by byte over GF(2^8) with the AES polynomial x^8+x^4+x^3+x+1. Share j is the value at
 * x = j + 1, never a byte that a holder chose: x = 0 would be the secret itself.
 *
 * Only x is public; secret bytes are handled four to a word without tables or branches on them.
 */

/** Share points are the non-zero elements of GF(2^8). */
export const MAX_SHARES = 255;

/** `words` · x, in place, for public x: double and add over the bits of x. */
function multiplyByPublic(words: Uint32Array, x: number, scratch: Uint32Array): void {
  scratch.set(words);
  words.fill(0);
  for (let bits = x; bits !== 0; bits >>>= 1) {
    if ((bits & 1) === 1)
      for (let i = 0; i < words.length; i++) words[i] = (words[i] as number) ^ (scratch[i] as number);
    for (let i = 0; i < scratch.length; i++) {
      const w = scratch[i] as number;
      scratch[i] = ((w & 0x7f7f7f7f) << 1) ^ (((w >>> 7) & 0x01010101) * 0x1b);
    }
  }
}

function multiply(a: number, b: number): number {
  let product = 0;
  let power = a;
  for (let bits = b; bits !== 0; bits >>>= 1) {
    if ((bits & 1) === 1) product ^= power;
    power = ((power << 1) ^ ((power >>> 7) * 0x11b)) & 0xff;
  }
  return product;
}

/** a^254 = a^-1 (FIPS 197 §4.2). */
function inverse(a: number): number {
  let result = 1;
  for (let i = 0; i < 254; i++) result = multiply(result, a);
  return result;
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  const copy = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  copy.set(bytes);
  return new Uint32Array(copy.buffer);
}

function bytesOf(words: Uint32Array, length: number): Uint8Array {
  return new Uint8Array(words.buffer, 0, length);
}

/**
 * @param secret - any number of bytes
 * @param count - shares to make, 1–255; share j (0-based) is the value at x = j + 1
 * @param threshold - shares needed, 1–count; fewer tell nothing
 * @throws SECAGG_PARAMETERS
 */
export function splitSecret(secret: Uint8Array, count: number, threshold: number, rng: Rng): Uint8Array[] {
  if (!(count >= 1 && count <= MAX_SHARES && threshold >= 1 && threshold <= count)) {
    throw new TacitError<SecaggErrorCode>('SECAGG_PARAMETERS', `cannot share a secret ${threshold} of ${count}`);
  }
  const coefficients = [wordsOf(secret)];
  for (let k = 1; k < threshold; k++) coefficients.push(wordsOf(rng.bytes(secret.length)));
  const scratch = new Uint32Array(Math.ceil(secret.length / 4));
  const shares = Array.from({ length: count }, (_, j) => {
    const value = new Uint32Array(scratch.length);
    for (let k = threshold - 1; k >= 0; k--) {
      multiplyByPublic(value, j + 1, scratch);
      const coefficient = coefficients[k] as Uint32Array;
      for (let i = 0; i < value.length; i++) value[i] = (value[i] as number) ^ (coefficient[i] as number);
    }
    return bytesOf(value, secret.length);
  });
  scratch.fill(0);
  for (const coefficient of coefficients) coefficient.fill(0);
  return shares;
}

/**
 * The value at 0 of the polynomial through `shares` (Lagrange). Gives a wrong value, not an error, for wrong or too few
 * shares: callers compare the result with what the dealer advertised.
 *
 * @param shares - threshold many, of equal length, at distinct x in 1–255
 * @throws SECAGG_PARAMETERS
 */
export function combineShares(shares: readonly { readonly x: number; readonly share: Uint8Array }[]): Uint8Array {
  const length = shares[0]?.share.length ?? 0;
  const points = new Set(shares.map((s) => s.x));
  const sound = shares.every(
    (s) => Number.isInteger(s.x) && s.x >= 1 && s.x <= MAX_SHARES && s.share.length === length,
  );
  if (shares.length === 0 || points.size !== shares.length || !sound) {
    throw new TacitError<SecaggErrorCode>(
      'SECAGG_PARAMETERS',
      'shares must lie at distinct points 1–255 and have one length',
    );
  }
  const secret = new Uint32Array(Math.ceil(length / 4));
  const scratch = new Uint32Array(secret.length);
  for (const { x, share } of shares) {
    let weight = 1;
    for (const other of points) if (other !== x) weight = multiply(weight, multiply(other, inverse(other ^ x)));
    const term = wordsOf(share);
    multiplyByPublic(term, weight, scratch);
    for (let i = 0; i < secret.length; i++) secret[i] = (secret[i] as number) ^ (term[i] as number);
    term.fill(0);
  }
  scratch.fill(0);
  return bytesOf(secret, length);
}
