import { describe, expect, test } from 'vitest';
import type { Entry } from '../../../shared/ledger/entries.ts';
import { encodeEntry } from '../../../shared/ledger/entries.ts';
import { Findings } from '../../../shared/ledger/verify-findings.ts';
import { verifySum } from '../../../shared/ledger/verify-sums.ts';
import { planCommit, release } from '../../support/ledger.ts';

type Stage = Entry<'plan.commit'>['stages'][number];
type Release = Entry<'round.release'>;
const at = '2026-03-01T09:00:00.000Z';

/** Codes of what is wrong with a release of a plan whose one stage is changed so. Both are entries that the ledger takes. */
function codes(stage: Partial<Stage>, said: Partial<Release>): string[] {
  const plan = planCommit('r1');
  const committed = encodeEntry({ ...plan, stages: [{ ...(plan.stages[0] as Stage), ...stage }] }, at).entry;
  const released = encodeEntry({ ...release('r1', 1, 'res-1'), ...said }, at).entry;
  const findings = new Findings({
    origin: 'o',
    files: new Map(),
    authority: 'two-person',
    leafHash: () => new Uint8Array(32),
  });
  verifySum(committed, released, findings);
  return findings.failures.map((f) => f.code);
}

describe('the noise of sums that were noised in local steps, or not at all', () => {
  const local = { algorithm: 'local-dp-sgd', releasesPerRound: 2 };
  const none = { algorithm: 'none', noiseMultiplier: null, mechanism: null };
  // Four honest clients of the smallest cohort, of σ = 4 each.
  const least = { sigma: '8', unremoved: 0 };

  test.each([
    ['local-dp-sgd', local],
    ['none', none],
  ])('%s: the least that goes under masks, and no less', (_, stage) => {
    expect(codes(stage, { noise: least })).toEqual([]);
    expect(codes(stage, { noise: { ...least, sigma: '7.99' } })).toEqual(['NOISE_SMALL']);
  });
});

describe('the total of weighted clients', () => {
  const weighting = { maximumExamples: 400, minimumTotal: 300 };
  const noise = { sigma: '140000', unremoved: 0 };
  // σ / scale · 400 / (C / 4)
  const sigma = String((140_000 / 65_536) * 1600);
  const weight = { total: '900.5', sigma, divisor: '900.5' };

  test('is told with its noise, and divides the sum', () => {
    expect(codes({ weighting }, { noise, weight })).toEqual([]);
    expect(codes({ weighting }, { noise, weight: { total: '-7', sigma, divisor: '300' } })).toEqual([]);
  });

  test.each([
    ['less noise than the sum has', { ...weight, sigma: '1' }],
    ['a divisor that is not the total', { ...weight, divisor: '900' }],
    ['a divisor below the minimum', { total: '20', sigma, divisor: '20' }],
  ])('%s is found', (_, wrong) => {
    expect(codes({ weighting }, { noise, weight: wrong })).toEqual(['WEIGHT_WRONG']);
  });

  test('is told where the plan weights clients, and nowhere else', () => {
    expect(codes({ weighting }, { noise })).toEqual(['WEIGHT_WRONG']);
    expect(codes({}, { noise, weight })).toEqual(['WEIGHT_WRONG']);
  });
});
