import { beforeAll, expect, test } from 'vitest';
import { systemRng } from '../../shared/core/rng.ts';
import { signerFromSeed } from '../../shared/core/signing.ts';
import { exportBundle } from '../../shared/ledger/bundle.ts';
import { clientLogName } from '../../shared/ledger/client-name.ts';
import { openLedger } from '../../shared/ledger/log.ts';
import type { LedgerReader } from '../../shared/ledger/reader.ts';
import { verifyBundle } from '../../shared/ledger/verify.ts';
import { openOwnReader } from '../../shared/participant/own-bundle.ts';
import { OWN_LEDGER_STREAM } from '../../shared/participant/own-ledger.ts';
import { reconcile } from '../../shared/participant/reconcile.ts';
import { withdrawFrom } from '../../shared/participant/withdrawal.ts';
import { clientIdOf } from '../../shared/protocol/messages.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import type { Store } from '../../shared/store/port.ts';
import { createTestRun, startParticipant, type TestParticipant, until } from '../support/federation.ts';
import { sharedSite } from '../support/shared-site.ts';

let run: { readonly id: string; readonly link: string };
const store = createMemoryStore();
const site = sharedSite(6, store);
const { participants } = site;

beforeAll(async () => {
  run = await createTestRun(site.coordinator, { rounds: 4, minimum: 6 });
});

/** Longer than an entry takes: it is cut. */
const REASON = `the board decided so, ${'after long talks, '.repeat(100)}`;
const withdraw = ({ store: own, signer }: Pick<TestParticipant, 'store' | 'signer'>, reason = 'the board decided so') =>
  withdrawFrom({
    link: run.link,
    reason,
    store: own,
    signer,
    rng: systemRng,
    clock: Date,
    signal: new AbortController().signal,
  });
/** Only the own ledger, and not the memory, of a site. */
async function copyStream(from: Store, to: Store, stream: string): Promise<void> {
  for (const name of [stream, `${stream}/checkpoints`])
    for (const { seq, opId, text } of await from.read(name, 0)) await to.append(name, seq, { opId, text });
}
const stateOf = (id: string) => site.coordinator.run(run.id)?.participants.find((p) => p.clientId === id)?.state;
const sideOf = async (of: LedgerReader) => ({
  origin: of.origin,
  size: of.size,
  entries: await of.entries(0),
  root: (size: number) => of.root(size),
});

test('a consent is taken back in the middle of a run: signed, in both ledgers, and later rounds are without that site', async () => {
  const all = [1, 2, 3, 4, 5, 6].map((index) => startParticipant({ link: run.link, index }));
  participants.push(...all);
  const leaving = all[5] as TestParticipant;
  const id = clientIdOf(leaving.signer.publicKey);
  await until(() => site.coordinator.rounds(run.id).some((r) => r.phase === 'done'), 'the first round');
  leaving.stop();
  await leaving.ended;
  await expect(withdraw(leaving, ' ')).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
  // It is on disk, and then the account cannot be settled: the next try does that.
  const { append } = leaving.store;
  const full: Store = {
    ...leaving.store,
    append: (stream, ...event) =>
      stream === OWN_LEDGER_STREAM ? Promise.reject(new Error('the disk is full')) : append(stream, ...event),
  };
  await expect(withdraw({ ...leaving, store: full }, REASON)).rejects.toThrow('the disk is full');
  expect(stateOf(id)).not.toBe('withdrawn');
  expect(await withdraw(leaving, REASON)).toEqual({ run: run.id });
  const doneThen = site.coordinator.rounds(run.id).filter((r) => r.phase === 'done').length;
  expect(stateOf(id)).toBe('withdrawn');

  // It comes back as if nothing had been: its own memory stops it before any data is asked for, and nothing more is logged.
  const again = startParticipant({ link: run.link, index: 6, store: leaving.store, signer: leaving.signer });
  participants.push(again);
  await again.ended;
  expect(again.events.find((e) => e.kind === 'refused')).toMatchObject({ code: 'CONSENT_WITHDRAWN', run: run.id });
  expect(again.events.some((e) => e.kind === 'consented' || e.kind === 'trained')).toBe(false);
  // The same under another key: said again word for word, signed anew, and no second entry.
  const next = signerFromSeed(new Uint8Array(32).fill(78));
  const ownLedger = await openLedger({
    store: leaving.store,
    stream: OWN_LEDGER_STREAM,
    origin: clientLogName(id),
    signer: leaving.signer,
    clock: Date,
  });
  await ownLedger.rotateKey(next, 'a new laptop');
  const rekeyed = startParticipant({ link: run.link, index: 6, store: leaving.store, signer: next });
  participants.push(rekeyed);
  await rekeyed.ended;
  expect(rekeyed.events.find((e) => e.kind === 'refused')).toMatchObject({ code: 'CONSENT_WITHDRAWN' });
  // Without its memory, the coordinator does.
  const handedOver = createMemoryStore();
  await copyStream(leaving.store, handedOver, OWN_LEDGER_STREAM);
  const forgetful = startParticipant({ link: run.link, index: 6, store: handedOver, signer: next });
  participants.push(forgetful);
  await forgetful.ended;
  expect(forgetful.events.find((e) => e.kind === 'failed')).toMatchObject({ code: 'CONSENT_WITHDRAWN' });

  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  const { ledger } = site.coordinator;
  const entries = (await ledger.entries(0)).map(({ entry }) => entry);
  const refusals = entries.filter((e) => e.kind === 'refusal');
  expect(refusals).toMatchObject([
    { by: id, run: run.id, code: 'CONSENT_WITHDRAWN', reason: REASON.slice(0, 500), statement: { document: {} } },
  ]);
  // Of rounds that began after it, it is in no roster.
  const at = entries.indexOf(refusals[0] as (typeof entries)[number]);
  const rosters = entries.slice(at).flatMap((e) => (e.kind === 'roster.update' ? [e.members ?? []] : []));
  expect(rosters.length).toBeGreaterThan(0);
  for (const members of rosters) expect(members.map((m) => m.clientId)).not.toContain(id);
  const later = site.coordinator
    .rounds(run.id)
    .filter((r) => r.phase === 'done')
    .slice(doneThen + 1);
  expect(later.length).toBeGreaterThan(0);
  for (const round of later) expect(round.funnel.invited).toBeLessThanOrEqual(5);

  const report = await verifyBundle(await exportBundle(ledger, { vkey: ledger.vkey }), {
    vkeys: [ledger.vkey],
    recompute: recomputeCertificate,
  });
  expect(report.failures).toEqual([]);
  expect(report.notes.join()).toContain(`${id} took its consent back: the board decided so, `);

  const own = (await openOwnReader(leaving.store)) as LedgerReader;
  const ownEntries = (await own.entries(0)).map(({ entry }) => entry);
  expect(ownEntries.filter((e) => e.kind === 'plan.close')).toMatchObject([
    { outcome: 'stopped', reason: `consent withdrawn: ${REASON.slice(0, 500)}`, revealed: true, epsilon: '3' },
  ]);
  expect(reconcile(await sideOf(ledger), await sideOf(own))).toMatchObject({ clientId: id, partings: [] });
}, 240_000);

test('who gave no consent has none to take back, and takes no seat', async () => {
  const before = site.coordinator.run(run.id)?.participants.length;
  const stranger = { store: createMemoryStore(), signer: (participants[0] as TestParticipant).signer };
  await expect(withdraw(stranger)).rejects.toMatchObject({ code: 'CONSENT_REQUIRED' });
  expect(site.coordinator.run(run.id)?.participants.length).toBe(before);
  // Over is over.
  await participants[0]?.ended;
  await expect(withdraw(participants[0] as TestParticipant)).rejects.toMatchObject({ code: 'RUN_CLOSED' });
});
