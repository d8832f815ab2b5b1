import { describe, expect, it } from 'vitest';
import { hex } from '../../../shared/core/bytes.ts';
import type { EntryInput } from '../../../shared/ledger/entries.ts';
import { type Ledger, openLedger } from '../../../shared/ledger/log.ts';
import { type LedgerSide, reconcile } from '../../../shared/participant/reconcile.ts';
import { createMemoryStore } from '../../../shared/store/memory.ts';
import { incident, mailBudget, testPlanHash, testSigner, tickingClock } from '../../support/ledger.ts';

const ORIGIN = 'test.example/tacit';
const OTHER_PLAN = 'ab'.repeat(32);

const reserve = (change: Partial<EntryInput<'reserve'>> = {}): EntryInput<'reserve'> => ({
  kind: 'reserve',
  reservation: 'run/r',
  run: 'r',
  planHash: testPlanHash,
  budgets: [mailBudget],
  epsilon: '1.5',
  delta: '0.000001',
  ...change,
});

const close = (change: Partial<EntryInput<'plan.close'>> = {}): EntryInput<'plan.close'> => ({
  kind: 'plan.close',
  run: 'r',
  reservation: 'run/r',
  outcome: 'finished',
  reason: null,
  revealed: true,
  epsilon: '1.5',
  delta: '0.000001',
  roundsReleased: 3,
  modelHash: null,
  ...change,
});

const GIVEN_BACK = { revealed: false, epsilon: '0', delta: '0', roundsReleased: 0 } as const;

async function ledgerOf(origin: string, entries: readonly EntryInput[]): Promise<Ledger> {
  const signer = testSigner(origin);
  const ledger = await openLedger({ store: createMemoryStore(), stream: 'l', origin, signer, clock: tickingClock() });
  for (const [i, entry] of entries.entries()) await ledger.append(entry, `${i}`);
  return ledger;
}

async function sideOf(ledger: Ledger): Promise<LedgerSide> {
  const { origin, size } = ledger;
  return { origin, size, entries: await ledger.entries(0), root: (n) => ledger.root(n) };
}

/** A coordinator whose reservation is entry 1, and a site with its own. */
async function compared(coordinator: readonly EntryInput[], site: readonly EntryInput[]) {
  return reconcile(
    await sideOf(await ledgerOf(ORIGIN, [incident(0), ...coordinator])),
    await sideOf(await ledgerOf('tacit.client/c1', site)),
  );
}

describe('two ledgers of one run', () => {
  it('agree about the plan, the amount and the end, however the decimals are written', async () => {
    const result = await compared([reserve({ epsilon: '1.50' }), close()], [reserve(), close()]);
    expect(result).toMatchObject({ clientId: 'c1', partings: [], notes: [] });
    expect(result.runs).toMatchObject([{ run: 'r', siteEpsilon: '1.5', coordinatorEpsilon: '1.50', agrees: true }]);
  });

  it.each<[string, Partial<EntryInput<'reserve'>>, string]>([
    ['another ε', { epsilon: '1.4999999999999999999999' }, 'ε 1.4999999999999999999999, δ 0.000001'],
    ['another δ', { delta: '0.0000010000000001' }, 'ε 1.5, δ 0.0000010000000001'],
  ])('part when the coordinator reserved %s, however little', async (_name, change, says) => {
    const { partings, runs } = await compared([reserve(change)], [reserve()]);
    expect(partings).toEqual([
      {
        code: 'AMOUNT_OTHER',
        run: 'r',
        what: 'they set different amounts aside',
        coordinator: 1,
        site: 0,
        coordinatorSays: says,
        siteSays: 'ε 1.5, δ 0.000001',
      },
    ]);
    expect(runs[0]?.agrees).toBe(false);
  });

  it('part when the plan is another one, and name both differences when the amount is too', async () => {
    const { partings } = await compared([reserve({ planHash: OTHER_PLAN })], [reserve()]);
    expect(partings).toMatchObject([
      { code: 'PLAN_OTHER', coordinator: 1, site: 0, coordinatorSays: OTHER_PLAN, siteSays: testPlanHash },
    ]);
    const both = await compared([reserve({ planHash: OTHER_PLAN, epsilon: '9' })], [reserve()]);
    expect(both.partings.map((p) => p.code)).toEqual(['PLAN_OTHER', 'AMOUNT_OTHER']);
  });

  it.each<[string, Partial<EntryInput<'plan.close'>>, Partial<EntryInput<'plan.close'>>, string]>([
    ['counts fewer rounds than the site saw', { roundsReleased: 2 }, {}, '2 rounds released, ε 1.5 charged'],
    ['says that nothing was revealed', { ...GIVEN_BACK, roundsReleased: 3 }, {}, '3 rounds released, ε 0 charged'],
    ['gives the reservation back', GIVEN_BACK, { roundsReleased: 1 }, '0 rounds released, ε 0 charged'],
  ])('part at the end when the coordinator %s', async (_name, theirs, mine, says) => {
    const { partings } = await compared([reserve(), close(theirs)], [reserve(), close(mine)]);
    expect(partings).toMatchObject([{ code: 'END_OTHER', coordinator: 2, site: 1, coordinatorSays: says }]);
  });

  it('do not part when the site was away or has not heard of the end: notes say so', async () => {
    const away = await compared([reserve(), close()], [reserve(), close({ ...GIVEN_BACK, roundsReleased: 1 })]);
    expect(away.partings).toEqual([]);
    expect(away.notes).toEqual(['run r: this site was there for 1 of 3 released rounds']);
    const open = await compared([reserve(), close()], [reserve()]);
    expect(open).toMatchObject({ partings: [], notes: [expect.stringContaining('open for this site')] });
    const closed = await compared([reserve()], [reserve(), close()]);
    expect(closed).toMatchObject({ partings: [], notes: [expect.stringContaining('open for the coordinator')] });
  });

  it('part when the charge that the site saw is another entry now, or lies in another history', async () => {
    const seen = await ledgerOf(ORIGIN, [incident(0), reserve()]);
    const charge: EntryInput<'charge'> = {
      kind: 'charge',
      run: 'r',
      reservation: 'run/r',
      budget: mailBudget,
      epsilon: '1.5',
      delta: '0.000001',
      origin: ORIGIN,
      index: 1,
      leafHash: hex(seen.leafHash(1)),
      size: 2,
      root: hex(seen.root(2)),
    };
    expect((await compared([reserve()], [reserve(), charge])).partings).toEqual([]);
    const changed = await compared([reserve({ reservation: 'other' })], [reserve(), charge]);
    expect(changed.partings.map((p) => p.code)).toEqual(['ENTRY_OTHER', 'HISTORY_OTHER']);
    const before = { ...charge, root: 'cd'.repeat(32) };
    expect((await compared([reserve()], [reserve(), before])).partings).toMatchObject([
      { code: 'HISTORY_OTHER', coordinator: 1, site: 1, siteSays: 'cd'.repeat(32) },
    ]);
    const shorter = await compared([reserve()], [reserve(), { ...charge, size: 9 }]);
    expect(shorter.partings).toMatchObject([{ code: 'HISTORY_OTHER', coordinatorSays: 'a shorter ledger' }]);
  });
});
