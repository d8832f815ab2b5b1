import { expect, test, vi } from 'vitest';
import type { ParticipantHub } from '../../coordinator/realtime/gateway.ts';
import { TacitError } from '../../shared/core/errors.ts';
import type { TrainerFactory } from '../../shared/participant/trainer.ts';
import { createTestRun, openPolicy, openTestBudget, type TestCoordinator, until } from '../support/federation.ts';
import { freshSites } from '../support/fresh-sites.ts';

// Whole federations: as long as `until` waits.
vi.setConfig({ testTimeout: 240_000 });

let site: TestCoordinator;
const { participants, start, takePart } = freshSites();

/** Its engine breaks down as soon as it is to train. */
const broken: TrainerFactory = async () => ({
  update: () => Promise.reject(new Error('out of memory')),
  dispose: async () => undefined,
});
/** At no time of the day. */
const closed = { ...openPolicy, hours: { from: '00:00', to: '00:00' } };

test('a round does not wait for those who cannot train, and the log says why', async () => {
  site = await start();
  await openTestBudget(site.coordinator, 3);
  const lines: string[] = [];
  site.coordinator.subscribe((event) => event.kind === 'log' && lines.push(event.text));
  // Its deadline is an hour away: only the message can have ended the phase.
  const run = await createTestRun(site.coordinator, { rounds: 2, training: '1h', minimum: 6 });
  for (const index of [1, 2, 3, 4]) takePart({ link: run.link, index });
  takePart({ link: run.link, index: 5, createTrainer: broken });
  takePart({ link: run.link, index: 6, answer: async () => ({ policy: closed, records: records() }) });
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  const rounds = site.coordinator.rounds(run.id);
  expect(rounds.map((r) => [r.phase, r.attempt, r.funnel.survived])).toEqual([
    ['done', 1, 4],
    ['done', 1, 4],
  ]);
  expect(lines).toContain('org-5 sits round 1 out: OUT_OF_MEMORY');
  expect(lines).toContain('org-6 sits round 1 out: OUTSIDE_HOURS');
});

test('an answer that came after the others had finished the round is no reason to be absent from the next', async () => {
  const late = vi.fn();
  const said: string[] = [];
  site = await start({
    between: (hub) => {
      const secagg: ParticipantHub['secagg'] = async (clientId, frame) => {
        said.push(`${frame.round} ${frame.name}`);
        await hub.secagg(clientId, frame);
        if (frame.name !== 'unmask' || frame.round !== 1) return;
        late();
        throw new TacitError('ROUND_CLOSED', 'round 1.1 is not open', { where: frame.name });
      };
      return new Proxy(hub, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name);
          if (name === 'secagg') return secagg;
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    },
  });
  await openTestBudget(site.coordinator, 3);
  const lines: string[] = [];
  site.coordinator.subscribe((event) => event.kind === 'log' && lines.push(event.text));
  const run = await createTestRun(site.coordinator, { rounds: 2, join: '30s' });
  for (const index of [1, 2, 3, 4, 5]) takePart({ link: run.link, index });
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  expect(late).toHaveBeenCalled();
  // Everybody is invited once, and answers once.
  expect(said.filter((message) => message === '2 advertise')).toHaveLength(5);
  expect(lines.filter((line) => line.includes('sits'))).toEqual([]);
  expect(site.coordinator.rounds(run.id)).toMatchObject([{ phase: 'done' }, { attempt: 1, funnel: { survived: 5 } }]);
  for (const { events } of participants)
    expect(events).toContainEqual(expect.objectContaining({ kind: 'roundEnded', round: 1, outcome: 'released' }));
});

test('with one of the fewest gone for good the run says what it waits for, and goes on when somebody joins', async () => {
  site = await start();
  await openTestBudget(site.coordinator, 3);
  const run = await createTestRun(site.coordinator, { rounds: 6, join: '10m' });
  for (const index of [1, 2, 3, 4, 5]) takePart({ link: run.link, index });
  await until(() => site.coordinator.rounds(run.id)[0]?.phase === 'done', 'the first round');
  participants[4]?.stop();
  await until(() => site.coordinator.run(run.id)?.state === 'waiting', 'the run to wait');
  expect(site.coordinator.run(run.id)?.reason).toMatch(/^4 of 5 participants can take part; .* 1 more .* ends at 20/);
  takePart({ link: run.link, index: 6 });
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  expect(site.coordinator.run(run.id)?.reason).toBeNull();
});

test('nobody joins: the run fails at the join deadline and its budget is settled', async () => {
  site = await start();
  await openTestBudget(site.coordinator, 3);
  const run = await createTestRun(site.coordinator, { rounds: 1, join: '1s' });
  for (const index of [1, 2, 3, 4]) takePart({ link: run.link, index });
  await until(() => site.coordinator.run(run.id)?.state === 'failed', 'the run to fail');
  expect(site.coordinator.run(run.id)?.reason).toMatch(/COHORT_TOO_SMALL.* of 5 participants/);
  expect(site.coordinator.budgets()).toMatchObject([{ spent: 0, reserved: 0, left: 3 }]);
});

function records() {
  return [{ id: 'a:1', text: 'cheap offer', label: 'spam' }];
}
