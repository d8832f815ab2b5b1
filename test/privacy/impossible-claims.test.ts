import { expect, it } from 'vitest';
import { base64 } from '../../shared/core/bytes.ts';
import { BudgetBook } from '../../shared/ledger/budget-book.ts';
import { openLedger } from '../../shared/ledger/log.ts';
import { Agreement } from '../../shared/participant/agreement.ts';
import { ParticipantMemory } from '../../shared/participant/memory.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import { opening, testPlanHash, testSigner, tickingClock } from '../support/ledger.ts';

const log = () =>
  openLedger({
    store: createMemoryStore(),
    stream: 'ledger',
    origin: 'tacit.test/ledger',
    signer: testSigner('log'),
    clock: tickingClock(),
  });

it('a plan that changes after consent', async () => {
  const store = createMemoryStore();
  const consent = {
    run: 'r',
    planHash: testPlanHash,
    policyHash: testPlanHash,
    records: 1,
    units: 1,
    engine: 'none',
    at: new Date(0).toISOString(),
    signature: base64(new Uint8Array(64)),
  };
  await (await ParticipantMemory.open(store)).record({ type: 'consented', run: 'r', planHash: testPlanHash, consent });
  // Also after a restart: the memory is read again. Nothing may be asked, prepared or sent.
  const never = (): never => expect.unreachable();
  const agreement = new Agreement({
    memory: await ParticipantMemory.open(store),
    site: { answer: never, clock: tickingClock(), engineName: 'none', signer: testSigner('site') },
    own: undefined as never,
    request: never,
    check: never,
    emit: never,
  });
  const welcome = { run: { id: 'r' }, terms: { planHash: 'f'.repeat(64) } } as never;
  await expect(agreement.reach(welcome, never)).rejects.toMatchObject({
    code: 'PLAN_CLAIM_FALSE',
    message: expect.stringContaining('the plan changed after this site consented to it'),
  });
});

it('a budget re-opened to reset it', async () => {
  const book = new BudgetBook(await log());
  await book.open(opening('3'));
  await expect(book.open(opening('3.5'))).rejects.toMatchObject({ code: 'BUDGET_STATE' });
});
