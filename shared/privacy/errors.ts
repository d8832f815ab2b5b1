import { TacitError } from '../core/errors.ts';

/** Everything that can be wrong with a privacy parameter, a privacy claim or a vector on its way to becoming private. */
export type PrivacyErrorCode =
  | 'PRIVACY_PARAMETER_INVALID'
  | 'PRIVACY_DELTA_UNREACHABLE'
  | 'PRIVACY_TOO_LARGE'
  | 'PRIVACY_CALIBRATION_IMPOSSIBLE'
  | 'PRIVACY_CLAIM_FALSE'
  | 'PRIVACY_FILTER_EXHAUSTED'
  | 'PRIVACY_RING_WRAPS'
  | 'PRIVACY_NOISE_TOO_SMALL'
  | 'PRIVACY_VECTOR_INVALID'
  | 'PRIVACY_NORM_EXCEEDED';

/** A privacy failure with its code. */
export function privacyError(
  code: PrivacyErrorCode,
  what: string,
  options: { where?: string; fix?: string; cause?: unknown } = {},
): TacitError<PrivacyErrorCode> {
  return new TacitError<PrivacyErrorCode>(code, what, options);
}

/** Which numbers a parameter may take; both ends may be open. */
interface Range {
  readonly min?: number;
  readonly moreThan?: number;
  readonly max?: number;
  readonly lessThan?: number;
  readonly integer?: boolean;
}

/**
 * The parameter itself when it lies in its range: a privacy number out of NaN, zero or a negative input would look
 * like a promise, so none is ever computed.
 * @throws PRIVACY_PARAMETER_INVALID
 */
export function checked(name: string, value: number, range: Range): number {
  const inside =
    typeof value === 'number' &&
    Number.isFinite(value) &&
    !(range.min !== undefined && value < range.min) &&
    !(range.moreThan !== undefined && value <= range.moreThan) &&
    !(range.max !== undefined && value > range.max) &&
    !(range.lessThan !== undefined && value >= range.lessThan) &&
    !(range.integer === true && !Number.isSafeInteger(value));
  if (inside) return value;
  throw privacyError('PRIVACY_PARAMETER_INVALID', `${name} is ${String(value)}`, {
    where: name,
    fix: `Give ${range.integer === true ? 'a whole number' : 'a number'} ${rangeInWords(range)}.`,
  });
}

function rangeInWords(range: Range): string {
  const parts: string[] = [];
  if (range.min !== undefined) parts.push(`of at least ${range.min}`);
  if (range.moreThan !== undefined) parts.push(`above ${range.moreThan}`);
  if (range.max !== undefined) parts.push(`of at most ${range.max}`);
  if (range.lessThan !== undefined) parts.push(`below ${range.lessThan}`);
  return parts.join(' and ');
}
