import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { readModelFiles } from '../../coordinator/models/model-files.ts';
import { readModelDirectory, writeModelDirectory } from '../../shared/bert/directory.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { localTrainer } from '../../shared/participant/local-trainer.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import { readWeights } from '../../shared/tensor/safetensors.ts';
import { createTestRun, openTestBudget, startParticipant, startTestCoordinator, until } from '../support/federation.ts';

// Whole federations: as long as `until` waits.
vi.setConfig({ testTimeout: 240_000 });

const from = { fresh: { layers: 1, hiddenSize: 16, heads: 2, intermediateSize: 32 }, vocabulary: 'models/tacit-mini' };

test('a run can start from a new model, all of whose weights train, and publishes a Hugging Face directory', async () => {
  const site = await startTestCoordinator({ store: createMemoryStore() });
  await openTestBudget(site.coordinator, 3);
  const run = await createTestRun(site.coordinator, {
    rounds: 1,
    from: JSON.stringify(from),
    head: 'pooler',
    train: 'all',
  });
  const participants = [1, 2, 3, 4, 5].map((index) => startParticipant({ link: run.link, index }));
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  for (const p of participants) p.stop();
  const view = site.coordinator.run(run.id);
  expect(view?.stages[0]?.updateElements).toBeGreaterThan(8192 * 16);
  const names = site.coordinator.models()[0]?.files.map((f) => f.name);
  expect(names).toEqual(expect.arrayContaining(['config.json', 'model.safetensors', 'tokenizer.json']));
  await site.close();
});

test('a new model for a mean head is refused, for want of public whitening', async () => {
  const site = await startTestCoordinator({ store: createMemoryStore() });
  await expect(createTestRun(site.coordinator, { from: JSON.stringify(from) })).rejects.toMatchObject({
    code: 'PLAN_CLAIM_FALSE',
  });
  await site.close();
});

test('two new models are two draws', async () => {
  const [a, b] = [await readModelFiles(from), await readModelFiles(from)];
  expect(a.get('model.safetensors')).not.toEqual(b.get('model.safetensors'));
  expect(a.get('config.json')).toEqual(b.get('config.json'));
});

test('a pooler that the checkpoint lacks is drawn once, sent to everybody and published', async () => {
  const store = createMemoryStore();
  const site = await startTestCoordinator({ store });
  await openTestBudget(site.coordinator, 3);
  const from = await mkdtemp(join(tmpdir(), 'tacit-no-pooler-'));
  const known = readModelDirectory(await readModelFiles('models/tacit-mini'));
  const weights = new Map([...known.weights].filter(([name]) => !name.includes('pooler')));
  for (const [name, bytes] of writeModelDirectory({ ...known, weights })) await writeFile(join(from, name), bytes);
  const run = await createTestRun(site.coordinator, { rounds: 1, from, head: 'pooler' });
  const overlays: (readonly string[])[] = [];
  const createTrainer = localTrainer({ engine: onnxCpuEngine(), rng: systemRng });
  const participants = [1, 2, 3, 4, 5].map((index) =>
    startParticipant({
      link: run.link,
      index,
      createTrainer: async (...given) => {
        const trainer = await createTrainer(...given);
        return {
          update: (request) => {
            overlays.push(request.overlays);
            return trainer.update(request);
          },
          dispose: () => trainer.dispose(),
        };
      },
    }),
  );
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  for (const p of participants) p.stop();
  const [sent] = overlays[0] as readonly string[];
  expect(overlays).toEqual(Array(5).fill([sent]));
  const drawn = readWeights(await store.getBlob(sent as string), 'overlay');
  expect([...drawn.keys()].sort()).toEqual(['bert.pooler.dense.bias', 'bert.pooler.dense.weight']);
  const published = readWeights(await site.coordinator.modelFile('current', 'model.safetensors'), 'published');
  for (const [name, { data }] of drawn) expect(published.get(name)?.data).toEqual(data);
  await rm(from, { recursive: true });
  await site.close();
});
