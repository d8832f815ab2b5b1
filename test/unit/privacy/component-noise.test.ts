import { createCipheriv } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { ChunkSpace } from '../../../shared/kernels/chunk-space.ts';
import { addComponents, componentSource, NOISE_CHUNK_WORDS } from '../../../shared/privacy/component-noise.ts';
import { addSamples, discreteGaussian } from '../../../shared/privacy/discrete-gaussian.ts';
import { chiSquareScore, exactLaw } from '../../support/discrete-gaussian.ts';

const component = (sigma: number, seed = 'component') => ({ key: seededRng(seed).bytes(32), sigma });

async function noise(sigma: number, length: number, seed?: string): Promise<Int32Array> {
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
    const whole = await noise(700, length);
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

  test('it is the tables’ value for the words of an independent AES-256-CTR', async () => {
    const { key, sigma } = component(2000);
    const { fine, coarse } = discreteGaussian(sigma);
    if (coarse === undefined) throw new Error('σ is above one table');
    const value = (table: typeof fine, word: number): number => {
      const shift = 32 - table.cellBits;
      const cell = word >>> shift;
      const bits = word & (2 ** shift - 1);
      if (bits === (table.high[cell] as number)) throw new Error('a tie: choose another key');
      return bits < (table.high[cell] as number) ? table.first + cell : (table.other[cell] as number);
    };
    const made = (await noise(sigma, NOISE_CHUNK_WORDS + 8)).subarray(NOISE_CHUNK_WORDS);
    const first = openssl(key, 1, 0, 8);
    const second = openssl(key, 1, NOISE_CHUNK_WORDS, 8);
    const expected = Int32Array.from(
      first,
      (w, i) => value(fine, w) + coarse.multiple * value(coarse.table, second[i] as number),
    );
    expect(made).toEqual(expected);
  });

  test('where one word does not decide, the kernel’s samples are those of the plain loop, to the last bit', async () => {
    // 2^15 cells: a tie in 2^17 samples, about eight here.
    const { key, sigma } = component(1000, 'ties');
    const { fine } = discreteGaussian(sigma);
    const length = 4 * NOISE_CHUNK_WORDS;
    const expected = new Uint32Array(length);
    let ties = 0;
    for (let lane = 0; lane < 4; lane++) {
      const words = openssl(key, lane, 0, NOISE_CHUNK_WORDS);
      const chunk = expected.subarray(lane * NOISE_CHUNK_WORDS, (lane + 1) * NOISE_CHUNK_WORDS);
      addSamples(fine, 1, chunk, words, (i) => {
        ties++;
        return openssl(key, lane, 2 * NOISE_CHUNK_WORDS + 4 * i, 3);
      });
    }
    expect(ties).toBeGreaterThan(0);
    const made = await noise(sigma, length, 'ties');
    expect(Buffer.compare(Buffer.from(made.buffer), Buffer.from(expected.buffer))).toBe(0);
  });

  test('keys that differ make noise that has nothing to do with each other', async () => {
    const a = await noise(100, 100_000, 'a');
    const b = await noise(100, 100_000, 'b');
    const covariance = a.reduce((sum, x, i) => sum + x * (b[i] as number), 0) / a.length;
    expect(Math.abs(covariance) / (100 * 100)).toBeLessThan(5 / Math.sqrt(a.length));
  });

  test.each([4, 60, 1500])('σ = %d: chi-square against the exact law, variance within 1 %%', async (sigma) => {
    const values = await noise(sigma, 600_000);
    expect(chiSquareScore(values, sigma)).toBeLessThan(4);
    const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length;
    expect(Math.abs(variance / exactLaw(sigma).variance - 1)).toBeLessThan(0.01);
  });
});
