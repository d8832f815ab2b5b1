import { describe, expect, it } from 'vitest';
import { exportBundle } from '../../../shared/ledger/bundle.ts';
import type { EntryInput } from '../../../shared/ledger/entries.ts';
import { openLedger } from '../../../shared/ledger/log.ts';
import { verifyBundle } from '../../../shared/ledger/verify.ts';
import { createMemoryStore } from '../../../shared/store/memory.ts';
import { testPlanHash, testSigner, tickingClock } from '../../support/ledger.ts';

const measured: EntryInput<'audit'> = {
  kind: 'audit',
  planHash: null,
  method: 'one-run',
  statistic: 'sum of products',
  tests: 1,
  canaries: 512,
  guesses: 100,
  correct: 70,
  rounds: 2000,
  samplingProbability: '0.01',
  noiseMultiplier: '1.1',
  l2Clip: '0.1',
  confidence: '0.95',
  delta: '0.00001',
  epsilonLowerBound: '0.4',
  epsilonClaimed: '2.1',
  unit: 'record',
  adversary: 'coordinator',
  holds: true,
  library: 'tacit 0.1.0',
};

/** What verify says of a signed ledger with this entry. */
async function verified(entry: EntryInput<'audit'>) {
  const ledger = await openLedger({
    store: createMemoryStore(),
    stream: 'ledger',
    origin: 'tacit.test/ledger',
    signer: testSigner('log'),
    clock: tickingClock(),
  });
  const { index } = await ledger.append(entry, 'audit/1');
  await ledger.checkpoint();
  return {
    index,
    report: await verifyBundle(await exportBundle(ledger, { vkey: ledger.vkey }), { vkeys: [ledger.vkey] }),
  };
}

describe('the entry of an empirical audit', () => {
  it('is appended, and verified with its finding for the reader', async () => {
    const { report } = await verified(measured);
    expect(report).toMatchObject({ verdict: 'verified', size: 1, failures: [] });
    expect(JSON.stringify(report.notes)).toContain(
      'an audit measured ε ≥ 0.4 (confidence 0.95) against a claim of 2.1',
    );
  });

  it('says REFUTED where the bound is above the claim', async () => {
    const { report } = await verified({ ...measured, epsilonLowerBound: '2.2', holds: false });
    expect(report.verdict).toBe('verified');
    expect(JSON.stringify(report.notes)).toContain('REFUTED');
  });

  it.each([
    ['a refutation recorded as holding', '2.2', true, 'false', 'true'],
    ['a claim that stands recorded as refuted', '0.4', false, 'true', 'false'],
  ])('%s fails with the entry and both values', async (_, epsilonLowerBound, holds, expected, actual) => {
    const { report, index } = await verified({ ...measured, planHash: testPlanHash, epsilonLowerBound, holds });
    expect(report.failures).toMatchObject([{ index, code: 'AUDIT', expected, actual }]);
  });
});
