import { TacitError } from '../core/errors.ts';
import type { LedgerErrorCode } from './errors.ts';

/**
 * Decimal numbers in entries are strings, so that every language reads the same number; sums over them are exact, so that
 * "spent ≤ budget" needs no tolerance.
 */
const FORM = /^(-?)(\d{1,20})(?:\.(\d{1,60}))?(?:e([+-]?\d{1,3}))?$/;
/** Amounts are whole multiples of 10^-60: more digits than a double has anywhere in the range of ε and δ. */
const PLACES = 60;

/** Shortest text that reads back as `value` (ECMAScript Number::toString). @throws LEDGER_ENTRY_INVALID for NaN and infinities */
export function decimal(value: number): string {
  if (!Number.isFinite(value)) throw invalid(`${value} has no decimal form`);
  return String(value);
}

export function isDecimal(text: string): boolean {
  return FORM.test(text) && Number.isFinite(Number(text));
}

/** An amount in units of 10^-60. Digits below that are rounded away from zero: a charge is never understated. */
export function amountOf(text: string): bigint {
  const [, sign, whole, fraction = '', exponent = '0'] = FORM.exec(text) ?? [];
  if (whole === undefined) throw invalid(`${text.slice(0, 40)} is not a decimal number`);
  const digits = BigInt(whole + fraction);
  const shift = PLACES - fraction.length + Number(exponent);
  if (shift > 400) throw invalid(`${text.slice(0, 40)} is out of range`);
  const scale = 10n ** BigInt(Math.abs(shift));
  const amount = shift >= 0 ? digits * scale : (digits + scale - 1n) / scale;
  return sign === '-' ? -amount : amount;
}

/** Plain decimal text of an amount, without exponent or trailing zeros. */
export function amountText(amount: bigint): string {
  const digits = (amount < 0n ? -amount : amount).toString().padStart(PLACES + 1, '0');
  const fraction = digits.slice(-PLACES).replace(/0+$/, '');
  return `${amount < 0n ? '-' : ''}${digits.slice(0, -PLACES)}${fraction === '' ? '' : `.${fraction}`}`;
}

function invalid(what: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('LEDGER_ENTRY_INVALID', what);
}
