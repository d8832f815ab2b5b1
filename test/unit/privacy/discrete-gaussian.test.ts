import { describe, expect, it } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { columnSample, ringInTypeScript } from '../../../shared/kernels/ring-js.ts';
import { type AliasTable, buildAliasTable } from '../../../shared/privacy/alias-table.ts';
import {
  addNoise,
  discreteGaussian,
  escaped,
  liesBelow,
  randomWords,
  settleEscapes,
} from '../../../shared/privacy/discrete-gaussian.ts';
import { GaussianDensity } from '../../../shared/privacy/gaussian-density.ts';
import { chiSquareScore, exactLaw } from '../../support/discrete-gaussian.ts';

/** What the cells of an alias table give to each value, of 2^128. */
function weightsOf(table: AliasTable): Map<number, bigint> {
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
  return back;
}

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

  it.each([1200, 30_000, 1e6, 1e8])('σ = %d, in columns: chi-square in cells, variance within 1 %%', (sigma) => {
    const values = samples(sigma, 400_000);
    const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length;
    expect(Math.abs(variance / (sigma * sigma) - 1)).toBeLessThan(0.01);
    if (sigma < 1e5) expect(chiSquareScore(values, sigma)).toBeLessThan(4);
    // Every place in a column is as frequent as any other.
    const width = Math.min(2 ** discreteGaussian(sigma).table.offsetBits, 1024);
    const counts = new Float64Array(width);
    for (const x of values) counts[x & (width - 1)] = (counts[x & (width - 1)] as number) + 1;
    const expected = values.length / width;
    const chi = counts.reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0);
    expect((chi - (width - 1)) / Math.sqrt(2 * (width - 1))).toBeLessThan(5);
  });

  it('the table of σ = 3 is the law to the last of 128 bits: cells give back the weights', () => {
    const weights = [1n << 125n, (1n << 127n) + 12345n, (1n << 128n) - (1n << 125n) - (1n << 127n) - 12345n];
    const back = weightsOf(buildAliasTable(weights, -1));
    expect([-1, 0, 1, 2].map((x) => back.get(x) ?? 0n)).toEqual([...weights, 0n]);
  });

  it.each([0.01, 0.3, 3, 500, 1170, 1171, 33_241.5, 2e6, 1e8])(
    'σ = %d: sure points and what is accepted of the rest add up to the law at every kind of place, to 2^-100',
    (sigma) => {
      const noise = discreteGaussian(sigma);
      const { table, sure, rest, staircase } = noise;
      const width = 2 ** table.offsetBits;
      // What the cells give to each column: points of 2^-32 for each of its integers.
      const points = new Map<number, number>();
      for (let column = table.limit / 2 ** 19; column < 2 ** 12; column++) {
        const cell = table.cells[column & 8191] as number;
        const threshold = (cell & (2 ** 19 - 1)) / width;
        const other = ((column ^ (cell >>> 19)) << 19) >> 19;
        expect(threshold).toBe(Math.floor(threshold));
        points.set(column, (points.get(column) ?? 0) + threshold);
        points.set(other, (points.get(other) ?? 0) + 2 ** 19 / width - threshold);
      }
      for (const [i, s] of sure.entries()) expect(points.get(i + rest.first) ?? 0).toBe(s);
      const escapes = table.limit / 2 ** 19 + 4096;
      expect([...points.values()].reduce((sum, s) => sum + s, 0) * width + escapes * 2 ** 19).toBe(2 ** 32);

      const density = new GaussianDensity(sigma);
      const chosen = weightsOf(rest);
      const height = (x: number): bigint => density.at(BigInt(x) ** 2n);
      const columns = new Set([0, -1, 1, 2, -7, rest.first, -rest.first - 1, 4095, 4096, -4096, escapes - 4096]);
      for (let i = 0; i < 60; i++) columns.add(Math.floor(rest.first + (i / 60) * 2 * -rest.first));
      for (const column of columns) {
        if (column < rest.first || column >= -rest.first) continue;
        const near = column >= 0 ? column * width : (column + 1) * width - 1;
        for (const x of new Set([column * width, (column + 1) * width - 1, column * width + Math.floor(width / 3)])) {
          // Of what is chosen in the column the part (ρ(x) − floor)/(ρ(near) − floor) is accepted.
          const floor = BigInt(sure[column - rest.first] as number) * staircase;
          const [above, whole] = [(height(x) << 32n) - floor, (height(near) << 32n) - floor];
          expect(above >= 0n && above <= whole).toBe(true);
          // All in units of 2^-(32 + 128).
          const sureShare = BigInt(sure[column - rest.first] as number) << 128n;
          const each = ((chosen.get(column) ?? 0n) * BigInt(escapes) * 2n ** 19n) / BigInt(width);
          const share = sureShare + (whole === 0n ? 0n : (each * above) / whole);
          const law = (height(x) << 160n) / staircase;
          const difference = share > law ? share - law : law - share;
          expect(difference < 1n << 60n).toBe(true);
        }
      }
    },
  );

  it.each([700, 1171, 33_241.5, 1e8])('σ = %d: a point is compared with ρ to the last bit', (sigma) => {
    const noise = discreteGaussian(sigma);
    const { rest, sure, staircase, table } = noise;
    const width = 2 ** table.offsetBits;
    const density = new GaussianDensity(sigma);
    const rng = seededRng(`compared ${sigma}`);
    let undecided = 0;
    for (let i = 0; i < 300; i++) {
      const [a, b] = randomWords(rng, 2) as unknown as [number, number];
      const column = Math.floor((((a / 2 ** 32) * 2 - 1) * Math.min(4 * sigma, -rest.first * width)) / width);
      const x = column * width + (b % width);
      const near = column >= 0 ? column * width : (column + 1) * width - 1;
      const height = density.at(BigInt(near) ** 2n);
      const room = (height << 32n) - BigInt(sure[column - rest.first] as number) * staircase;
      if (room === 0n) continue;
      const fall = (height - density.at(BigInt(x) ** 2n)) << 32n;
      // v·room > fall: the first v of 128 bits for which it holds, and the last for which it does not.
      const last = (fall << 128n) / room;
      for (const v of [
        last - 1n,
        last,
        last + 1n,
        last + 2n,
        last + (1n << 80n),
        last - (1n << 80n),
        BigInt(a) << 96n,
      ]) {
        if (v < 0n || v >= 1n << 128n || (v - last <= 1n && v !== last - 1n && v !== last + 1n)) continue;
        const words = [96n, 64n, 32n, 0n].map((shift) => Number((v >> shift) & 0xffffffffn));
        let used = 0;
        const below = liesBelow(noise, column, x, () => words[used++] as number);
        if (used > 1) undecided++;
        // Fixed point is good for far more than 2^-100 of the height.
        if (v - last > 1n << 40n || last - v > 1n << 40n || used === 1) expect(below).toBe(v > last);
      }
    }
    expect(undecided).toBeGreaterThan(100);
  });

  it('an escape is settled: the garbage that the kernel added goes, a sample comes, with either sign', () => {
    const noise = discreteGaussian(40);
    const words = Uint32Array.of(0x80000000, 0x12345678, 0x80000001);
    for (const sign of [1, -1] as const) {
      const target = Uint32Array.of(100, 200, 300);
      const positions = new Uint32Array(3);
      const count = ringInTypeScript.noise(target, words, noise.table, sign, positions);
      expect([...positions.subarray(0, count)]).toEqual([0, 2]);
      const next = (): (() => number) => {
        const further = randomWords(seededRng('further'), 100);
        let at = 0;
        return () => further[at++] as number;
      };
      settleEscapes(noise, target, words, positions.subarray(0, count), sign, next());
      const draw = next();
      const [first, second] = [escaped(noise, draw), escaped(noise, draw)];
      const middle = columnSample(noise.table, words[1] as number);
      expect([...target]).toEqual([100 + sign * first, 200 + sign * middle, 300 + sign * second]);
    }
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
