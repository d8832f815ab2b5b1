import { expect, test, vi } from 'vitest';
import type { OwnRun } from '../../shared/participant/own-account.ts';
import { ownAccount } from '../../shared/participant/own-account.ts';
import { OWN_LEDGER_STREAM } from '../../shared/participant/own-ledger.ts';
import { type Incoming, openTransport, type ParticipantTransport } from '../../shared/participant/transport.ts';
import type { Consent, Welcome } from '../../shared/protocol/messages.ts';
import { createTestRun, openTestBudget, type TestParticipant, until } from '../support/federation.ts';
import { freshSites } from '../support/fresh-sites.ts';

/** A coordinator that lies to one participant about the run. The lies are told on the way: all else is real. */
const seam = vi.hoisted(() => ({ off: new Set<string>() }));
vi.mock('../../shared/participant/round-terms.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off);
});

const { start, takePart } = freshSites();

/** One more challenge after the first consent, and another run in the answer to the hello. */
async function offeredAnotherRun(): Promise<{ consents: Consent[]; runs: string[]; victim: TestParticipant }> {
  const site = await start();
  await openTestBudget(site.coordinator, 3);
  const agreed = await createTestRun(site.coordinator, { rounds: 1 });
  const stages =
    '  - { algorithm: none, train: head, rounds: 1, longestUpdate: 1, local: { epochs: 1, batchSize: 8, optimizer: sgd, learningRate: 0.1 }, server: { optimizer: sgd, learningRate: 1 } }';
  const other = await createTestRun(site.coordinator, {
    stages,
    privacy: '{ unit: none, because: a test, scope: mail }',
  });
  const consents: Consent[] = [];
  let welcome: Welcome | undefined;
  let lie: Welcome | undefined;
  const overhearing = (url: string): ParticipantTransport => {
    const inner = openTransport(url);
    return {
      ...inner,
      async request(name, payload) {
        const answer = await inner.request(name, payload);
        if (name === 'hello') lie = answer as Welcome;
        return answer;
      },
    };
  };
  takePart({ link: other.link, index: 6, transport: overhearing });
  await until(() => lie !== undefined, 'the other run’s welcome');
  const lying = (url: string): ParticipantTransport => {
    const inner = openTransport(url);
    let tell: ((incoming: Incoming) => void) | undefined;
    let challenge: Incoming | undefined;
    return {
      ...inner,
      open(listener) {
        tell = listener;
        inner.open((incoming) => {
          if (incoming.kind === 'message' && incoming.name === 'challenge') challenge = incoming;
          listener(incoming);
        });
      },
      async request(name, payload) {
        if (name === 'hello' && welcome !== undefined) {
          const { run, terms, proof, reservation } = lie as Welcome;
          return { ...welcome, run, terms, proof, reservation };
        }
        if (name === 'consent') {
          consents.push(payload as Consent);
          if (consents.length > 1) return null;
        }
        const answer = await inner.request(name, payload);
        if (name === 'hello') welcome = answer as Welcome;
        if (name === 'countersign') tell?.(challenge as Incoming);
        return answer;
      },
    };
  };
  const victim = takePart({ link: agreed.link, index: 1, transport: lying });
  await until(
    () => consents.length > 1 || victim.events.some(({ kind }) => kind === 'failed'),
    'the victim to consent or to leave',
  );
  return { consents, runs: [agreed.id, other.id], victim };
}

test('another run after a reconnection, which promises nothing — caught: this site was asked about the first one only', async () => {
  const { consents, runs, victim } = await offeredAnotherRun();
  expect(consents.map(({ run }) => run)).toEqual(runs.slice(0, 1));
  expect(victim.events.at(-1)).toMatchObject({ kind: 'failed', code: 'PLAN_CLAIM_FALSE' });
});

test('another run after a reconnection — without that check the site consents to a plan that nobody asked it about', async () => {
  seam.off.add('checkSameRun');
  try {
    const { consents, runs } = await offeredAnotherRun();
    expect(consents.map(({ run }) => run)).toEqual(runs);
  } finally {
    seam.off.clear();
  }
});

test('a coordinator that says nothing was released gets no budget back from a site that answered', async () => {
  const site = await start();
  await openTestBudget(site.coordinator, 3);
  const run = await createTestRun(site.coordinator, { rounds: 1 });
  const denying = (url: string): ParticipantTransport => {
    const inner = openTransport(url);
    return {
      ...inner,
      open: (listener) =>
        inner.open((incoming) => {
          if (incoming.kind !== 'message' || incoming.name !== 'runEnded') return listener(incoming);
          const payload = structuredClone(incoming.payload) as { run: { stages: { roundsDone: number }[] } };
          for (const stage of payload.run.stages) stage.roundsDone = 0;
          listener({ ...incoming, payload });
        }),
    };
  };
  for (const index of [1, 2, 3, 4]) takePart({ link: run.link, index });
  const victim = takePart({ link: run.link, index: 5, transport: denying });
  await victim.ended;
  expect(victim.events.map(({ kind }) => kind)).toContain('finished');
  const entries = (await victim.store.read(OWN_LEDGER_STREAM, 0, 100)).map(({ text }) => JSON.parse(text));
  const [own] = ownAccount(entries).runs as [OwnRun];
  expect(own).toMatchObject({ run: run.id, state: 'charged', roundsReleased: 0 });
});
