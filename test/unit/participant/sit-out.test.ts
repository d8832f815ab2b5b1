import { expect, test } from 'vitest';
import { absenceAfter, absenceNow } from '../../../shared/participant/sit-out.ts';
import { openPolicy } from '../../support/federation.ts';

const at = (time: string) => Date.parse(`2026-03-01T${time}:00Z`);
const hour = 3_600_000;

test.each([
  ['12:00', '08:00', '18:00', undefined],
  ['08:00', '08:00', '18:00', undefined],
  ['18:00', '08:00', '18:00', 14 * hour],
  ['06:00', '08:00', '18:00', 2 * hour],
  ['23:00', '20:00', '06:00', undefined],
  ['05:59', '20:00', '06:00', undefined],
  ['06:00', '20:00', '06:00', 14 * hour],
])('at %s with hours from %s to %s', (now, from, to, wait) => {
  const absence = absenceNow({ ...openPolicy, hours: { from, to } }, 1, at(now));
  expect(absence).toEqual(wait === undefined ? undefined : { code: 'OUTSIDE_HOURS', retryAfterMs: wait });
});

test('a site whose own budget was lowered below what it agreed to sits out', () => {
  expect(absenceNow({ ...openPolicy, maximumEpsilonPerPeriod: 2 }, 3, at('12:00'))?.code).toBe('BUDGET_SPENT');
});

test('a failure becomes a code, never its own words', () => {
  expect(absenceAfter(new RangeError('Array buffer allocation failed')).code).toBe('OUT_OF_MEMORY');
  expect(absenceAfter(new Error('record 7 of bob@example.org has NaN')).code).toBe('ENGINE_FAILED');
});
