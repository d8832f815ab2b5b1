import { expect, test } from 'vitest';
import { free } from '../../../shared/core/free.ts';

test('memory under a whole view is gone at once; a part of a pool stays, with its neighbours', () => {
  const whole = Uint8Array.of(1, 2, 3);
  free(whole);
  expect(whole.length).toBe(0);
  const pool = Uint8Array.of(1, 2, 3, 4);
  free(pool.subarray(1, 3));
  expect([...pool]).toEqual([1, 2, 3, 4]);
});
