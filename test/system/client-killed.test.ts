import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from 'vitest';
import type { ParticipantEvent } from '../../shared/participant/events.ts';
import { createTestRun, jsonLines, madeUpMail, openTestBudget, type TestCoordinator } from '../support/federation.ts';
import { freshSites } from '../support/fresh-sites.ts';

const bin = new URL('../../bin/tacit.js', import.meta.url).pathname;
const { participants, start, takePart } = freshSites();
const children: ChildProcess[] = [];
let site: TestCoordinator;

afterEach(async () => {
  for (const c of children) c.kill('SIGKILL');
});

type Told = Omit<ParticipantEvent, 'kind'> & { readonly event: ParticipantEvent['kind']; readonly round?: number };

/** `tacit client` over the same state each time. Ends by itself, or is killed as soon as it begins to train in this round. */
async function client(link: string, dir: string, killInRound?: number): Promise<readonly Told[]> {
  const args = ['client', '--join', link, '--data', join(dir, 'mail.jsonl'), '--policy', join(dir, 'policy.yaml')];
  const more = ['--organisation', 'A client that is killed', '--state', join(dir, 'state'), '--json'];
  const child = spawn(process.execPath, [bin, ...args, ...more], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const told: Told[] = [];
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    const event = JSON.parse(line) as Told & { readonly phase?: string };
    told.push(event);
    if (event.event === 'phase' && event.phase === 'training' && event.round === killInRound) child.kill('SIGKILL');
  });
  const signal = await new Promise((resolve) => child.on('close', (_, by) => resolve(by)));
  expect(signal).toBe(killInRound === undefined ? null : 'SIGKILL');
  return told;
}

test('a client killed while it trains goes on as the same participant, and no round has it twice', async () => {
  site = await start();
  await openTestBudget(site.coordinator, 7);
  const run = await createTestRun(site.coordinator, { rounds: 5, training: '20s' });
  for (const index of [1, 2, 3, 4]) takePart({ link: run.link, index });
  const dir = mkdtempSync(join(tmpdir(), 'tacit-killed-'));
  writeFileSync(join(dir, 'mail.jsonl'), jsonLines(madeUpMail(30, 7000)));
  writeFileSync(
    join(dir, 'policy.yaml'),
    'maximumEpsilon: 10\nmaximumDelta: 1e-3\nmaximumEpsilonPerPeriod: 100\nminimumCohort: 4\nminimumColluders: 1\nmaximumRounds: 1000\nscopes: [mail]\n',
  );
  const before = await client(run.link, dir, 2);
  expect(before.some((e) => e.event === 'uploaded' && e.round === 2)).toBe(false);
  const after = await client(run.link, dir);
  await Promise.all(participants.map((p) => p.ended));
  expect(after.some((e) => e.event === 'finished')).toBe(true);
  const view = site.coordinator.run(run.id);
  expect(view).toMatchObject({ state: 'finished', round: 5 });
  expect(view?.participants).toHaveLength(5);
  // Without it the run waits for its fifth participant or goes on with four; never is one of them in a sum twice.
  const released = site.coordinator.rounds(run.id).filter((r) => r.phase === 'done');
  expect(released.map((r) => r.round)).toEqual([1, 2, 3, 4, 5]);
  for (const { funnel } of released) expect(funnel.uploaded).toBeLessThanOrEqual(5);
  const uploads = [...before, ...after].filter((e) => e.event === 'uploaded').map((e) => e.round);
  expect(new Set(uploads).size).toBe(uploads.length);
  expect(uploads.length).toBeGreaterThanOrEqual(4);
  expect(released.at(-1)?.funnel.survived).toBe(5);
}, 240_000);
