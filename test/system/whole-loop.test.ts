import { beforeAll, expect, test } from 'vitest';
import { exportBundle } from '../../shared/ledger/bundle.ts';
import { peekCheckpoint } from '../../shared/ledger/checkpoint.ts';
import { ALGORITHM, formatVkey, verifierKey } from '../../shared/ledger/keys.ts';
import { LedgerReader } from '../../shared/ledger/reader.ts';
import { verifyBundle } from '../../shared/ledger/verify.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import { createTestRun, startParticipant, until } from '../support/federation.ts';
import { sharedSite } from '../support/shared-site.ts';

const site = sharedSite(4);
const { participants } = site;
let run: { id: string; link: string };

beforeAll(async () => {
  run = await createTestRun(site.coordinator, { rounds: 3, loraRounds: 1 });
  for (const index of [1, 2, 3, 4, 5]) participants.push(startParticipant({ link: run.link, index }));
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  await Promise.all(participants.map((p) => p.ended));
}, 300_000);

test('a run of two stages ends with a published model', () => {
  const view = site.coordinator.run(run.id);
  expect(view?.state).toBe('finished');
  expect(view?.stages.map((s) => s.roundsDone)).toEqual([3, 1]);
  expect(site.coordinator.models().map((m) => m.promoted)).toEqual([true]);
});

test('every round was summed over all five', () => {
  const rounds = site.coordinator.rounds(run.id);
  expect(rounds.map((r) => r.phase)).toEqual(['done', 'done', 'done', 'done']);
  for (const round of rounds)
    expect(round.funnel).toEqual({
      invited: 5,
      advertised: 5,
      shared: 5,
      uploaded: 5,
      survived: 5,
      unmasked: expect.any(Number),
    });
});

test('every participant verified the ledger after every round', () => {
  for (const { events } of participants) {
    expect(events.filter((e) => e.kind === 'failed')).toEqual([]);
    expect(events.filter((e) => e.kind === 'roundEnded').map((e) => e.outcome)).toEqual(Array(4).fill('released'));
    expect(events.filter((e) => e.kind === 'ledger').every((e) => e.verified)).toBe(true);
    expect(events.at(-2)?.kind).toBe('finished');
  }
});

test('the budget is charged once, whole, and shown', () => {
  const [budget] = site.coordinator.budgets();
  expect(budget).toMatchObject({
    scope: 'mail',
    unit: 'record',
    period: '2026',
    epsilon: 4,
    spent: 3,
    reserved: 0,
    left: 1,
  });
});

test('the last checkpoint carries the cosignatures of all participants', async () => {
  const { ledger } = site.coordinator;
  const files = await exportBundle(ledger, { vkey: ledger.vkey });
  const report = await verifyBundle(files, { vkeys: [ledger.vkey], recompute: recomputeCertificate });
  expect(report.failures).toEqual([]);
  expect(report.witnesses).toHaveLength(5);
});

test('the published model predicts over REST', async () => {
  const response = await fetch(`${site.url}/api/v1/models/current/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ texts: ['win money number 3', 'project status number 4'] }),
  });
  const { predictions } = (await response.json()) as {
    predictions: { label: string; scores: Record<string, number> }[];
  };
  expect(predictions).toHaveLength(2);
  for (const { scores } of predictions)
    expect((scores['ham'] as number) + (scores['spam'] as number)).toBeCloseTo(1, 6);
});

test('the test report says what each stage brought', async () => {
  const report = await site.coordinator.evaluateTest(run.id);
  expect(report.examples).toBe(40);
  expect(report.stages.map((s) => s.train)).toEqual(['head', 'lora r2 on query, value']);
});

test('a second run that would overspend is refused before anything is sent, and the refusal is an entry', async () => {
  await expect(createTestRun(site.coordinator, {})).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' });
  const entries = await site.coordinator.ledger.entries(0);
  expect(entries.at(-1)?.entry).toMatchObject({ kind: 'refusal', by: 'coordinator', code: 'BUDGET_EXCEEDED' });
});

test('every participant countersigned the reservation that it is charged with', async () => {
  const entries = (await site.coordinator.ledger.entries(0)).map((r) => r.entry);
  const seen = entries.flatMap((e) => (e.kind === 'countersignature' ? [e.clientId] : []));
  const consented = entries.flatMap((e) => (e.kind === 'consent' ? [e.clientId] : []));
  expect(seen.sort()).toEqual(consented.sort());
  expect(seen).toHaveLength(5);
});

test('each site keeps its own ledger of the same charge, and it verifies by itself', async () => {
  for (const { store } of participants) {
    const origin = peekCheckpoint(
      JSON.parse((await store.read('own-ledger/checkpoints'))[0]?.text as string).note,
    ).origin;
    const reader = await LedgerReader.openReader({ store, stream: 'own-ledger', origin });
    const kinds = (await reader.entries(0)).map((r) => r.entry.kind);
    expect(kinds).toEqual(['budget.open', 'reserve', 'charge', 'plan.close']);
    const vkey = formatVkey(
      verifierKey(
        origin,
        ALGORITHM.ed25519,
        participants.find((p) => p.store === store)?.signer.publicKey as Uint8Array,
      ),
    );
    const report = await verifyBundle(await exportBundle(reader, { vkey }), { vkeys: [vkey], authority: 'own-data' });
    expect(report.failures).toEqual([]);
    expect(report.budgets).toMatchObject([{ epsilon: 100, spent: 3, reserved: 0 }]);
  }
});
