import { expect, test, vi } from 'vitest';
import { runEvent } from '../../coordinator/runs/run-events.ts';
import { EventLog } from '../../shared/store/log.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import { bytesToFloat32 } from '../../shared/tensor/float32.ts';
import { readWeights } from '../../shared/tensor/safetensors.ts';
import {
  createTestRun,
  madeUpMail,
  openPolicy,
  startParticipant,
  startTestCoordinator,
  until,
} from '../support/federation.ts';

// Whole federations: as long as `until` waits.
vi.setConfig({ testTimeout: 240_000 });

const LAST = 3;
const ROUNDS = 5;

/** Elementwise mean, in float64. */
function meanOf(vectors: readonly Float32Array[]): number[] {
  const [first] = vectors as [Float32Array];
  return Array.from(first, (_, i) => vectors.reduce((sum, v) => sum + (v[i] as number), 0) / vectors.length);
}

function expectClose(actual: Float32Array, expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const error = actual.reduce((most, x, i) => Math.max(most, Math.abs(x - (expected[i] as number))), 0);
  expect(error).toBeLessThanOrEqual(1e-6 * largest);
}

test('what is evaluated and published is the mean of the last iterates, also over a restart of the coordinator', async () => {
  const store = createMemoryStore();
  let site = await startTestCoordinator({ store });
  // Without noise, so that some round is better than none and is published.
  const local = '{ epochs: 1, batchSize: 8, optimizer: adam, learningRate: 0.05 }';
  const server = `{ optimizer: sgd, learningRate: 1, average: ${LAST} }`;
  const stages = `  - { algorithm: none, train: head, rounds: ${ROUNDS}, local: ${local}, server: ${server} }`;
  const privacy = '{ unit: none, because: the texts are made up, scope: mail }';
  const run = await createTestRun(site.coordinator, { stages, privacy });
  const policy = { ...openPolicy, withoutPrivacy: true };
  const participants = [1, 2, 3, 4, 5].map((index) =>
    startParticipant({
      link: run.link,
      index,
      answer: async () => ({ policy, records: madeUpMail(30, 1000 * index) }),
    }),
  );
  await until(() => site.coordinator.rounds(run.id).filter((r) => r.phase === 'done').length >= 2, 'two rounds');
  await site.close();
  site = await startTestCoordinator({ store, port: Number(new URL(site.url).port) });
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the end');
  for (const p of participants) p.stop();

  const { events } = await EventLog.open(store, `run/${run.id}`, runEvent);
  const models = events.flatMap((e) => (e.type === 'released' ? [e.model] : []));
  const vector = async (sha256: string): Promise<Float32Array> => {
    const bytes = await store.getBlob(sha256);
    return bytesToFloat32(bytes, bytes.length / 4);
  };
  const iterates = await Promise.all(models.map((m) => vector(m.iterate)));
  expect(iterates).toHaveLength(ROUNDS);
  for (const [i, { candidate, iterate }] of models.entries()) {
    expectClose(await vector(candidate), meanOf(iterates.slice(Math.max(0, i + 1 - LAST), i + 1)));
    if (i > 0) expect(candidate).not.toBe(iterate);
  }

  // The published classifier is the candidate of the round that was chosen.
  const { round } = site.coordinator.models()[0] as { readonly round: number };
  const weights = readWeights(await site.coordinator.modelFile('current', 'model.safetensors'), 'published');
  const chosen = round === 0 ? [] : meanOf(iterates.slice(Math.max(0, round - LAST), round));
  expect(round).toBeGreaterThan(0);
  const published = ['classifier.weight', 'classifier.bias'].flatMap((n) => [...(weights.get(n)?.data ?? [])]);
  expectClose(Float32Array.from(published), chosen);
  await site.close();
});
