import canonicalize from 'canonicalize';
import { utf8 } from './bytes.ts';
import { TacitError } from './errors.ts';

/** A JSON value as RFC 8785 understands it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** RFC 8785 (JCS) text of a JSON value. @throws CANONICAL_INVALID for NaN, infinities and non-JSON values. */
export function canonicalJson(value: unknown): string {
  return quickJson(value) ?? carefulJson(value);
}

function carefulJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = canonicalize(value as object);
  } catch (cause) {
    throw new TacitError('CANONICAL_INVALID', 'the value has no RFC 8785 form', { cause });
  }
  if (text === undefined) throw new TacitError('CANONICAL_INVALID', 'the value has no RFC 8785 form');
  return text;
}

/**
 * The same text for plain values, several times as fast: with its keys in order a value's RFC 8785 form is what JSON.stringify
 * prints, because the RFC took strings and numbers from ECMAScript. Undefined where that may not hold: lone surrogates are printed
 * as escapes then, and keys that begin with a digit do not stay where they are put.
 */
function quickJson(value: unknown): string | undefined {
  const plain = ordered(value, 0);
  if (plain === STRANGE) return undefined;
  const text = JSON.stringify(plain);
  return text.includes('\\ud') ? undefined : text;
}

const STRANGE = Symbol('not plain');
const MOST_LEVELS = 64;

/** The value with its keys in order of UTF-16 code units, itself where they are; STRANGE for what is not plain JSON. */
function ordered(value: unknown, level: number): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : STRANGE;
  if (typeof value !== 'object' || level === MOST_LEVELS || 'toJSON' in value) return STRANGE;
  if (Array.isArray(value)) return orderedList(value, level);
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? orderedFields(value, level) : STRANGE;
}

function orderedList(list: readonly unknown[], level: number): unknown {
  let out: unknown[] | undefined;
  for (let i = 0; i < list.length; i++) {
    const item = ordered(list[i], level + 1);
    if (item === STRANGE) return STRANGE;
    if (item !== list[i]) out ??= list.slice();
    if (out !== undefined) out[i] = item;
  }
  return out ?? list;
}

function orderedFields(fields: object, level: number): unknown {
  const keys = Object.keys(fields);
  let same = true;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string;
    if ((key >= '0' && key < ':') || key === '__proto__') return STRANGE;
    if (i > 0 && (keys[i - 1] as string) > key) same = false;
  }
  if (!same) keys.sort();
  const items: unknown[] = [];
  for (const key of keys) {
    const field = (fields as Record<string, unknown>)[key];
    const item = field === undefined ? undefined : ordered(field, level + 1);
    if (item === STRANGE) return STRANGE;
    if (item !== field) same = false;
    items.push(item);
  }
  return same ? fields : Object.fromEntries(keys.map((key, i) => [key, items[i]]));
}

/** UTF-8 bytes of {@link canonicalJson}. */
export function canonicalBytes(value: unknown): Uint8Array {
  return utf8(canonicalJson(value));
}
