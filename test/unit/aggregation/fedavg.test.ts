import { expect, test } from 'vitest';
import { meanUpdate, weightedMean } from '../../../shared/aggregation/fedavg.ts';
import { createIterateAverage } from '../../../shared/aggregation/iterate-average.ts';

const coded = (code: string) => expect.objectContaining({ code });

test('weightedMean refuses what is no set of updates', () => {
  const u = Float32Array.of(1, 2);
  expect(() => weightedMean([], [])).toThrow(coded('AGGREGATION_INPUT'));
  expect(() => weightedMean([u, Float32Array.of(1)], [1, 1])).toThrow(coded('AGGREGATION_INPUT'));
  for (const weights of [[1], [-1, 2], [0, 0], [Number.NaN, 1], [Number.POSITIVE_INFINITY, 1]]) {
    expect(() => weightedMean([u, u], weights)).toThrow(coded('AGGREGATION_INPUT'));
  }
  expect([...weightedMean([u, Float32Array.of(5, 6)], [3, 1])]).toEqual([2, 3]);
});

test('meanUpdate divides by the public expected batch and the clip, and points downhill', () => {
  expect([...meanUpdate(Float32Array.of(4, -2), 10, 0.2)]).toEqual([-2, 1]);
  expect(() => meanUpdate(Float32Array.of(1), 0, 1)).toThrow(coded('AGGREGATION_OPTION'));
});

test('the mean of the last iterates, restored from its state', () => {
  let average = createIterateAverage(3);
  expect(() => average.mean()).toThrow(coded('AGGREGATION_INPUT'));
  const iterates = [1, 10, 100, 1000].map((x) => Float32Array.of(x, -x));
  for (const x of iterates) {
    average.push(x);
    average = createIterateAverage(3, average.state());
  }
  (iterates[3] as Float32Array)[0] = 7;
  expect([...average.mean()]).toEqual([370, -370]);
  expect(() => createIterateAverage(0)).toThrow(coded('AGGREGATION_OPTION'));
});
