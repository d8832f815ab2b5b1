import { createCipheriv } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { ChunkSpace } from '../../../shared/kernels/chunk-space.ts';
import { columnSample } from '../../../shared/kernels/ring-js.ts';
import {
  addComponents,
  componentSource,
  NOISE_CHUNK_WORDS,
  wordsForEscapes,
} from '../../../shared/privacy/component-noise.ts';
import { discreteGaussian, escaped } from '../../../shared/privacy/discrete-gaussian.ts';
import { chiSquareScore, exactLaw } from '../../support/discrete-gaussian.ts';

const component = (sigma: number, seed = 'component') => ({ key: seededRng(seed).bytes(32), sigma });

async function noiseOf(sigma: number, length: number, seed?: string): Promise<Int32Array> {
  const values = new Uint32Array(length);
  await addComponents(values, [component(sigma, seed)], 1);
  return new Int32Array(values.buffer);
}

/** Words [at, at + count) of lane `lane`, by OpenSSL. */
function openssl(key: Uint8Array, lane: number, at: number, count: number): Uint32Array {
  const counter = Buffer.alloc(16);
  counter.writeBigUInt64BE(BigInt(lane), 0);
  counter.writeBigUInt64BE(BigInt(at / 4), 8);
  const bytes = createCipheriv('aes-256-ctr', key, counter).update(new Uint8Array(4 * count));
  return Uint32Array.from({ length: count }, (_, i) => bytes.readUInt32LE(4 * i));
}

describe('noise that can be made again', () => {
  test.each([3, 300, 5000])('what was added is taken away exactly, to the last integer: σ = %d', async (sigma) => {
    const length = 2 * NOISE_CHUNK_WORDS + 77;
    const values = new Uint32Array(seededRng('values').bytes(4 * length).buffer);
    const before = values.slice();
    await addComponents(values, [component(sigma)], 1);
    expect(values).not.toEqual(before);
    await addComponents(values, [component(sigma)], -1);
    expect(values).toEqual(before);
  });

  test('chunks can be made alone and in any order', async () => {
    const length = 2 * NOISE_CHUNK_WORDS + 1000;
    const whole = await noiseOf(700, length);
    const pieces = new Uint32Array(length);
    const source = await componentSource(component(700));
    await ChunkSpace.use(NOISE_CHUNK_WORDS, async (space) => {
      for (const j of [2, 0, 1]) {
        const piece = pieces.subarray(j * NOISE_CHUNK_WORDS, (j + 1) * NOISE_CHUNK_WORDS);
        space.target.fill(0);
        await source(space, piece.length, j, 1);
        piece.set(space.target.subarray(0, piece.length));
      }
    });
    expect(new Int32Array(pieces.buffer)).toEqual(whole);
    expect(whole.subarray(0, 1000)).not.toEqual(whole.subarray(NOISE_CHUNK_WORDS, NOISE_CHUNK_WORDS + 1000));
  });

  test.each([5, 2000, 40_000_000])(
    'σ = %d: it is the sampler’s value for the words of an independent AES-256-CTR',
    async (sigma) => {
      const { key } = component(sigma);
      const noise = discreteGaussian(sigma);
      const made = (await noiseOf(sigma, NOISE_CHUNK_WORDS + 2000)).subarray(NOISE_CHUNK_WORDS);
      const words = openssl(key, 1, 0, 2000);
      // At 4·10^7 more than twice the words that are made ahead.
      const further = openssl(key, 1, NOISE_CHUNK_WORDS, 20_000);
      let used = 0;
      const expected = Int32Array.from(words, (word) =>
        (word | 0) < noise.table.limit
          ? escaped(noise, () => further[used++] as number)
          : columnSample(noise.table, word),
      );
      expect(made).toEqual(expected);
    },
  );

  test('escapes that need more words than were made ahead get those that follow', async () => {
    // Few samples, of which so many are escapes that some chunk needs more.
    const sigma = 1e8;
    const noise = discreteGaussian(sigma);
    const length = 40;
    const most = wordsForEscapes(noise, length);
    let longest = 0;
    for (let seed = 0; longest <= most; seed++) {
      if (seed === 5000) throw new Error('no chunk needs more words than are made ahead');
      const { key } = component(sigma, `seed ${seed}`);
      const words = openssl(key, 0, 0, length);
      const further = openssl(key, 0, NOISE_CHUNK_WORDS, 400);
      let used = 0;
      const next = (): number => further[used++] as number;
      const expected = Int32Array.from(words, (word) =>
        (word | 0) < noise.table.limit ? escaped(noise, next) : columnSample(noise.table, word),
      );
      if (used > most) expect(await noiseOf(sigma, length, `seed ${seed}`)).toEqual(expected);
      longest = Math.max(longest, used);
    }
  });

  test('keys that differ make noise that has nothing to do with each other', async () => {
    const a = await noiseOf(100, 100_000, 'a');
    const b = await noiseOf(100, 100_000, 'b');
    const covariance = a.reduce((sum, x, i) => sum + x * (b[i] as number), 0) / a.length;
    expect(Math.abs(covariance) / (100 * 100)).toBeLessThan(5 / Math.sqrt(a.length));
  });

  test.each([4, 60, 1500])('σ = %d: chi-square against the exact law, variance within 1 %%', async (sigma) => {
    const values = await noiseOf(sigma, 600_000);
    expect(chiSquareScore(values, sigma)).toBeLessThan(4);
    const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length;
    expect(Math.abs(variance / exactLaw(sigma).variance - 1)).toBeLessThan(0.01);
  });
});
