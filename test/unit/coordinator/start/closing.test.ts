import { describe, expect, it } from 'vitest';
import { closingLines, finishedEvent, type Outcome } from '../../../../coordinator/start/closing.ts';
import type { GuaranteeView, RoundView } from '../../../../shared/protocol/views.ts';
import { round, run } from '../http/fixture.ts';

const guarantee = (adversary: string, epsilon: number): GuaranteeView => ({
  epsilon,
  delta: 1e-5,
  unit: 'record',
  neighbouringRelation: 'add or remove one record',
  mechanism: '',
  accountant: '',
  adversary,
  assumptions: [],
  odds: `right at most ${Math.round(100 / (1 + Math.exp(-epsilon)))} times in 100`,
});
const score = (accuracy: number) => ({ accuracy, f1: accuracy - 0.1, loss: 1 - accuracy, metrics: {} });
const rounds: RoundView[] = [
  { ...round, round: 1, phase: 'aborted', reason: 'DEADLINE_PASSED: too slow', seconds: { training: 2 } },
  { ...round, round: 1, attempt: 2, seconds: { training: 1.5, unmask: 0.25 } },
  { ...round, round: 2, seconds: { training: 0.5 } },
];
const outcome: Outcome = {
  run: {
    ...run,
    guarantees: [
      guarantee('coordinator', 2.5),
      guarantee('coordinator + 1 colluder', 3),
      guarantee('everyone but you', 5.5),
    ],
    model: 'abc',
  },
  rounds,
  test: {
    examples: 506,
    before: score(0.75),
    stages: [{ stage: 0, train: 'head', round: 2, ...score(0.93) }],
    after: score(0.93),
  },
  withoutPrivacy: undefined,
  budgetEpsilon: 3,
  seconds: 119.96,
  ledger: { entries: 84, root: 'ab'.repeat(32), verified: true },
};

describe('the end of tacit start', () => {
  it('is one JSON object with exactly these fields', () => {
    expect(finishedEvent(outcome)).toEqual({
      event: 'finished',
      accuracy: { before: 0.75, after: 0.93 },
      f1: { before: 0.65, after: expect.closeTo(0.83) },
      epsilon: 3,
      delta: 1e-5,
      rounds: 2,
      seconds: 120,
      bytesUpPerClient: 3 * 1024,
      ledger: { entries: 84, root: 'ab'.repeat(32), verified: true },
    });
  });

  it('is a table for people: scores, epsilon for each adversary, cost', () => {
    const text = closingLines(outcome).join('\n');
    expect(text).toMatch(/before training +75\.0 % +0\.650/);
    expect(text).toMatch(/stage 1: head \(round 2\) +93\.0 %/);
    expect(text).not.toContain('without privacy');
    expect(text).toMatch(/coordinator +2\.50 of 3\.00 +1e-5 +record/);
    expect(text).toMatch(/everyone but you +5\.50/);
    expect(text).toContain('In odds, against coordinator + 1 colluder: right at most 95 times in 100.');
    expect(text).toContain('rounds   2 released, 1 aborted in 2 min 0 s: training 4.0 s, unmasking 250 ms');
    expect(text).toContain('bytes    3.07 kB up, 6.14 kB down a client');
    expect(text).toMatch(/ledger {3}84 entries, root (ab){32}, verified$/m);
  });

  it('says what privacy cost where that was measured, and when the ledger does not hold', () => {
    const text = closingLines({
      ...outcome,
      withoutPrivacy: score(0.95),
      ledger: { ...outcome.ledger, verified: false },
    }).join('\n');
    expect(text).toMatch(/the same without privacy noise +95\.0 %/);
    expect(text).toContain('NOT VERIFIED');
  });
});
