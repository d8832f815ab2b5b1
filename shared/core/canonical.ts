import canonicalize from 'canonicalize';
import { utf8 } from './bytes.ts';
import { TacitError } from './errors.ts';

/** A JSON value as RFC 8785 understands it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** RFC 8785 (JCS) text of a JSON value. @throws CANONICAL_INVALID for NaN, infinities and non-JSON values. */
export function canonicalJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = canonicalize(value as object);
  } catch (cause) {
    throw new TacitError('CANONICAL_INVALID', 'the value has no RFC 8785 form', { cause });
  }
  if (text === undefined) throw new TacitError('CANONICAL_INVALID', 'the value has no RFC 8785 form');
  return text;
}

/** UTF-8 bytes of {@link canonicalJson}. */
export function canonicalBytes(value: unknown): Uint8Array {
  return utf8(canonicalJson(value));
}
