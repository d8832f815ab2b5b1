import { describe, expect, test } from 'vitest';
import { type Rng, seededRng } from '../../../shared/core/rng.ts';
import { lengthBuckets, microBatches } from '../../../shared/training/batches.ts';
import { poissonSample } from '../../../shared/training/sampling.ts';

/** The Rng that says the same 8 bytes for ever. */
const constant = (...bytes: number[]): Rng => ({
  bytes: (n) => Uint8Array.from({ length: n }, (_, i) => bytes[i % 8] as number),
});

describe('Poisson sampling', () => {
  test('every record by itself: sizes vary as a binomial, pairs are independent', () => {
    const rng = seededRng('sampling');
    const [n, q, draws] = [200, 0.3, 4000];
    let sum = 0;
    let squares = 0;
    let both = 0;
    const hits = new Float64Array(n);
    for (let d = 0; d < draws; d++) {
      const sample = poissonSample(n, q, rng);
      sum += sample.length;
      squares += sample.length ** 2;
      for (const i of sample) hits[i] = (hits[i] as number) + 1;
      if (sample[0] === 0 && sample[1] === 1) both++;
    }
    const mean = sum / draws;
    const variance = squares / draws - mean ** 2;
    expect(Math.abs(mean - n * q)).toBeLessThan(5 * Math.sqrt((n * q * (1 - q)) / draws));
    expect(variance / (n * q * (1 - q))).toBeGreaterThan(0.85);
    expect(variance / (n * q * (1 - q))).toBeLessThan(1.15);
    expect(Math.abs(both / draws - q * q)).toBeLessThan(5 * Math.sqrt((q * q) / draws));
    for (const h of hits) expect(Math.abs(h / draws - q)).toBeLessThan(5 * Math.sqrt((q * (1 - q)) / draws));
  });
  test('q = 1 takes all, q = 0 none, whatever the bits', () => {
    expect(poissonSample(10_000, 1, constant(255, 255, 255, 255, 255, 255, 255, 255))).toHaveLength(10_000);
    expect(poissonSample(10_000, 0, constant(0, 0, 0, 0, 0, 0, 0, 0))).toHaveLength(0);
    expect(poissonSample(0, 0.5, seededRng('none'))).toEqual([]);
  });
  test('the threshold is exact to 53 bits', () => {
    // u = 2^-1 exactly: not below q = 0.5, below the next larger double.
    const half = constant(128, 0, 0, 0, 0, 0, 0, 0);
    expect(poissonSample(1, 0.5, half)).toEqual([]);
    expect(poissonSample(1, 0.5 + 2 ** -53, half)).toEqual([0]);
  });
  test('anything but a probability is refused', () => {
    for (const q of [-0.1, 1.1, Number.NaN])
      expect(() => poissonSample(1, q, seededRng('x'))).toThrow(expect.objectContaining({ code: 'TRAINING_OPTION' }));
  });
});

describe('micro-batches', () => {
  const example = (length: number, label: number) => ({ ids: Int32Array.from({ length }, (_, i) => 100 + i), label });
  const examples = [example(5, 0), example(40, 1), example(16, 1), example(17, 0), example(90, 1), example(3, 1)];

  test('fixed shapes by length bucket, padded with rows of weight 0', () => {
    expect(lengthBuckets(64)).toEqual([16, 32, 64]);
    expect(lengthBuckets(100)).toEqual([16, 32, 64, 100]);
    const batches = [...microBatches(examples, [0, 1, 2, 3, 4, 5], { batch: 2, tokens: 64 })];
    expect(batches.map((b) => [b.batch.tokens, b.rows])).toEqual([
      [16, [0, 2]],
      [16, [5]],
      [32, [3]],
      [64, [1, 4]],
    ]);
    for (const { batch, rows } of batches) {
      expect(batch.inputIds.length).toBe(2 * batch.tokens);
      expect([...batch.weights]).toEqual(rows.length === 2 ? [1, 1] : [1, 0]);
      for (const [row, index] of rows.entries()) {
        const length = Math.min(64, examples[index]?.ids.length as number);
        const mask = batch.attentionMask.subarray(row * batch.tokens, (row + 1) * batch.tokens);
        expect(mask.reduce((a, b) => a + b, 0)).toBe(length);
        const ids = batch.inputIds.subarray(row * batch.tokens, row * batch.tokens + length);
        expect(ids).toEqual(examples[index]?.ids.subarray(0, length));
        expect(batch.labels[row]).toBe(examples[index]?.label);
      }
    }
  });
  test('an empty sample makes no batch', () => {
    expect([...microBatches(examples, [], { batch: 4, tokens: 64 })]).toEqual([]);
  });
});
