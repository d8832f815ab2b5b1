import { describe, expect, test } from 'vitest';
import { checkAgainstTerms, checkSameRun } from '../../../shared/participant/round-terms.ts';
import type { Welcome } from '../../../shared/protocol/messages.ts';
import type { SecaggConfig } from '../../../shared/secagg/messages.ts';
import { ConsentedRounds } from '../../support/consented-rounds.ts';
import { names } from '../../support/secagg-session.ts';

describe('a session is one that was consented to, term by term', () => {
  const rounds = new ConsentedRounds(6, 2);
  const honest = rounds.config({});
  const rows: readonly [string, Partial<SecaggConfig>][] = [
    ['another run', { run: 'run-2' }],
    ['a round too many', { round: 3, stage: 1 }],
    ['a stage before its turn', { round: 1, stage: 1 }],
    ['a stage after its turn', { round: 2, stage: 0 }],
    ['a stage that there is not', { stage: 2 }],
    ['less noise', { committedSigma: honest.committedSigma * (1 - 1e-9) }],
    ['more noise', { committedSigma: honest.committedSigma * (1 + 1e-9) }],
    ['a smaller cohort', { minimumCohort: 3 }],
    ['fewer colluders', { colluders: 0 }],
    ['a larger cohort', { cohort: names(7) }],
    ['a smaller ring', { ringBits: 20 }],
    ['another scale', { scale: honest.scale * 2 }],
    ['another clip', { l2Clip: honest.l2Clip * 2 }],
    ['another dimension', { dimension: honest.dimension + 1 }],
    ['another layout', { layoutSha256: 'ab'.repeat(32) }],
  ];

  test.each(rows)('%s', (_, change) => {
    const config = { ...honest, ...change };
    expect(() => checkAgainstTerms(config, 'run-1', rounds.terms)).toThrow(
      expect.objectContaining({ code: 'PLAN_CLAIM_FALSE' }),
    );
  });

  test('each stage in its turn', () => {
    checkAgainstTerms(honest, 'run-1', rounds.terms);
    checkAgainstTerms(rounds.config({ round: 2, stage: 1 }), 'run-1', rounds.terms);
  });
});

test('a reconnection leads to the same run and the same plan', () => {
  const welcome = (id: string, planHash: string) => ({ run: { id }, terms: { planHash } }) as Welcome;
  checkSameRun(undefined, welcome('a', '1'));
  checkSameRun(welcome('a', '1'), welcome('a', '1'));
  for (const other of [welcome('b', '1'), welcome('a', '2')])
    expect(() => checkSameRun(welcome('a', '1'), other)).toThrow(expect.objectContaining({ code: 'PLAN_CLAIM_FALSE' }));
});
