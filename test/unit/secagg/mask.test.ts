import { createCipheriv } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { fromHex, hex } from '../../../shared/core/bytes.ts';
import { keystream, littleEndianBytes, softwareStream } from '../../../shared/core/keystream.ts';
import { installNativeCrypto, nativeCrypto } from '../../../shared/core/native.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { opensslCrypto } from '../../../shared/node/native-crypto.ts';
import { addInto, addStreams, removeMasks } from '../../../shared/secagg/mask.ts';
import { randomVector } from '../../support/secagg-session.ts';

const key = seededRng('mask key').bytes(32);

/** OpenSSL's AES-256-CTR, an independent route. */
function openssl(length: number): Uint8Array {
  return createCipheriv('aes-256-ctr', key, new Uint8Array(16)).update(new Uint8Array(length));
}

/** `toEqual` takes seconds for a vector of this size. */
function same(a: Uint32Array, b: Uint32Array): boolean {
  return (
    Buffer.compare(
      Buffer.from(a.buffer, a.byteOffset, a.byteLength),
      Buffer.from(b.buffer, b.byteOffset, b.byteLength),
    ) === 0
  );
}

describe('mask streams', () => {
  test('WebCrypto, the software fallback and what a shell hands in make the bytes that OpenSSL makes', async () => {
    const expected = openssl(4 * 140_000);
    const installed = nativeCrypto();
    installNativeCrypto(undefined);
    const streams = [await keystream(key), await softwareStream(key)];
    installNativeCrypto(opensslCrypto);
    streams.push(await keystream(key));
    installNativeCrypto(installed);
    for (const stream of streams) {
      for (const [block, count] of [
        [0, 40_000],
        [16, 250],
        [5, 2 ** 17 + 3],
      ] as const) {
        const words = new Uint32Array(count);
        await stream(block, count)(words);
        expect(hex(littleEndianBytes(words))).toBe(hex(expected.subarray(16 * block, 16 * block + 4 * count)));
      }
      const lane = new Uint32Array(4);
      await stream(3, 4, 5)(lane);
      const counter = fromHex('00000000000000050000000000000003');
      const same = createCipheriv('aes-256-ctr', key, counter).update(new Uint8Array(16));
      expect(hex(littleEndianBytes(lane))).toBe(hex(same));
    }
  });

  test.each([1, 3, 262_144, 262_145, 700_003])(
    'adding the stream of %i numbers is addition of the little-endian words',
    async (length) => {
      const values = randomVector('x', length);
      const expected = values.slice();
      const words = new DataView(openssl(length * 4).slice().buffer);
      for (let i = 0; i < length; i++) expected[i] = (expected[i] as number) + words.getUint32(4 * i, true);
      await addStreams(values, [{ key, sign: 1 }]);
      expect(same(values, expected)).toBe(true);
      await addStreams(values, [{ key, sign: -1 }]);
      expect(same(values, randomVector('x', length))).toBe(true);
    },
  );

  test('addInto reads little-endian words and puts chunks where they belong', async () => {
    const vector = randomVector('bytes', 11);
    const bytes = new Uint8Array(44);
    vector.forEach((word, i) => {
      new DataView(bytes.buffer).setUint32(4 * i, word, true);
    });
    const sum = new Uint32Array(11);
    for (let at = 0; at < 44; at += 16) addInto(sum, bytes.slice(at, at + 16), at / 4, 32);
    addInto(sum, bytes.slice(1 * 4), 0, 32);
    await removeMasks(sum, { selfSeeds: [], pairwise: [], surplus: [] });
    expect(sum[0]).toBe(((vector[0] as number) + (vector[1] as number)) >>> 0);
    expect(sum[10]).toBe(vector[10]);
  });

  test('a chunk outside the vector, or not of whole numbers, is refused', () => {
    const sum = new Uint32Array(4);
    for (const [length, offset] of [
      [20, 0],
      [8, 3],
      [4, -1],
      [3, 0],
    ] as const) {
      expect(() => addInto(sum, new Uint8Array(length), offset, 32)).toThrow(
        expect.objectContaining({ code: 'SECAGG_SHAPE' }),
      );
    }
    expect(sum).toEqual(new Uint32Array(4));
  });
});
