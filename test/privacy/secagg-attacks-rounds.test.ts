import { afterEach, describe, expect, test, vi } from 'vitest';
import { ConsentedRounds } from '../support/consented-rounds.ts';
import { names } from '../support/secagg-session.ts';

/**
 * Attacks on what was charged: a coordinator that opens more sums than the plan has rounds. Each twice, as in secagg-attacks.
 * Every sum that opens is one more look at the same data.
 */
const seam = vi.hoisted(() => ({ off: new Set<string>() }));
vi.mock('../../shared/secagg/client-checks.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off);
});
vi.mock('../../shared/participant/round-terms.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off);
});
afterEach(() => seam.off.clear());

const all = (code: string) => names(6).map(() => code);

describe('more sums than the plan was charged for', () => {
  const rows = [
    {
      what: 'a round beyond those of the plan',
      again: { round: 2 },
      code: 'PLAN_CLAIM_FALSE',
      check: 'checkAgainstTerms',
    },
    {
      what: 'the same round in a run that nobody agreed to',
      again: { run: 'run-2' },
      code: 'PLAN_CLAIM_FALSE',
      check: 'checkAgainstTerms',
    },
    {
      what: 'a retry of a round whose sum is open',
      again: { attempt: 2 },
      code: 'SECAGG_REPLAY',
      check: 'checkNewer',
    },
  ];

  test.each(rows)('$what — caught before anything is sent', async ({ again, code }) => {
    const rounds = new ConsentedRounds(6);
    expect((await rounds.open({})).codes).toEqual([]);
    expect((await rounds.open(again)).codes).toEqual(all(code));
  });

  test.each(rows)('$what — without $check a second sum opens that nobody charged for', async ({ again, check }) => {
    seam.off.add(check);
    const rounds = new ConsentedRounds(6);
    for (const change of [{}, again]) {
      const { codes, variance } = await rounds.open(change);
      expect(codes).toEqual([]);
      expect(variance).toBeGreaterThan(0);
    }
  });
});

describe('a stage run in the place of another, which the noise of the whole plan was not reckoned for', () => {
  test('caught: each round is of one stage', async () => {
    expect((await new ConsentedRounds(6, 2).open({ stage: 1 })).codes).toEqual(all('PLAN_CLAIM_FALSE'));
  });

  test('without checkAgainstTerms two sums of the later stage open, where the plan has one', async () => {
    seam.off.add('checkAgainstTerms');
    const rounds = new ConsentedRounds(6, 2);
    for (const round of [1, 2]) {
      const { codes, variance } = await rounds.open({ stage: 1, round });
      expect(codes).toEqual([]);
      expect(variance).toBeGreaterThan(0);
    }
  });

  test('in its turn it is opened', async () => {
    const rounds = new ConsentedRounds(6, 2);
    for (const stage of [0, 1]) expect((await rounds.open({ stage, round: stage + 1 })).codes).toEqual([]);
  });
});
