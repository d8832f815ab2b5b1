import { unzipSync } from 'fflate';
import { beforeAll, expect, test } from 'vitest';
import { accountOf, accountZip } from '../../client-browser/worker/account.ts';
import { base64 } from '../../shared/core/bytes.ts';
import { type Signer, signerFromSeed } from '../../shared/core/signing.ts';
import { exportBundle } from '../../shared/ledger/bundle.ts';
import { clientLogName } from '../../shared/ledger/client-name.ts';
import { formatVkey } from '../../shared/ledger/keys.ts';
import { openLedger } from '../../shared/ledger/log.ts';
import { verifyBundle } from '../../shared/ledger/verify.ts';
import { witnessKey } from '../../shared/ledger/witness.ts';
import { OWN_LEDGER_STREAM } from '../../shared/participant/own-ledger.ts';
import { reconcile } from '../../shared/participant/reconcile.ts';
import { clientIdOf } from '../../shared/protocol/messages.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import type { Store } from '../../shared/store/port.ts';
import { createTestRun, startParticipant, type TestParticipant, until } from '../support/federation.ts';
import { sharedSite } from '../support/shared-site.ts';

const store = createMemoryStore();
const site = sharedSite(6, store);
const { participants } = site;
let run: { readonly id: string; readonly link: string };

beforeAll(async () => {
  run = await createTestRun(site.coordinator, { rounds: 5 });
});

const join = (index: number, more: { store?: Store; signer?: Signer; link?: string; organisation?: string } = {}) => {
  const started = startParticipant({ link: run.link, index, ...more });
  participants.push(started);
  return started;
};
const ownLedger = (of: Store, signer: Signer, id: string) =>
  openLedger({ store: of, stream: OWN_LEDGER_STREAM, origin: clientLogName(id), signer, clock: Date });
const failure = (p: TestParticipant): unknown => p.events.find((e) => e.kind === 'failed');
const kindsOf = async (kind: string) =>
  (await site.coordinator.ledger.entries(0)).map(({ entry }) => entry).filter((entry) => entry.kind === kind);

test('a site changes its key in the middle of a run: the same participant goes on, and everybody can follow', async () => {
  const [first, ...others] = [1, 2, 3, 4, 5].map((index) => join(index)) as [TestParticipant, ...TestParticipant[]];
  await until(() => site.coordinator.rounds(run.id).some((r) => r.phase === 'done'), 'the first round');
  first.stop();
  await first.ended;
  const id = clientIdOf(first.signer.publicKey);
  const next = signerFromSeed(new Uint8Array(32).fill(77));
  await (await ownLedger(first.store, first.signer, id)).rotateKey(next, 'new laptop');

  const late = join(1, { store: first.store, signer: first.signer });
  await late.ended;
  expect(failure(late)).toMatchObject({ code: 'LEDGER_KEY_UNKNOWN' });

  const back = join(1, { store: first.store, signer: next });
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  for (const p of [back, ...others]) await p.ended;
  expect(failure(back)).toBeUndefined();
  expect(back.events.filter((e) => e.kind === 'roundEnded' && e.outcome === 'released').length).toBeGreaterThan(0);

  expect(await kindsOf('key.rotate')).toMatchObject([
    { change: { role: 'log', name: clientLogName(id), newPublicKey: base64(next.publicKey), reason: 'new laptop' } },
  ]);
  const rosters = (await kindsOf('roster.update')) as unknown as {
    members: { clientId: string; publicKey: string }[];
  }[];
  expect(rosters.at(-1)?.members.find((m) => m.clientId === id)?.publicKey).toBe(base64(next.publicKey));
  await site.coordinator.ledger.checkpoint();
  const { ledger } = site.coordinator;
  const files = await exportBundle(ledger, { vkey: ledger.vkey });
  // The auditor knows the site by its first key.
  const known = formatVkey(witnessKey(clientLogName(id), first.signer.publicKey));
  const report = await verifyBundle(files, { vkeys: [ledger.vkey, known], recompute: recomputeCertificate });
  expect(report.failures).toEqual([]);
  expect(report.witnesses.find((w) => w.name === clientLogName(id))).toMatchObject({ established: true });

  const own = await ownLedger(first.store, next, id);
  const sideOf = async (of: typeof own) => ({
    origin: of.origin,
    size: of.size,
    entries: await of.entries(0),
    root: (size: number) => of.root(size),
  });
  expect(reconcile(await sideOf(ledger), await sideOf(own))).toMatchObject({ clientId: id, partings: [] });
  const bundle = new Map(Object.entries(unzipSync(await accountZip(first.store))));
  const alone = await verifyBundle(bundle, { vkeys: [own.vkey] });
  expect(alone).toMatchObject({ verdict: 'verified', origin: clientLogName(id), failures: [] });
  expect(alone.notes.join()).toContain('its owner alone opens budgets');
  expect(await accountOf(first.store)).toMatchObject({
    runs: [{ run: run.id, epsilon: '3', state: 'charged', roundsReleased: 5, seen: { origin: ledger.origin } }],
  });
}, 240_000);

test('who only says so gets nothing: the old key, a stranger with a chain of their own, a chain that is cut', async () => {
  const signers = [10, 11, 12].map((n) => signerFromSeed(new Uint8Array(32).fill(n)));
  const [, old, other] = signers as [Signer, Signer, Signer];
  // Without its memory the old key is just a key, and the coordinator has seen it hand over.
  const forgotten = join(1, { signer: old });
  await forgotten.ended;
  expect(failure(forgotten)).toMatchObject({ code: 'KEY_RETIRED' });
  // The thief of the old key hands over to a key of their own.
  const thief = createMemoryStore();
  const stolen = signerFromSeed(new Uint8Array(32).fill(88));
  await (await ownLedger(thief, old, clientIdOf(old.publicKey))).rotateKey(stolen, 'mine now');
  const theft = join(1, { store: thief, signer: stolen });
  await theft.ended;
  expect(failure(theft)).toMatchObject({ code: 'KEY_RETIRED' });
  // A stranger claims another's name for a log of their own.
  const claim = createMemoryStore();
  const victim = clientIdOf(other.publicKey);
  await (await ownLedger(claim, stolen, victim)).rotateKey(signerFromSeed(new Uint8Array(32).fill(89)), 'also mine');
  const claimed = join(2, { store: claim, signer: signerFromSeed(new Uint8Array(32).fill(89)) });
  await claimed.ended;
  expect(failure(claimed)).toMatchObject({ code: 'SIGNATURE_INVALID' });
  expect(await kindsOf('key.rotate')).toHaveLength(1);
});

test('a lost key: an invitation that names the client ends it, in the ledger, and gives its seat away once', async () => {
  const again = await createTestRun(site.coordinator, { rounds: 2 });
  const lost = join(2, { link: again.link });
  await until(() => lost.events.some((e) => e.kind === 'consented'), 'the consent');
  const clientId = clientIdOf(lost.signer.publicKey);
  const expiresAt = Date.now() + 3_600_000;
  const stranger = join(2, { link: again.link, signer: signerFromSeed(new Uint8Array(32).fill(90)) });
  await stranger.ended;
  expect(failure(stranger)).toMatchObject({ code: 'SEAT_TAKEN' });
  const replaces = { clientId, reason: 'the laptop was stolen' };
  await expect(
    site.coordinator.invite(again.id, { uses: 1, expiresAt, replaces: { ...replaces, clientId: 'nobody' } }),
  ).rejects.toMatchObject({ code: 'NOT_FOUND' });
  const { code: link } = await site.coordinator.invite(again.id, { uses: 1, expiresAt, replaces });
  await lost.ended;
  expect(failure(lost)).toMatchObject({ code: 'RUN_CLOSED' });
  expect(await kindsOf('key.revoke')).toMatchObject([
    { clientId, publicKey: base64(lost.signer.publicKey), reason: 'the laptop was stolen', organisation: 'org-2' },
  ]);
  const thief = join(2, { link: again.link, signer: lost.signer });
  await thief.ended;
  expect(failure(thief)).toMatchObject({ code: 'KEY_RETIRED' });
  const heir = join(2, { link, signer: signerFromSeed(new Uint8Array(32).fill(91)) });
  const second = join(2, { link, signer: signerFromSeed(new Uint8Array(32).fill(92)) });
  await until(() => heir.events.some((e) => e.kind === 'consented') || failure(heir) !== undefined, 'the heir');
  await until(() => failure(second) !== undefined || second.events.some((e) => e.kind === 'consented'), 'the second');
  expect([failure(heir), failure(second)].filter((f) => f === undefined)).toHaveLength(1);
  for (const index of [3, 4, 5, 6]) join(index, { link: again.link });
  await until(() => site.coordinator.run(again.id)?.state === 'finished', 'the run to finish');
  const { ledger } = site.coordinator;
  await ledger.checkpoint();
  const files = await exportBundle(ledger, { vkey: ledger.vkey });
  const report = await verifyBundle(files, { vkeys: [ledger.vkey], recompute: recomputeCertificate });
  expect(report.failures).toEqual([]);
  expect(report.notes.join()).toContain('by the coordinator’s word alone: the laptop was stolen');
}, 240_000);
