import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson } from '../../../shared/core/canonical.ts';
import { errorCode } from '../../../shared/core/errors.ts';

/** RFC 8785 as its reference library has it; undefined where it refuses. */
function reference(value: unknown): string | undefined {
  try {
    return canonicalize(value as object);
  } catch {
    return undefined;
  }
}

function ours(value: unknown): string | undefined {
  try {
    return canonicalJson(value);
  } catch (error) {
    expect(errorCode(error)).toBe('CANONICAL_INVALID');
    return undefined;
  }
}

test('any value has the text that the reference library gives it, or none in both', () => {
  const key = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('10', '9', '_', '__proto__', 'é', 'toJSON', ':', '0'),
  );
  const value = fc.anything({ key, withNullPrototype: true, withDate: true, withSparseArray: true });
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), value), (any) => {
      expect(ours(any)).toBe(reference(any));
    }),
    { numRuns: 3000 },
  );
});

test('RFC 8785, Section 3.2.3: keys in order of code units, and what only looks plain', () => {
  const keys = {
    '\u20ac': 'Euro Sign',
    '\r': 'Carriage Return',
    '\u05dd\u05d5\u05e8': 'Hebrew',
    '1': 'One',
    '\ud83d\ude00': 1,
    '\u0080': 2,
  };
  for (const any of [
    keys,
    { b: 1, a: { d: undefined, c: [3, { f: -0, e: 1e21 }] } },
    { b: '\\ud800', a: 'plain' },
    { a: '\ud800' },
    { a: [Number.NaN] },
    [undefined],
    new Map(),
    1n,
  ])
    expect(ours(any)).toBe(reference(any));
  expect(ours({ b: 1, a: 2 })).toBe('{"a":2,"b":1}');
});
