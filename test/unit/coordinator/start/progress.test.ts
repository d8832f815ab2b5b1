import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CoordinatorService } from '../../../../coordinator/service.ts';
import { followRun } from '../../../../coordinator/start/progress.ts';
import type { Terminal } from '../../../../shared/node/command-line.ts';
import type { Plan } from '../../../../shared/protocol/plan.ts';
import type { CoordinatorEvent, RunView } from '../../../../shared/protocol/views.ts';
import { type Fixture, round, run, startFixture } from '../http/fixture.ts';

const plan = {
  secureAggregation: { colluders: 1 },
  privacy: { scope: 'mail', unit: 'record', period: '2026', delta: 1e-5 },
} as Plan;

let f: Fixture;
let view: RunView;
beforeEach(async () => {
  f = await startFixture();
  view = { ...run, rounds: 20, evaluations: [] };
});
afterEach(() => f.stop());

/** What is written about `events`, with the fixture's ledger and a budget of which 1.84 is spent. */
async function written(
  events: readonly CoordinatorEvent[],
  live = false,
): Promise<{ lines: string[]; statuses: string[]; objects: object[] }> {
  const lines: string[] = [];
  const statuses: string[] = [];
  const objects: object[] = [];
  const terminal: Terminal = {
    json: false,
    live,
    say: (l) => void lines.push(l),
    status: (l) => void statuses.push(l),
    emit: (o) => void objects.push(o as object),
  };
  const { index } = await f.ledger.append({ kind: 'incident', code: 'TEST', what: 'an entry', detail: {} }, 'op');
  const timeline = [
    { index: index - 1, at: '', kind: 'round.release', epsilon: 1.72, note: '' },
    { index, at: '', kind: 'round.release', epsilon: 1.84, note: '' },
  ];
  const budget = {
    scope: 'mail',
    unit: 'record',
    period: '2026',
    epsilon: 4,
    delta: 1e-5,
    spent: 1.84,
    reserved: 0,
    left: 2.16,
    guarantee: null,
    timeline,
  };
  let listener: (event: CoordinatorEvent) => void = () => undefined;
  const service: Pick<CoordinatorService, 'ledger' | 'run' | 'budgets' | 'subscribe'> = {
    ledger: f.ledger,
    run: () => view,
    budgets: () => [budget],
    subscribe: (l) => {
      listener = l;
      return () => undefined;
    },
  };
  followRun(service as CoordinatorService, run.id, plan, terminal);
  for (const event of events) listener(event);
  return { lines, statuses, objects };
}

const done: CoordinatorEvent = {
  kind: 'round',
  run: run.id,
  round: { ...round, ledgerIndex: 0, funnel: { ...round.funnel, uploaded: 4, survived: 4 } },
};

describe('progress of a run', () => {
  it('is three lines a round, once', async () => {
    const { lines, objects } = await written([{ ...done, round: { ...done.round, phase: 'merge' } }, done, done]);
    expect(lines).toEqual([
      '[round 3/20] cohort    5 of 5 available, threshold 4',
      '[round 3/20] updates   4 received, 1 dropped (recovered), 0 rejected',
      expect.stringMatching(
        /^\[round 3\/20\] budget {4}eps 1\.72 -> 1\.84 of 4\.00 \(delta 1e-5, unit: record\) {3}ledger #0 [0-9a-f]{4}\.\.[0-9a-f]{2}$/,
      ),
    ]);
    expect(objects).toHaveLength(3);
    expect(objects[1]).toMatchObject({ event: 'round', run: run.id, round: { phase: 'done' } });
  });

  it('tells evaluations with what they changed, and why a round was aborted', async () => {
    const evaluation = { round: 0, stage: 0, loss: 0.412, accuracy: 0.8, f1: 0.7, metrics: {}, examples: 10 };
    view = { ...view, evaluations: [evaluation] };
    const aborted: CoordinatorEvent = { ...done, round: { ...done.round, phase: 'aborted', reason: null } };
    const next = {
      ...view,
      evaluations: [evaluation, { ...evaluation, round: 3, loss: 0.398, accuracy: 0.871, f1: 0.75 }],
    };
    const { lines } = await written([
      { kind: 'run', run: view },
      aborted,
      { ...aborted, round: { ...aborted.round, reason: 'DEADLINE_PASSED: too slow' } },
      { kind: 'run', run: next },
      { kind: 'log', at: '', level: 'warn', text: 'careful' },
    ]);
    expect(lines).toEqual([
      '[round 0/20] aggregate loss 0.412   accuracy 0.800   f1 0.700',
      '[round 3/20] cohort    5 of 5 available, threshold 4',
      '[round 3/20] aborted   DEADLINE_PASSED: too slow',
      '[round 3/20] aggregate loss 0.412 -> 0.398   accuracy 0.871   f1 0.750',
      'warning: careful',
    ]);
  });

  it('draws a bar instead where someone watches', async () => {
    const { lines, statuses } = await written([done], true);
    expect(lines).toEqual([]);
    expect(statuses).toEqual([expect.stringMatching(/^\[####·{20}\] round 3\/20 upload, about .* left$/)]);
  });
});
