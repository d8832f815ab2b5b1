import { expect, test } from 'vitest';
import { signerFromSeed } from '../../shared/core/signing.ts';
import { exportBundle } from '../../shared/ledger/bundle.ts';
import { openLedger } from '../../shared/ledger/log.ts';
import { verifyBundle } from '../../shared/ledger/verify.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import {
  createTestRun,
  openTestBudget,
  startParticipant,
  startTestCoordinator,
  type TestParticipant,
  until,
} from '../support/federation.ts';

test('the coordinator changes its key in the middle of a run: clients that pinned the old one go on, and verify follows', async () => {
  const store = createMemoryStore();
  const before = await startTestCoordinator({ store, seed: 1 });
  const { vkey } = before.coordinator.ledger;
  await openTestBudget(before.coordinator, 3);
  const run = await createTestRun(before.coordinator, { rounds: 4 });
  const participants: TestParticipant[] = [1, 2, 3, 4, 5].map((index) => startParticipant({ link: run.link, index }));
  await until(() => before.coordinator.rounds(run.id).some((r) => r.phase === 'done'), 'the first round');
  await before.close();

  const options = { store, stream: 'ledger', origin: 'test.example/tacit', clock: Date };
  const ledger = await openLedger({ ...options, signer: signerFromSeed(new Uint8Array(32).fill(1)) });
  await ledger.rotateKey(signerFromSeed(new Uint8Array(32).fill(2)), 'yearly');

  const port = Number(new URL(before.url).port);
  const after = await startTestCoordinator({ store, seed: 2, port });
  try {
    await until(() => after.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
    for (const p of participants) await p.ended;
    for (const { events } of participants)
      expect(events.filter((e) => e.kind === 'roundEnded' && e.outcome === 'released').length).toBeGreaterThan(2);
    await after.coordinator.ledger.checkpoint();
    const files = await exportBundle(after.coordinator.ledger, { vkey: after.coordinator.ledger.vkey });
    const report = await verifyBundle(files, { vkeys: [vkey], recompute: recomputeCertificate });
    expect(report.failures).toEqual([]);
    expect(report.verdict).toBe('verified');
    expect(report.witnesses.length).toBe(5);
  } finally {
    for (const p of participants) p.stop();
    await after.close();
  }
});
