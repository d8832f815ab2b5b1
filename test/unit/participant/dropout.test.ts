import { expect, test } from 'vitest';
import { readModelFiles } from '../../../coordinator/models/model-files.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { parseYaml } from '../../../shared/node/documents.ts';
import { onnxCpuEngine } from '../../../shared/node/engines.ts';
import { localUpdate } from '../../../shared/participant/local-update.ts';
import { commitTerms } from '../../../shared/protocol/commitment.ts';
import { labelsOf, parsePlan } from '../../../shared/protocol/plan.ts';
import { openStageModel, openTokenizer } from '../../../shared/protocol/stage-model.ts';
import { encodeRecords } from '../../../shared/text/encode.ts';
import { madeUpMail, planText } from '../../support/federation.ts';

/** A client's change after one local epoch. */
async function changeOf(dropout: number, seed: string): Promise<Float32Array> {
  const local = `{ epochs: 1, batchSize: 8, optimizer: sgd, learningRate: 0.1, dropout: ${dropout} }`;
  const stages = `  - { algorithm: none, train: { layers: [1] }, rounds: 1, local: ${local}, server: { optimizer: sgd, learningRate: 1 } }`;
  const privacy = '{ unit: none, because: the texts are made up, scope: mail }';
  const plan = parsePlan(parseYaml(planText({ stages, privacy }), 'plan'), 'plan');
  const files = await readModelFiles('models/tacit-mini');
  const rng = seededRng('weights');
  const model = await openStageModel({ engine: onnxCpuEngine(), files, overlays: [], plan, stage: 0, rng });
  const examples = encodeRecords(madeUpMail(8, 0), openTokenizer(files), { labels: labelsOf(plan), maxTokens: 32 });
  const terms = commitTerms(plan, [], [model.bert.trainableLayout]);
  const { signal } = new AbortController();
  const { sum } = await localUpdate({ ...model, terms, stage: 0, examples, rng: seededRng(seed), signal });
  await model.bert.dispose();
  return sum;
}

test('a stage with dropout drops values in local steps, by masks that the participant draws', async () => {
  const [without, dropped, again, other] = [
    await changeOf(0, 'a'),
    await changeOf(0.3, 'a'),
    await changeOf(0.3, 'a'),
    await changeOf(0.3, 'b'),
  ];
  const length = Math.sqrt(without.reduce((sum, x) => sum + x * x, 0));
  const apart = (a: Float32Array, b: Float32Array): number =>
    Math.sqrt(a.reduce((sum, x, i) => sum + (x - (b[i] as number)) ** 2, 0)) / length;
  expect(apart(dropped, again)).toBeLessThan(1e-4);
  expect(apart(without, dropped)).toBeGreaterThan(0.01);
  expect(apart(dropped, other)).toBeGreaterThan(0.01);
});
