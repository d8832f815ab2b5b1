import { bytesToHex, hexToBytes as nobleHexToBytes } from '@noble/hashes/utils.js';
import { TacitError } from './errors.ts';

export type BytesErrorCode = 'BYTES_INVALID';

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of `text`. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Text of UTF-8 bytes. @throws BYTES_INVALID when they are not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return strictDecoder.decode(bytes);
  } catch (cause) {
    throw new TacitError<BytesErrorCode>('BYTES_INVALID', 'the bytes are not UTF-8', { cause });
  }
}

export { bytesToHex as hex };

/** Bytes of lower- or upper-case hex. @throws BYTES_INVALID */
export function fromHex(text: string): Uint8Array {
  try {
    return nobleHexToBytes(text);
  } catch (cause) {
    throw new TacitError<BytesErrorCode>('BYTES_INVALID', 'the text is not hexadecimal', { cause });
  }
}

/** Standard base64 with padding (RFC 4648 §4). */
export function base64(bytes: Uint8Array): string {
  let binary = '';
  for (let i = 0; i < bytes.length; i += 0x8000) {
    const part: ArrayLike<number> = bytes.subarray(i, i + 0x8000);
    // Spreading walks an iterator, which takes ten times as long.
    binary += String.fromCharCode.apply(null, part as number[]);
  }
  return btoa(binary);
}

/** Bytes of standard base64 with padding; only the canonical spelling is accepted. @throws BYTES_INVALID */
export function fromBase64(text: string): Uint8Array {
  let binary: string;
  try {
    binary = atob(text);
  } catch (cause) {
    throw new TacitError<BytesErrorCode>('BYTES_INVALID', 'the text is not base64', { cause });
  }
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  // Spaces and absent padding change the length or the end, stray bits the end.
  const tail = base64(bytes.subarray(Math.max(0, bytes.length - (bytes.length % 3 || 3))));
  if (text.length !== 4 * Math.ceil(bytes.length / 3) || !text.endsWith(tail))
    throw new TacitError<BytesErrorCode>('BYTES_INVALID', 'the text is not canonical base64');
  return bytes;
}

/** The parts one after the other, in a new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Equal length and bytes. Not constant time: for public values only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}
