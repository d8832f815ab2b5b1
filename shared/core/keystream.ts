import { ctr } from '@noble/ciphers/aes.js';
import { free } from './free.ts';
import { type NativeCrypto, nativeCrypto } from './native.ts';

/**
 * One AES-256-CTR keystream (NIST SP 800-38A §6.5), addressable by block: the counter block is the big-endian 64-bit lane,
 * then the big-endian 64-bit number of the block. Begins `count` little-endian words of a lane, at most 2^18, from a block on.
 */
export type Keystream = (block: number, count: number, lane?: number) => Begun;

/** Leaves the words that were begun in `into`, which is as long. */
export type Begun = (into: Uint32Array) => Promise<void>;

const zeros = new Uint8Array(1 << 20);

/**
 * Bytes that WebCrypto is asked for at a time. Chromium makes three buffers of that size: in its allocator's buckets they are
 * the same warm ones again, above 1 MB every page of each is mapped afresh, which takes ten times as long as AES.
 */
const PIECE_BYTES = 1 << 18;

function counterAt(block: number, lane: number): Uint8Array {
  const counter = new Uint8Array(16);
  const view = new DataView(counter.buffer);
  view.setBigUint64(0, BigInt(lane));
  view.setBigUint64(8, BigInt(block));
  return counter;
}

async function webCryptoStream(subtle: NonNullable<typeof crypto.subtle>, key: Uint8Array): Promise<Keystream> {
  const cryptoKey = await subtle.importKey('raw', key, 'AES-CTR', false, ['encrypt']);
  return (block, count, lane = 0) => {
    const pieces: Promise<ArrayBuffer>[] = [];
    for (let at = 0; at < 4 * count; at += PIECE_BYTES) {
      const algorithm = { name: 'AES-CTR', counter: counterAt(block + at / 16, lane), length: 64 };
      pieces.push(subtle.encrypt(algorithm, cryptoKey, zeros.subarray(0, Math.min(PIECE_BYTES, 4 * count - at))));
    }
    return async (into) => {
      for (const [i, piece] of pieces.entries()) {
        const bytes = new Uint8Array(await piece);
        into.set(littleEndianWords(bytes), (i * PIECE_BYTES) / 4);
        free(bytes);
      }
    };
  };
}

/** The same bytes without WebCrypto (an insecure browser context), or where waiting is not possible. */
export function softwareKeystream(key: Uint8Array, block: number, length: number, lane = 0): Uint8Array {
  return ctr(key, counterAt(block, lane)).encrypt(zeros.subarray(0, length));
}

/** {@link softwareKeystream} as a {@link Keystream}. The key is copied. */
export async function softwareStream(key: Uint8Array): Promise<Keystream> {
  const own = key.slice();
  return (block, count, lane) => async (into) =>
    into.set(littleEndianWords(softwareKeystream(own, block, 4 * count, lane)));
}

/** {@link Keystream} of what the platform has installed: made where it is wanted, when it is. */
function nativeStream(fill: ReturnType<NativeCrypto['aes256Ctr']>): Keystream {
  return (block, _count, lane = 0) =>
    async (into) => {
      fill(counterAt(block, lane), new Uint8Array(into.buffer, into.byteOffset, into.byteLength));
      if (!littleEndian) swapBytes(into);
    };
}

/** AES-256-CTR keystream of `key`, 32 bytes: the platform's own, or WebCrypto where there is one. */
export async function keystream(key: Uint8Array): Promise<Keystream> {
  const native = nativeCrypto();
  if (native !== undefined) return nativeStream(native.aes256Ctr(key));
  const { subtle } = crypto;
  return subtle === undefined ? softwareStream(key) : webCryptoStream(subtle, key);
}

const littleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** Little-endian 32-bit words of `bytes`, a view where the machine allows it. */
export function littleEndianWords(bytes: Uint8Array): Uint32Array {
  if (littleEndian && bytes.byteOffset % 4 === 0)
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Uint32Array.from({ length: bytes.length >>> 2 }, (_, i) => view.getUint32(4 * i, true));
}

/** Little-endian bytes of 32-bit words, a view where the machine allows it. */
export function littleEndianBytes(words: Uint32Array): Uint8Array {
  if (littleEndian) return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  const bytes = new Uint8Array(words.byteLength);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => {
    view.setUint32(4 * i, word, true);
  });
  return bytes;
}

function swapBytes(words: Uint32Array): void {
  const view = new DataView(words.buffer, words.byteOffset, words.byteLength);
  for (let i = 0; i < words.length; i++) words[i] = view.getUint32(4 * i, true);
}
