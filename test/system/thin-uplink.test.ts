import { afterEach, expect, test } from 'vitest';
import { systemRng } from '../../shared/core/rng.ts';
import { exportBundle } from '../../shared/ledger/bundle.ts';
import { verifyBundle } from '../../shared/ledger/verify.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { localTrainer } from '../../shared/participant/local-trainer.ts';
import type { TrainerFactory } from '../../shared/participant/trainer.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import { bytesToFloat32 } from '../../shared/tensor/float32.ts';
import { createTestRun, openTestBudget, type PlanOptions, type TestCoordinator, until } from '../support/federation.ts';
import { freshSites } from '../support/fresh-sites.ts';

let site: TestCoordinator;
const { participants, start, takePart } = freshSites();
/** What every client's trainer handed over, round by round. */
const sums: Float32Array[][] = [[], [], [], [], []];

afterEach(async () => {
  for (const list of sums) list.length = 0;
});

function watched(index: number): TrainerFactory {
  const factory = localTrainer({ engine: onnxCpuEngine(), rng: systemRng });
  return async (...args) => {
    const trainer = await factory(...args);
    return {
      update: async (request) => {
        const trained = await trainer.update(request);
        sums[index]?.push(trained.sum.slice());
        return trained;
      },
      dispose: () => trainer.dispose(),
    };
  };
}

/** A run of five over a real wire, to its end; what its ledger says is checked by recomputing it. */
async function federate(plan: PlanOptions, unit: string) {
  site = await start();
  await openTestBudget(site.coordinator, 3, unit);
  const { id, link } = await createTestRun(site.coordinator, plan);
  for (const index of [1, 2, 3, 4, 5]) takePart({ link, index, createTrainer: watched(index - 1) });
  await until(() => ['finished', 'failed'].includes(site.coordinator.run(id)?.state ?? ''), 'the end');
  for (const p of participants) expect(p.events.filter((e) => e.kind === 'failed' || e.kind === 'refused')).toEqual([]);
  expect(site.coordinator.run(id)).toMatchObject({ state: 'finished', reason: null });
  const { ledger } = site.coordinator;
  const files = await exportBundle(ledger, { vkey: ledger.vkey });
  const report = await verifyBundle(files, { vkeys: [ledger.vkey], recompute: recomputeCertificate });
  expect(report.failures).toEqual([]);
  const entries = (await ledger.entries(0)).map((r) => r.entry);
  const [commit] = entries.filter((e) => e.kind === 'plan.commit');
  const releases = entries.filter((e) => e.kind === 'round.release');
  return { id, mechanism: commit?.stages[0]?.mechanism, releases };
}

/** Σ of what the clients handed over, and of what the coordinator made of it when it took steps of `rate` times the sum. */
async function difference(
  releases: readonly { previousModelHash: string; modelHash: string }[],
  rate: number,
): Promise<number[]> {
  const weights = async (sha256: string): Promise<Float32Array> => {
    const bytes = await site.coordinator.store.getBlob(sha256);
    return bytesToFloat32(bytes, bytes.length / 4);
  };
  const off: number[] = [];
  for (const [round, { previousModelHash, modelHash }] of releases.entries()) {
    const [before, after] = [await weights(previousModelHash), await weights(modelHash)];
    for (const [i, w] of after.entries()) {
      const truth = sums.reduce((sum, client) => sum + (client[round]?.[i] as number), 0);
      off.push((w - (before[i] as number)) / rate - truth);
    }
  }
  return off;
}

const rootMeanSquare = (x: readonly number[]): number => Math.sqrt(x.reduce((sum, y) => sum + y * y, 0) / x.length);

test('20 bits, dp-fedsgd on LoRA: 2.5 bytes a number, the true sum comes out with the noise that the ledger says', async () => {
  const lora = '{ lora: { rank: 4, alpha: 8, targets: [query, value] } }';
  const stages = `  - { algorithm: dp-fedsgd, train: ${lora}, rounds: 3, samplingProbability: 1, l2Clip: 0.2, server: { optimizer: sgd, learningRate: 1 } }`;
  const { id, mechanism, releases } = await federate({ stages, ringBits: 20 }, 'record');
  const dimension = mechanism?.dimension as number;
  expect(mechanism?.ringBits).toBe(20);
  expect(site.coordinator.rounds(id).map((r) => r.bytesUpPerClient)).toEqual(Array(3).fill(2.5 * dimension));
  for (const { events } of participants)
    expect(events.flatMap((e) => (e.kind === 'uploaded' ? [e.bytes] : []))).toEqual(Array(3).fill(2.5 * dimension));
  // w − sum/(150·C).
  const noise = await difference(releases, -1 / (150 * 0.2));
  const claimed = Number(releases[0]?.noise?.sigma) / Number(mechanism?.scale);
  expect(dimension).toBeGreaterThan(4096);
  // Standard error of σ: 0.5 %. Rounding adds at most √5/2 ring units.
  expect(Math.abs(rootMeanSquare(noise) / claimed - 1)).toBeLessThan(0.03);
});

test('16 bits, dp-fedavg: 2 bytes a number', async () => {
  const local = '{ epochs: 1, batchSize: 16, optimizer: sgd, learningRate: 0.1 }';
  const stages = `  - { algorithm: dp-fedavg, train: head, rounds: 2, l2Clip: 0.5, local: ${local}, server: { optimizer: sgd, learningRate: 1 } }`;
  const privacy = '{ unit: client, epsilon: 3, delta: 1e-5, scope: mail, period: "2026" }';
  const { id, mechanism, releases } = await federate({ stages, privacy, ringBits: 16 }, 'client');
  expect(site.coordinator.rounds(id)[0]?.bytesUpPerClient).toBe(2 * (mechanism?.dimension as number));
  const noise = await difference(releases, 1 / 5);
  const claimed = Number(releases[0]?.noise?.sigma) / Number(mechanism?.scale);
  expect(Math.abs(rootMeanSquare(noise) / claimed - 1)).toBeLessThan(0.15);
});

test('a ring that cannot hold the sum is refused before anybody is asked, with what would be allowed', async () => {
  site = await start();
  await openTestBudget(site.coordinator, 3);
  const stages =
    '  - { algorithm: dp-fedsgd, train: all, rounds: 30, samplingProbability: 1, l2Clip: 0.2, server: { optimizer: sgd, learningRate: 1 } }';
  await expect(createTestRun(site.coordinator, { stages, ringBits: 16 })).rejects.toMatchObject({
    code: 'PRIVACY_RING_WRAPS',
    fix: expect.stringContaining('ringBits 20'),
  });
});
