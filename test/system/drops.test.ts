import { expect, test } from 'vitest';
import { openTransport, type ParticipantTransport } from '../../shared/participant/transport.ts';
import type { SecaggFrame } from '../../shared/protocol/messages.ts';
import { createTestRun, openTestBudget, type TestCoordinator, until } from '../support/federation.ts';
import { freshSites } from '../support/fresh-sites.ts';

let site: TestCoordinator;
const { participants, start, takePart } = freshSites();

/** What the last client was about to send when it went. `upload`: after its first chunk was asked for. */
const stages = ['advertise', 'shares', 'upload', 'masked', 'consistent', 'unmask'] as const;
/** Uploaded before it went: it is in the sum all the same. */
const inTheSum: readonly string[] = ['consistent', 'unmask'];

test.each(stages)('a client that vanishes before "%s" does not stop the round', async (stage) => {
  const round = await runWithOneLost(stage, 'vanishes', '20s');
  expect(round).toMatchObject({ phase: 'done', attempt: 1 });
  expect(round?.funnel.survived).toBe(inTheSum.includes(stage) ? 5 : 4);
});

test.each(['advertise', 'masked', 'unmask'] as const)(
  'a client that freezes before "%s" costs its deadline, no more',
  async (stage) => {
    const round = await runWithOneLost(stage, 'freezes', '2s', '3s');
    expect(round).toMatchObject({ phase: 'done', attempt: 1 });
  },
);

test('two of five gone leave too few: the round aborts with a reason, nothing is charged for it, and the next one runs', async () => {
  site = await start();
  await openTestBudget(site.coordinator, 3);
  const run = await createTestRun(site.coordinator, { rounds: 1, phase: '5s' });
  for (const index of [1, 2, 3, 4, 5]) {
    const transport = index > 3 ? losing('shares', 'vanishes', () => participants[index - 1]?.stop()) : openTransport;
    takePart({ link: run.link, index, transport });
  }
  await until(() => site.coordinator.rounds(run.id).some((r) => r.phase === 'aborted'), 'the round to abort');
  expect(site.coordinator.rounds(run.id)[0]).toMatchObject({
    attempt: 1,
    reason: expect.stringContaining('SECAGG_COHORT_TOO_SMALL'),
  });
  for (const index of [6, 7]) takePart({ link: run.link, index });
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  const rounds = site.coordinator.rounds(run.id);
  expect(rounds.map((r) => [r.round, r.attempt, r.phase])).toEqual([
    [1, 1, 'aborted'],
    [1, 2, 'done'],
  ]);
});

async function runWithOneLost(
  stage: (typeof stages)[number],
  how: 'vanishes' | 'freezes',
  phase: string,
  training = '60s',
) {
  site = await start();
  await openTestBudget(site.coordinator, 3);
  const run = await createTestRun(site.coordinator, { rounds: 1, phase, training });
  for (const index of [1, 2, 3, 4]) takePart({ link: run.link, index });
  takePart({ link: run.link, index: 5, transport: losing(stage, how, () => participants[4]?.stop()) });
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  for (const p of participants.slice(0, 4)) await p.ended;
  for (const { events } of participants.slice(0, 4)) {
    expect(events.filter((e) => e.kind === 'roundEnded').map((e) => e.outcome)).toEqual(['released']);
  }
  const rounds = site.coordinator.rounds(run.id);
  expect(rounds).toHaveLength(1);
  return rounds[0];
}

/** A wire that goes dead when its client is about to send one message. */
function losing(stage: string, how: 'vanishes' | 'freezes', stop: () => void) {
  return (url: string): ParticipantTransport => {
    const inner = openTransport(url);
    const lose = <T>(): Promise<T> => {
      if (how === 'vanishes') stop();
      return new Promise<T>(() => undefined);
    };
    return {
      ...inner,
      request: (name, payload) =>
        name === 'secagg' && (payload as SecaggFrame).name === stage ? lose() : inner.request(name, payload),
      putChunk: (...args) => (stage === 'upload' ? lose() : inner.putChunk(...args)),
    };
  };
}
