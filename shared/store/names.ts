import { TacitError } from '../core/errors.ts';
import type { StoreErrorCode } from './port.ts';

/** Longest text of one event: a MongoDB document holds 16 MiB, half of it leaves room for escapes. */
export const EVENT_TEXT_CHARS = 4 << 20;

const streamName = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$/;
const opIdName = /^[\x21-\x7e]{1,250}$/;
const blobName = /^[0-9a-f]{64}$/;

/** Refuses what some adapter could not keep, the same everywhere. @throws STORE_INVALID */
export function checkAppend(
  stream: string,
  expectedSeq: number,
  event: { readonly opId: string; readonly text: string },
): void {
  checkStream(stream);
  if (!Number.isSafeInteger(expectedSeq) || expectedSeq < 0)
    throw invalid('expectedSeq is not a whole number ≥ 0', stream);
  if (!opIdName.test(event.opId)) throw invalid('an opId is 1–250 printable ASCII characters without spaces', stream);
  if (event.text.length > EVENT_TEXT_CHARS) {
    throw invalid(`an event of ${event.text.length} characters is over ${EVENT_TEXT_CHARS}: put it in a blob`, stream);
  }
}

/** @throws STORE_INVALID */
export function checkStream(stream: string): void {
  if (!streamName.test(stream)) throw invalid('a stream name is 1–200 of A–Z a–z 0–9 . _ : / -', stream);
}

/** @throws STORE_INVALID unless `sha256` is 64 lower-case hex digits (so it can be a file name) */
export function checkBlobName(sha256: string): void {
  if (!blobName.test(sha256)) throw invalid('a blob is named by 64 lower-case hex digits', sha256);
}

/** Byte range [start, end) of a blob of `sizeBytes`. @throws STORE_INVALID when it is outside */
export function checkRange(
  sha256: string,
  sizeBytes: number,
  range: { readonly start: number; readonly end: number } | undefined,
): { readonly start: number; readonly end: number } {
  const { start, end } = range ?? { start: 0, end: sizeBytes };
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start || end > sizeBytes) {
    throw invalid(`bytes ${start}–${end} are outside a blob of ${sizeBytes}`, sha256);
  }
  return { start, end };
}

export function conflict(stream: string, expectedSeq: number): TacitError<StoreErrorCode> {
  return new TacitError<StoreErrorCode>(
    'STORE_CONFLICT',
    `position ${expectedSeq} is not the next free one of the stream`,
    {
      where: stream,
      fix: 'Read the stream again and decide on what it holds now.',
    },
  );
}

export function blobMissing(sha256: string): TacitError<StoreErrorCode> {
  return new TacitError<StoreErrorCode>('STORE_BLOB_MISSING', 'no blob with this hash is stored', { where: sha256 });
}

export function blobCorrupt(sha256: string): TacitError<StoreErrorCode> {
  return new TacitError<StoreErrorCode>('STORE_CORRUPT', 'the stored bytes do not have the hash they are filed under', {
    where: sha256,
    fix: 'Restore the blob from a backup; the disk or someone with access to it changed the bytes.',
  });
}

function invalid(what: string, where: string): TacitError<StoreErrorCode> {
  return new TacitError<StoreErrorCode>('STORE_INVALID', what, { where: where.slice(0, 80) });
}
