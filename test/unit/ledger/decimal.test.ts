import fc from 'fast-check';
import { expect, it } from 'vitest';
import { amountOf, amountText, decimal, isDecimal } from '../../../shared/ledger/decimal.ts';

it('0.1 + 0.2 is 0.3 exactly', () => {
  expect(amountOf('0.1') + amountOf('0.2')).toBe(amountOf('0.3'));
});

it('reads exponents and rounds what is below 10^-60 away from zero', () => {
  expect(amountOf('1e-5')).toBe(amountOf('0.00001'));
  expect(amountOf('2.5e+1')).toBe(amountOf('25'));
  expect(amountOf('1e-61')).toBe(1n);
  expect(amountText(amountOf('1e-10'))).toBe('0.0000000001');
});

it('every finite double of the range survives text → amount → text', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-30, max: 1e15, noNaN: true }), (x) => {
      expect(Number(amountText(amountOf(decimal(x))))).toBe(x);
    }),
  );
});

it('refuses what is not a number', () => {
  for (const bad of ['', 'NaN', '1,5', '0x10', ' 1', '1.', '.5', '--1', '1e9999', 'Infinity']) {
    expect(isDecimal(bad), bad).toBe(false);
  }
  expect(() => decimal(Number.NaN)).toThrow(/no decimal form/);
  expect(() => amountOf('x')).toThrow(/not a decimal/);
});
