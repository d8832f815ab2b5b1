import { expect, test } from 'vitest';
import { readModelFiles } from '../../coordinator/model-files.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import { createTestRun, openTestBudget, startParticipant, startTestCoordinator, until } from '../support/federation.ts';

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
