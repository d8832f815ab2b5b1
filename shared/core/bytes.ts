import { bytesToHex, hexToBytes as nobleHexToBytes } from '@noble/hashes/utils.js';
import { TacitError } from './errors.ts';

export type BytesErrorCode = 'BYTES_INVALID';

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Above it TextEncoder is quicker than a loop. */
const SHORT_TEXT = 128;

/** UTF-8 bytes of `text`. */
export function utf8(text: string): Uint8Array {
  if (text.length > SHORT_TEXT) return encoder.encode(text);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return encoder.encode(text);
    bytes[i] = code;
  }
  return bytes;
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

/** What each character of base64 stands for, by its code; 64 and more: nothing. */
const SEXTETS = new Uint8Array(128).fill(0xff);
[...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].forEach((character, value) => {
  SEXTETS[character.charCodeAt(0)] = value;
});

/** Bytes of standard base64 with padding; only the canonical spelling is accepted. @throws BYTES_INVALID */
export function fromBase64(text: string): Uint8Array {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const characters = text.length - padding;
  const bytes = new Uint8Array(Math.floor((characters * 3) / 4));
  let [at, bits, word, seen] = [0, 0, 0, 0];
  for (let i = 0; i < characters; i++) {
    const sextet = SEXTETS[text.charCodeAt(i)] ?? 0xff;
    seen |= sextet;
    word = (word << 6) | sextet;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = word >>> bits;
      word &= (1 << bits) - 1;
    }
  }
  // Bits that are left over have to be zero: one spelling for one value.
  if (seen > 63 || text.length % 4 !== 0 || word !== 0)
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
