import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import { type FieldKernels, openField } from '../kernels/field.ts';
import type { SecaggErrorCode } from './errors.ts';

/**
 * Shamir's scheme (CACM 1979) byte by byte over GF(2^8) with the AES polynomial x^8+x^4+x^3+x+1. Share j is the value at
 * x = j + 1, never a byte that a holder chose: x = 0 would be the secret itself.
 *
 * Only x is public; secret bytes meet no table in memory and no branch (shared/kernels/field.ts).
 */

/** Share points are the non-zero elements of GF(2^8). */
export const MAX_SHARES = 255;

/** Secrets are worked on in slices of this many bytes, which all coefficients fit into one page of kernel memory for. */
const SLICE_BYTES = 64;
const SLICE_WORDS = SLICE_BYTES / 4;

interface Tools {
  readonly field: FieldKernels;
  readonly coefficients: Uint32Array;
  readonly value: Uint32Array;
}

let tools: Tools | undefined;

function openTools(): Tools {
  const { field, space } = openField((MAX_SHARES + 1) * SLICE_BYTES);
  return { field, coefficients: space.words(MAX_SHARES * SLICE_WORDS), value: space.words(SLICE_WORDS) };
}

/** Powers of the generator 3 and their exponents, for share points only: they are public, so tables leak nothing. */
const powers = new Uint8Array(510);
const exponents = new Uint8Array(256);
for (let exponent = 0, power = 1; exponent < 255; exponent++) {
  powers[exponent] = power;
  powers[exponent + 255] = power;
  exponents[power] = exponent;
  power ^= (power << 1) ^ ((power >>> 7) * 0x11b);
}

/** Lagrange's weight at 0 of the point x among `points`: Π other/(other ⊕ x). */
function weightAtZero(x: number, points: Iterable<number>): number {
  let exponent = 0;
  for (const other of points) {
    if (other !== x) exponent += (exponents[other] as number) + 255 - (exponents[other ^ x] as number);
  }
  return powers[exponent % 255] as number;
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
  const random = Array.from({ length: threshold - 1 }, () => rng.bytes(secret.length));
  const shares = Array.from({ length: count }, () => new Uint8Array(secret.length));
  tools ??= openTools();
  const { field, value } = tools;
  const coefficients = tools.coefficients.subarray(0, threshold * SLICE_WORDS);
  const inside = new Uint8Array(coefficients.buffer, coefficients.byteOffset, coefficients.byteLength);
  const result = new Uint8Array(value.buffer, value.byteOffset, SLICE_BYTES);
  for (let at = 0; at < secret.length; at += SLICE_BYTES) {
    [secret, ...random].forEach((coefficient, k) => {
      inside.set(coefficient.subarray(at, at + SLICE_BYTES), k * SLICE_BYTES);
    });
    shares.forEach((share, j) => {
      field.evaluate(value, coefficients, j + 1);
      share.set(result.subarray(0, Math.min(SLICE_BYTES, secret.length - at)), at);
    });
    coefficients.fill(0);
    value.fill(0);
  }
  for (const coefficient of random) coefficient.fill(0);
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
  const secret = new Uint8Array(length);
  tools ??= openTools();
  const { field, value } = tools;
  const term = tools.coefficients.subarray(0, SLICE_WORDS);
  const inside = new Uint8Array(term.buffer, term.byteOffset, SLICE_BYTES);
  const result = new Uint8Array(value.buffer, value.byteOffset, SLICE_BYTES);
  const weights = shares.map(({ x }) => weightAtZero(x, points));
  for (let at = 0; at < length; at += SLICE_BYTES) {
    shares.forEach(({ share }, i) => {
      inside.set(share.subarray(at, at + SLICE_BYTES));
      field.multiplyAdd(value, term, weights[i] as number);
    });
    secret.set(result.subarray(0, Math.min(SLICE_BYTES, length - at)), at);
    term.fill(0);
    value.fill(0);
  }
  return secret;
}
