import { describe, expect, it } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { buildAliasTable } from '../../../shared/privacy/alias-table.ts';
import { addNoise, discreteGaussian } from '../../../shared/privacy/discrete-gaussian.ts';
import { chiSquareScore, exactLaw } from '../../support/discrete-gaussian.ts';

/** Samples as signed integers. */
function samples(sigma: number, count: number): Int32Array {
  const target = new Uint32Array(count);
  addNoise(discreteGaussian(sigma), target, seededRng(`discrete gaussian ${sigma}`));
  return new Int32Array(target.buffer);
}

describe('discrete Gaussian', () => {
  it.each([0.5, 1, 3, 40, 700])('σ = %d: chi-square against the exact law, variance within 1 %%', (sigma) => {
    const values = samples(sigma, 1_000_000);
    expect(chiSquareScore(values, sigma)).toBeLessThan(4);
    const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length;
    expect(Math.abs(variance / exactLaw(sigma).variance - 1)).toBeLessThan(0.01);
  });

  it('noise σ² where σ was meant: σ = 0.25 is almost always 0, as the exact law says', () => {
    const values = samples(0.25, 1_000_000);
    const expected = 2 * exactLaw(0.25).probability(1) * values.length;
    const ones = values.reduce((sum, x) => sum + Math.abs(x), 0);
    expect(Math.abs(ones - expected)).toBeLessThan(4 * Math.sqrt(expected));
  });

  it.each([1025, 30_000, 1e6])('σ = %d, by two tables: chi-square in cells, variance within 1 %%', (sigma) => {
    const values = samples(sigma, 400_000);
    const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length;
    expect(Math.abs(variance / (sigma * sigma) - 1)).toBeLessThan(0.01);
    if (sigma < 1e5) expect(chiSquareScore(values, sigma)).toBeLessThan(4);
    // Every residue modulo the coarse step is as frequent as any other: the fine table fills the gaps.
    const multiple = discreteGaussian(sigma).coarse?.multiple as number;
    const counts = new Float64Array(multiple);
    for (const x of values) {
      const residue = ((x % multiple) + multiple) % multiple;
      counts[residue] = (counts[residue] as number) + 1;
    }
    const expected = values.length / multiple;
    const chi = counts.reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0);
    expect((chi - (multiple - 1)) / Math.sqrt(2 * (multiple - 1))).toBeLessThan(5);
  });

  it('the table of σ = 3 is the law to the last of 128 bits: cells give back the weights', () => {
    const weights = [1n << 125n, (1n << 127n) + 12345n, (1n << 128n) - (1n << 125n) - (1n << 127n) - 12345n];
    const table = buildAliasTable(weights, -1);
    const capacity = 1n << (128n - BigInt(table.cellBits));
    const back = new Map<number, bigint>();
    for (let cell = 0; cell < 2 ** table.cellBits; cell++) {
      const threshold =
        (BigInt(table.high[cell] as number) << 96n) |
        (BigInt(table.middle[cell] as number) << 64n) |
        (table.rest[cell] as bigint);
      const own = table.first + cell;
      const other = table.other[cell] as number;
      back.set(own, (back.get(own) ?? 0n) + threshold);
      back.set(other, (back.get(other) ?? 0n) + capacity - threshold);
    }
    expect([-1, 0, 1, 2].map((x) => back.get(x) ?? 0n)).toEqual([...weights, 0n]);
  });

  it('the same seed gives the same noise, another seed another', () => {
    const draw = (seed: string) => {
      const target = new Uint32Array(100);
      addNoise(discreteGaussian(50), target, seededRng(seed));
      return [...target];
    };
    expect(draw('a')).toEqual(draw('a'));
    expect(draw('a')).not.toEqual(draw('b'));
  });
});
