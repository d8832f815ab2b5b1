import fc from 'fast-check';
import { expect, test } from 'vitest';
import { base64, fromBase64, utf8 } from '../../../shared/core/bytes.ts';

function same(a: Uint8Array, b: Uint8Array): void {
  expect(Buffer.from(a).equals(Buffer.from(b))).toBe(true);
}

test('base64 is what Node has', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const text = Buffer.from(bytes).toString('base64');
      expect(base64(bytes)).toBe(text);
      same(fromBase64(text), bytes);
    }),
  );
});

test('one text for one value: whatever is accepted is what would be written', () => {
  const characters = fc.constantFrom(...'AQgwZz+/=-_ \n\u00e9\u0141');
  fc.assert(
    fc.property(fc.string({ unit: characters, maxLength: 9 }), (text) => {
      let bytes: Uint8Array;
      try {
        bytes = fromBase64(text);
      } catch (e) {
        expect(e).toMatchObject({ code: 'BYTES_INVALID' });
        return;
      }
      expect(base64(bytes)).toBe(text);
    }),
    { numRuns: 20_000 },
  );
});

test.each(['A', 'AA', 'AAA', 'A===', '=', '==', '====', 'AB==', 'AAB=', 'AA=A', 'AA==AA==', ' AAA', 'AA\u0141='])(
  '%j is no base64',
  (text) => {
    expect(() => fromBase64(text)).toThrow(expect.objectContaining({ code: 'BYTES_INVALID' }));
  },
);

test('UTF-8 is what TextEncoder makes, short and long', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) =>
      same(utf8(text), new TextEncoder().encode(text)),
    ),
  );
  for (const text of ['', 'a\u007f\u0080', '\ud800', 'x'.repeat(129)]) same(utf8(text), new TextEncoder().encode(text));
});
