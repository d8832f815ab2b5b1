import { describe, expect, it } from 'vitest';
import { setApprovers } from '../../../coordinator/budgets/approvers.ts';
import { approveChange } from '../../../coordinator/budgets/budget-opening.ts';
import { base64 } from '../../../shared/core/bytes.ts';
import type { BudgetStatus } from '../../../shared/ledger/budget.ts';
import { BudgetBook } from '../../../shared/ledger/budget-book.ts';
import { exportBundle } from '../../../shared/ledger/bundle.ts';
import { type BudgetKey, type EntryInput, rosterHash } from '../../../shared/ledger/entries.ts';
import { type Ledger, openLedger } from '../../../shared/ledger/log.ts';
import { verifyBundle } from '../../../shared/ledger/verify.ts';
import { createMemoryStore } from '../../../shared/store/memory.ts';
import { mailBudget, opening, release, testPlanHash, testSigner, tickingClock } from '../../support/ledger.ts';

const open = (store = createMemoryStore()): Promise<Ledger> =>
  openLedger({
    store,
    stream: 'ledger',
    origin: 'tacit.test/ledger',
    signer: testSigner('log'),
    clock: tickingClock(),
  });

const reserve = (reservation: string, epsilon: string, budgets: BudgetKey[] = [mailBudget]): EntryInput<'reserve'> => ({
  kind: 'reserve',
  reservation,
  run: `run-of-${reservation}`,
  planHash: testPlanHash,
  budgets,
  epsilon,
  delta: '0.000001',
});

const close = (reservation: string, epsilon: string, revealed = epsilon !== '0'): EntryInput<'plan.close'> => ({
  kind: 'plan.close',
  run: `run-of-${reservation}`,
  reservation,
  outcome: 'finished',
  reason: null,
  revealed,
  epsilon,
  delta: revealed ? '0.000001' : '0',
  roundsReleased: revealed ? 1 : 0,
  modelHash: null,
});

async function opened(epsilon = '3'): Promise<{ ledger: Ledger; book: BudgetBook; state(): Promise<BudgetStatus> }> {
  const ledger = await open();
  const book = new BudgetBook(ledger);
  await book.open(opening(epsilon));
  return { ledger, book, state: async () => (await book.status())[0] as BudgetStatus };
}

describe('opening', () => {
  it('takes two approvals by different keys', async () => {
    const book = new BudgetBook(await open());
    await expect(book.open(opening('3', { approvers: ['dpo'] }))).rejects.toMatchObject({ code: 'BUDGET_UNAPPROVED' });
    await expect(book.open(opening('3', { approvers: ['dpo', 'dpo'] }))).rejects.toMatchObject({
      code: 'BUDGET_UNAPPROVED',
    });
    await book.open(opening('3'));
    expect((await book.status())[0]).toMatchObject({ epsilon: 3, spent: 0, left: 3 });
  });

  it('an approval of another document does not count', async () => {
    const book = new BudgetBook(await open());
    const [three, nine] = [opening('3'), opening('9')];
    await expect(book.open({ ...nine, approvals: three.approvals })).rejects.toMatchObject({
      code: 'BUDGET_UNAPPROVED',
    });
  });

  it('only keys of the roster approve, once it names approvers', async () => {
    const ledger = await open();
    const book = new BudgetBook(ledger);
    const approvers = ['dpo', 'ciso'].map((name) => ({ name, publicKey: base64(testSigner(name).publicKey) }));
    await ledger.append({ kind: 'roster.update', rosterHash: testPlanHash, members: null, approvers }, 'roster');
    await expect(book.open(opening('3', { approvers: ['dpo', 'operator'] }))).rejects.toMatchObject({
      code: 'BUDGET_UNAPPROVED',
    });
    await book.open(opening('3', { approvers: ['dpo', 'ciso'] }));
  });

  it('approvers in office decide who joins or leaves them; the first list is the operator’s', async () => {
    const ledger = await open();
    const people = (...names: string[]) =>
      names.map((name) => ({ name, publicKey: base64(testSigner(name).publicKey) }));
    const change = (revision: number, ...names: string[]) => ({ approvers: people(...names), revision });
    const first = change(0, 'dpo', 'ciso');
    await setApprovers(ledger, first, []);
    const grab = change(1, 'operator', 'friend');
    const by = (...names: string[]) => names.map((n) => approveChange(grab, n, testSigner(n)));
    for (const approvals of [[], by('operator', 'friend'), by('dpo'), by('dpo', 'dpo')])
      await expect(setApprovers(ledger, grab, approvals)).rejects.toMatchObject({ code: 'BUDGET_UNAPPROVED' });
    const replayed = first.approvers.map(({ name }) => approveChange({ ...grab, revision: 0 }, name, testSigner(name)));
    await expect(setApprovers(ledger, grab, replayed)).rejects.toMatchObject({ code: 'BUDGET_UNAPPROVED' });
    await setApprovers(ledger, grab, by('dpo', 'ciso'));
    const book = new BudgetBook(ledger);
    await expect(book.open(opening('3', { approvers: ['dpo', 'ciso'] }))).rejects.toMatchObject({
      code: 'BUDGET_UNAPPROVED',
    });
    await book.open(opening('3', { approvers: ['operator', 'friend'] }));
    // Past the rules, as an operator with the key could: verify names the entry.
    const roster = { kind: 'roster.update' as const, rosterHash: rosterHash([]), members: [] };
    const { index } = await ledger.append({ ...roster, approvers: people('operator') }, 'seized');
    await ledger.checkpoint();
    const report = await verifyBundle(await exportBundle(ledger, { vkey: ledger.vkey }));
    expect(report.failures).toMatchObject([{ index, code: 'BUDGET_UNAPPROVED', expected: '2', actual: '0' }]);
  });

  it('a budget re-opened to reset it is refused, and raising keeps what was spent', async () => {
    const { ledger, book, state } = await opened();
    await book.reserve(reserve('a', '2'));
    await ledger.append(release('run-of-a', 1, 'a'), 'r1');
    await book.close(close('a', '2'));
    expect((await book.open(opening('3'))).index).toBe(0); // the same document: a retry, without effect
    await expect(book.open(opening('3.5'))).rejects.toMatchObject({ code: 'BUDGET_STATE' });
    await expect(book.open(opening('3', { revision: 1 }))).rejects.toMatchObject({ code: 'BUDGET_STATE' });
    await book.open(opening('4', { revision: 1 }));
    expect(await state()).toMatchObject({ epsilon: 4, spent: 2, left: 2 });
  });

  it('an old approval cannot be replayed after a lowering', async () => {
    const { book, state } = await opened('3');
    await book.open(opening('5', { revision: 1 }));
    await book.lower(
      { kind: 'budget.lower', budget: mailBudget, epsilon: '1', delta: '0.00001', reason: 'breach elsewhere' },
      'l1',
    );
    expect((await book.open(opening('5', { revision: 1 }))).index).toBe(1);
    expect(await state()).toMatchObject({ epsilon: 1 });
    expect(await book.revision(mailBudget)).toBe(3);
  });

  it('the owner of the data opens its own budget in its own ledger only', async () => {
    const own = { ...opening('3', { approvers: ['site'] }), authority: 'own-data' as const };
    await new BudgetBook(await open(), 'own-data').open(own);
    await expect(new BudgetBook(await open()).open(own)).rejects.toMatchObject({ code: 'BUDGET_UNAPPROVED' });
  });
});

describe('reservations', () => {
  it('overspend is refused before anything leaves, and the refusal is an entry', async () => {
    const { ledger, book, state } = await opened('3');
    await book.reserve(reserve('a', '2'));
    const error = await book.reserve(reserve('b', '1.5')).catch((e) => e);
    expect(error).toMatchObject({ code: 'BUDGET_EXCEEDED', where: 'hospital-a/notes, one record, 2026' });
    expect(error.message).toContain('allowed at most ε 1, δ 0.000009');
    expect((await ledger.entry(ledger.size - 1)).entry).toMatchObject({
      kind: 'refusal',
      by: 'coordinator',
      code: 'BUDGET_EXCEEDED',
      request: { reservation: 'b', epsilon: '1.5', epsilonLeft: '1' },
    });
    expect(await state()).toMatchObject({ reserved: 2, left: 1 });
  });

  it('fills a budget exactly: 0.1 + 0.2 of 0.3', async () => {
    const { book, state } = await opened('0.3');
    await book.reserve(reserve('a', '0.1'));
    await book.reserve(reserve('b', '0.2'));
    expect(await state()).toMatchObject({ left: 0 });
    await expect(book.reserve(reserve('c', '1e-12'))).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' });
  });

  it('delta is a budget as well', async () => {
    const { book } = await opened('100');
    await expect(book.reserve({ ...reserve('a', '1'), delta: '0.0001' })).rejects.toMatchObject({
      code: 'BUDGET_EXCEEDED',
    });
  });

  it('several budgets are held together or not at all', async () => {
    const { book } = await opened('3');
    const other = { ...mailBudget, scope: 'hospital-b/notes' };
    await expect(book.reserve(reserve('a', '1', [mailBudget, other]))).rejects.toMatchObject({
      code: 'BUDGET_UNKNOWN',
    });
    await book.open(opening('0.5', { budget: other }));
    await expect(book.reserve(reserve('a', '1', [mailBudget, other]))).rejects.toMatchObject({
      code: 'BUDGET_EXCEEDED',
    });
    expect((await book.status()).map((s) => s.reserved)).toEqual([0, 0]);
    await book.reserve(reserve('a', '0.5', [mailBudget, other]));
    expect((await book.status()).map((s) => s.reserved)).toEqual([0.5, 0.5]);
  });

  it('asking twice with one id reserves once', async () => {
    const { ledger, book, state } = await opened('3');
    const first = await book.reserve(reserve('a', '2'));
    expect((await book.reserve(reserve('a', '2'))).index).toBe(first.index);
    expect(await state()).toMatchObject({ reserved: 2 });
    await expect(book.reserve(reserve('a', '1'))).rejects.toMatchObject({ code: 'LEDGER_OPERATION_REUSED' });
    expect(ledger.size).toBe(2);
  });

  it('given back when nothing was revealed', async () => {
    const { ledger, book, state } = await opened('3');
    await book.reserve(reserve('a', '2'));
    await ledger.append(
      {
        kind: 'round.abort',
        run: 'run-of-a',
        round: 1,
        stage: 0,
        attempt: 1,
        reservation: 'a',
        sid: null,
        code: 'X',
        reason: 'y',
        revealed: false,
      },
      'abort',
    );
    await book.close(close('a', '0'));
    expect(await state()).toMatchObject({ spent: 0, reserved: 0, left: 3 });
    await expect(book.append(release('run-of-a', 1, 'a'), 'late')).rejects.toMatchObject({
      code: 'RESERVATION_CLOSED',
    });
  });

  it('never given back after a release, nor after an abort in which shares left', async () => {
    const { ledger, book, state } = await opened('3');
    await book.reserve(reserve('a', '1'));
    await ledger.append(release('run-of-a', 1, 'a'), 'r');
    await expect(book.close(close('a', '0'))).rejects.toMatchObject({ code: 'RESERVATION_SPENT' });
    await expect(book.close(close('a', '0.5'))).rejects.toMatchObject({ code: 'BUDGET_STATE' });
    await book.close(close('a', '1'));
    await book.reserve(reserve('b', '1'));
    await ledger.append(
      {
        kind: 'round.abort',
        run: 'run-of-b',
        round: 1,
        stage: 0,
        attempt: 1,
        reservation: 'b',
        sid: null,
        code: 'X',
        reason: 'y',
        revealed: true,
      },
      'abort',
    );
    await expect(book.close(close('b', '0'))).rejects.toMatchObject({ code: 'RESERVATION_SPENT' });
    await book.close(close('b', '1'));
    expect(await state()).toMatchObject({ spent: 2, left: 1 });
  });

  it('a leaked reservation counts as spent, also after a restart', async () => {
    const store = createMemoryStore();
    const book = new BudgetBook(await open(store));
    await book.open(opening('3'));
    await book.reserve(reserve('leaked', '2'));
    const restarted = new BudgetBook(await open(store));
    await expect(restarted.reserve(reserve('b', '2'))).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' });
  });

  it('what a run has released so far shows as spent while it goes on', async () => {
    const { ledger, book, state } = await opened('3');
    await book.reserve(reserve('a', '2'));
    await ledger.append({ ...release('run-of-a', 1, 'a'), epsilonSoFar: '0.75' }, 'r1');
    expect(await state()).toMatchObject({ spent: 0.75, reserved: 1.25, left: 1 });
    await ledger.append({ ...release('run-of-a', 2, 'a'), epsilonSoFar: '1.25' }, 'r2');
    await book.close(close('a', '2'));
    expect(await state()).toMatchObject({ spent: 2, reserved: 0, left: 1 });
    expect((await state()).timeline.map((t) => [t.kind, t.epsilon])).toEqual([
      ['budget.open', 0],
      ['reserve', 0],
      ['round.release', 0.75],
      ['round.release', 1.25],
      ['plan.close', 2],
    ]);
  });

  it('lowering takes effect at once, below what is spent as well', async () => {
    const { book, state } = await opened('3');
    await book.reserve(reserve('a', '2'));
    await book.lower(
      { kind: 'budget.lower', budget: mailBudget, epsilon: '1', delta: '0.00001', reason: 'new policy' },
      'l',
    );
    expect(await state()).toMatchObject({ epsilon: 1, reserved: 2, left: 0 });
    await expect(book.reserve(reserve('b', '0.1'))).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' });
    await expect(
      book.lower({ kind: 'budget.lower', budget: mailBudget, epsilon: '2', delta: '0.00001', reason: 'up' }, 'l2'),
    ).rejects.toMatchObject({ code: 'BUDGET_STATE' });
  });

  it('two coordinators on one ledger cannot both have the last of it', async () => {
    const store = createMemoryStore();
    const first = new BudgetBook(await open(store));
    await first.open(opening('3'));
    const second = new BudgetBook(await open(store));
    const outcomes = await Promise.allSettled([first.reserve(reserve('a', '2')), second.reserve(reserve('b', '2'))]);
    expect(outcomes.map((o) => o.status).sort()).toEqual(['fulfilled', 'rejected']);
  });
});
