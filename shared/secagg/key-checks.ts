import { TacitError } from '../core/errors.ts';
import type { SecaggErrorCode } from './errors.ts';

/** RFC 7748 §6.1: "check whether the resulting K is the all-zero value and abort if so". @throws SECAGG_LOW_ORDER_KEY */
export function checkNonZero(secret: Uint8Array): void {
  let any = 0;
  for (const byte of secret) any |= byte;
  if (any === 0) throw new TacitError<SecaggErrorCode>('SECAGG_LOW_ORDER_KEY', 'an X25519 key has small order');
}
