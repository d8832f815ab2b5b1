import { describe, expect, test } from 'vitest';
import { littleEndianWords, softwareKeystream } from '../../../shared/core/keystream.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { CHUNK_WORDS, ChunkSpace } from '../../../shared/kernels/chunk-space.ts';
import { Rotation } from '../../../shared/privacy/rotation.ts';
import { rotationBlocks } from '../../../shared/privacy/rotation-blocks.ts';

const seed = seededRng('rotation seed').bytes(32);

function gaussian(name: string, dimension: number): Float32Array {
  const words = new Uint32Array(seededRng(name).bytes(8 * dimension).buffer);
  return Float32Array.from({ length: dimension }, (_, i) => {
    const [u, v] = [((words[2 * i] as number) + 1) / 2 ** 32, (words[2 * i + 1] as number) / 2 ** 32];
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
  });
}

async function rotated(vector: Float32Array, by: Uint8Array = seed): Promise<Float64Array> {
  const out = new Float64Array(vector.length);
  const rotation = await Rotation.of(by, vector.length);
  await ChunkSpace.use(CHUNK_WORDS, async (space) => {
    for (let k = 0; k < rotation.blocks.count; k++)
      out.set(await rotation.forward(space, vector, k), rotation.at(k)[0]);
  });
  return out;
}

async function rotatedBack(vector: Float64Array): Promise<Float64Array> {
  const out = new Float64Array(vector.length);
  const rotation = await Rotation.of(seed, vector.length);
  await ChunkSpace.use(CHUNK_WORDS, async (space) => {
    for (let k = 0; k < rotation.blocks.count; k++) {
      const [begin, end] = rotation.at(k);
      const block = space.block.subarray(0, end - begin);
      block.set(vector.subarray(begin, end));
      await rotation.backward(space, block, k);
      out.set(block, begin);
    }
  });
  return out;
}

const oddOnes = (x: number): boolean => x.toString(2).replaceAll('0', '').length % 2 === 1;

const squares = (x: Iterable<number>): number => {
  let sum = 0;
  for (const y of x) sum += y * y;
  return sum;
};

describe('a rotation', () => {
  test.each([1, 2, 3, 4, 7, 31, 100, 4095, 70_000, 131_071, 131_072, 300_001])(
    'of %d numbers changes no length and can be undone',
    async (dimension) => {
      const vector = gaussian(`vector ${dimension}`, dimension);
      const there = await rotated(vector);
      expect(Math.abs(squares(there) / squares(vector) - 1)).toBeLessThan(1e-13);
      const back = await rotatedBack(there);
      const off = back.map((x, i) => x - (vector[i] as number));
      expect(Math.sqrt(squares(off) / squares(vector))).toBeLessThan(1e-14);
    },
  );

  test('is orthogonal: all of a small one, column by column', async () => {
    const dimension = 23;
    const columns: Float64Array[] = [];
    for (let i = 0; i < dimension; i++) {
      const unit = new Float32Array(dimension);
      unit[i] = 1;
      columns.push(await rotated(unit));
    }
    for (const [i, a] of columns.entries())
      for (const [j, b] of columns.entries()) {
        const product = a.reduce((sum, x, k) => sum + x * (b[k] as number), 0);
        expect(Math.abs(product - (i === j ? 1 : 0))).toBeLessThan(1e-14);
      }
  });

  test('spreads a vector of one number over a whole block, the last numbers’ too', async () => {
    const dimension = 2 * 65_536 + 5_000;
    for (const at of [3, 65_536 + 100, dimension - 1]) {
      const spike = new Float32Array(dimension);
      spike[at] = 256;
      const there = await rotated(spike);
      // 5.9 of its standard deviations of 1: a probability below 1e-3 in 131,072 numbers.
      expect(there.reduce((most, x) => Math.max(most, Math.abs(x)), 0)).toBeLessThan(5.9);
      expect(there.filter((x) => x !== 0).length).toBeGreaterThan(60_000);
    }
  });

  test('has the signs of PROTOCOL.md: lane k, lowest bit first', async () => {
    const dimension = 2 * 65_536;
    const there = await rotated(new Float32Array(dimension).fill(1));
    for (const k of [0, 1]) {
      const bits = littleEndianWords(softwareKeystream(seed, 0, 8192, k));
      const signs = Array.from({ length: 65_536 }, (_, i) => 1 - 2 * (((bits[i >>> 5] as number) >>> (i & 31)) & 1));
      const all = signs.reduce((sum, x) => sum + x, 0);
      const alternating = signs.reduce((sum, x, i) => sum + (i % 2 === 0 ? x : -x), 0);
      expect(there[k * 65_536]).toBe(all / 256);
      expect(there[k * 65_536 + 1]).toBe(alternating / 256);
    }
  });

  test.each([1, 3, 6, 23, 100])('of %d numbers is what PROTOCOL.md says, term by term', async (dimension) => {
    const vector = gaussian(`protocol ${dimension}`, dimension);
    const m = [1, 4, 16, 64].filter((length) => length <= dimension).at(-1) as number;
    const blocks = Math.floor(dimension / m);
    const expected = Float64Array.from(vector);
    const turn = (at: number, lane: number): void => {
      const bits = softwareKeystream(seed, 0, Math.ceil(m / 8), lane);
      const signed = [...expected.subarray(at, at + m)].map(
        (x, i) => (((bits[i >>> 3] as number) >>> (i & 7)) & 1 ? -x : x) / Math.sqrt(m),
      );
      for (let i = 0; i < m; i++) expected[at + i] = signed.reduce((sum, x, j) => sum + (oddOnes(i & j) ? -x : x), 0);
    };
    for (let k = 0; k < blocks; k++) turn(k * m, k);
    if (dimension > blocks * m) turn(dimension - m, blocks);
    const there = await rotated(vector);
    for (let i = 0; i < dimension; i++)
      expect(Math.abs((there[i] as number) - (expected[i] as number))).toBeLessThan(1e-12);
  });

  test('another seed is another rotation', async () => {
    const vector = gaussian('two seeds', 5000);
    expect(await rotated(vector)).not.toEqual(await rotated(vector, new Uint8Array(32)));
  });

  test('blocks are the largest powers of 4 up to 2^16; nothing is padded', () => {
    expect([1, 3, 4, 15, 65_535, 65_536, 1e8].map((d) => rotationBlocks(d))).toEqual([
      { length: 1, count: 1 },
      { length: 1, count: 3 },
      { length: 4, count: 1 },
      { length: 4, count: 3 },
      { length: 16_384, count: 3 },
      { length: 65_536, count: 1 },
      { length: 65_536, count: 1525 },
    ]);
  });
});
