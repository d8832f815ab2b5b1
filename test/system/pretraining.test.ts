import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { predictLocally } from '../../coordinator/models/local-model.ts';
import { readModelDirectory } from '../../shared/bert/directory.ts';
import { createPretraining } from '../../shared/bert/pretraining.ts';
import { seededRng } from '../../shared/core/rng.ts';
import { exportBundle } from '../../shared/ledger/bundle.ts';
import { verifyBundle } from '../../shared/ledger/verify.ts';
import { readDataFiles } from '../../shared/node/data-files.ts';
import { parseYaml } from '../../shared/node/documents.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import type { Policy } from '../../shared/participant/policy.ts';
import { parsePlan } from '../../shared/protocol/plan.ts';
import { recordColumns } from '../../shared/protocol/plan-columns.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import { openStageModel, openTokenizer } from '../../shared/protocol/stage-model.ts';
import { writeSafetensors } from '../../shared/tensor/safetensors.ts';
import { readExamples } from '../../shared/text/encode.ts';
import type { DataReport } from '../../shared/text/report.ts';
import { pretrainingMetrics } from '../../shared/training/pretraining/measure.ts';
import { readings } from '../../shared/training/pretraining/stretches.ts';
import {
  createTestRun,
  jsonLines,
  openPolicy,
  openTestBudget,
  type PlanOptions,
  planText,
  type TestCoordinator,
  until,
} from '../support/federation.ts';
import { freshSites } from '../support/fresh-sites.ts';

// Whole federations: as long as `until` waits.
vi.setConfig({ testTimeout: 240_000 });

let site: TestCoordinator;
let folder: string;
let paragraphs: readonly string[];
const { participants, start, takePart } = freshSites();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tacit-pretraining-'));
  site = await start();
  paragraphs = await englishOf(join(packageRoot, 'docs', 'adr'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Real text at hand: the paragraphs of this project's decisions. */
async function englishOf(directory: string): Promise<string[]> {
  const files = (await readdir(directory)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')));
  return texts
    .flatMap((text) => text.split(/\n\s*\n/))
    .map((text) => text.replace(/\s+/g, ' ').trim())
    .filter((text) => text.length > 60 && !text.startsWith('|'));
}

/** Every tenth is the coordinator's, the others are the five participants'. */
const heldOut = (): { text: string }[] => paragraphs.filter((_, i) => i % 10 === 0).map((text) => ({ text }));
const ofSite = (index: number): string[] => paragraphs.filter((_, i) => i % 10 !== 0 && i % 5 === index - 1);

interface Federation {
  /** Options, or the text of a plan. */
  readonly plan: PlanOptions | string;
  readonly policy?: Policy;
  /** Default: a text file of paragraphs. */
  readonly fileOf?: (index: number) => { readonly name: string; readonly content: string };
}

async function createRun(plan: PlanOptions | string): Promise<{ readonly id: string; readonly link: string }> {
  const { coordinator } = site;
  if (typeof plan !== 'string') return createTestRun(coordinator, { head: 'none', ...plan }, 10, heldOut);
  const texts = jsonLines(heldOut());
  const { id } = await coordinator.createRun(plan, 'a plan', { validation: texts, test: texts });
  const { code } = await coordinator.invite(id, { uses: 10, expiresAt: Date.now() + 3_600_000 });
  return { id, link: code };
}

async function federate({ plan, policy = openPolicy, fileOf }: Federation) {
  const reports: DataReport[] = [];
  const { id, link } = await createRun(plan);
  for (const index of [1, 2, 3, 4, 5]) {
    const { name, content } = fileOf?.(index) ?? { name: `${index}.txt`, content: ofSite(index).join('\n\n') };
    const file = join(folder, name);
    await writeFile(file, content);
    takePart({
      link,
      index,
      answer: async (_, { terms }) => {
        const { records, report } = await readDataFiles(file, recordColumns(terms.plan));
        reports.push(report);
        return { policy, records };
      },
    });
  }
  await until(() => ['finished', 'failed'].includes(site.coordinator.run(id)?.state ?? ''), 'the end');
  for (const p of participants) expect(p.events.filter((e) => e.kind === 'failed')).toEqual([]);
  const run = site.coordinator.run(id);
  expect(run?.reason).toBeNull();
  const { ledger } = site.coordinator;
  const files = await exportBundle(ledger, { vkey: ledger.vkey });
  const { failures } = await verifyBundle(files, { vkeys: [ledger.vkey], recompute: recomputeCertificate });
  expect(failures).toEqual([]);
  return { run: run as NonNullable<typeof run>, reports };
}

async function published(): Promise<Map<string, Uint8Array>> {
  const [model] = site.coordinator.models();
  const files = new Map<string, Uint8Array>();
  for (const { name } of model?.files ?? []) files.set(name, await site.coordinator.modelFile('current', name));
  return files;
}

const withoutPrivacy = { ...openPolicy, withoutPrivacy: true };
const without = '{ unit: none, because: the texts are public, scope: mail }';
const server = '{ optimizer: sgd, learningRate: 1 }';
const promise = (unit: string, more = '') =>
  `{ unit: ${unit}, ${more}epsilon: 3, delta: 1e-5, scope: mail, period: "2026" }`;

test('none: five sites teach a checkpoint their language; it opens anywhere and fills gaps', async () => {
  const local = '{ epochs: 2, batchSize: 16, optimizer: adamw, learningRate: 0.003 }';
  const { run, reports } = await federate({
    plan: {
      task: '{ kind: pretraining, text: text, textPer: paragraph, nextSentence: true }',
      privacy: without,
      stages: `  - { algorithm: none, train: { layers: [1] }, rounds: 2, local: ${local}, server: ${server} }`,
    },
    policy: withoutPrivacy,
  });
  expect(reports.map((r) => r.kept).sort()).toEqual([1, 2, 3, 4, 5].map((i) => ofSite(i).length).sort());
  expect(reports.every((r) => Object.keys(r.labels).length === 0)).toBe(true);
  const [first] = run.evaluations;
  const last = run.evaluations.at(-1) as NonNullable<typeof first>;
  expect(first).toMatchObject({ round: 0, accuracy: null, f1: null });
  expect(Object.keys(last.metrics)).toEqual([
    'maskedLoss',
    'maskedAccuracy',
    'perplexity',
    'nextSentenceLoss',
    'nextSentenceAccuracy',
  ]);
  expect(last.metrics['maskedLoss']).toBeLessThan((first?.metrics['maskedLoss'] as number) - 1);
  expect(last.metrics['perplexity']).toBeCloseTo(Math.exp(last.metrics['maskedLoss'] as number), 6);

  const files = await published();
  const { config, weights, tokenizer } = readModelDirectory(files);
  expect(config.raw['architectures']).toEqual(['BertForPreTraining']);
  for (const name of ['cls.predictions.transform.dense.weight', 'cls.predictions.bias', 'cls.seq_relationship.weight'])
    expect(weights.has(name)).toBe(true);
  expect(weights.has('cls.predictions.decoder.weight')).toBe(false);
  // What the directory holds is what was measured, with the same masks.
  const shape = { batch: 16, tokens: 32 };
  const bert = await createPretraining({
    engine: onnxCpuEngine(),
    config,
    weights,
    shape: { ...shape, masked: 5 },
    nextSentence: true,
    rng: seededRng('none is drawn'),
  });
  const masking = { share: 0.15, most: 5, wholeWords: true };
  const options = { tokens: 32, nextSentence: true, masking };
  const texts = readings(heldOut(), openTokenizer(tokenizer), options, seededRng('held-out masks'));
  const again = await pretrainingMetrics(bert, readExamples(texts, [...Array(texts.length).keys()]), shape);
  await bert.dispose();
  const best = run.evaluations.reduce((a, b) => (b.loss < a.loss ? b : a));
  expect(again.loss).toBeCloseTo(best.loss, 4);

  const [filled] = await site.coordinator.predict('current', ['the privacy [MASK] is [MASK] spent.']);
  expect(filled?.masks).toHaveLength(2);
  expect(filled?.label.split(' ')).toHaveLength(2);
  expect(Object.keys(filled?.scores ?? {})).toHaveLength(5);
  expect(await predict(['no gap here'])).toMatchObject([
    400,
    { error: { code: 'TOKENIZER_INPUT', fix: expect.stringContaining('[MASK]') } },
  ]);
  for (const [name, bytes] of files) await writeFile(join(folder, name), bytes);
  const [local2] = await predictLocally(folder, ['the privacy [MASK] is [MASK] spent.'], onnxCpuEngine());
  expect(local2?.label).toBe(filled?.label);
  // The next plan starts here: labels this time, with the encoder that has learnt.
  const next = parsePlan(parseYaml(planText({ from: folder }), 'next'), 'next');
  const tuned = await openStageModel({
    engine: onnxCpuEngine(),
    files,
    overlays: [],
    plan: next,
    stage: 0,
    rng: seededRng('next'),
  });
  expect([tuned.kind, tuned.bert.trainableLayout.length]).toEqual(['labelled', 2 * (512 + 1)]);
  await tuned.bert.dispose();
  const card = new TextDecoder().decode(files.get('README.md'));
  expect(card).toMatch(/fills in \[MASK\][\s\S]*perplexity/);

  // A head that nobody would train has to be there.
  const task = '{ kind: pretraining, text: text, nextSentence: true, trainHead: false }';
  const stages = `  - { algorithm: dp-fedsgd, train: { lora: { rank: 2, alpha: 4, targets: [query] } }, rounds: 1, samplingProbability: 1, l2Clip: 0.2, server: ${server} }`;
  const frozen = parsePlan(parseYaml(planText({ from: folder, head: 'none', task, stages }), 'frozen'), 'frozen');
  const unpaired = new Map([...weights].filter(([name]) => !name.startsWith('cls.seq_relationship')));
  const open = (with_: typeof files) =>
    openStageModel({
      engine: onnxCpuEngine(),
      files: with_,
      overlays: [],
      plan: frozen,
      stage: 0,
      rng: seededRng('f'),
    });
  await expect(open(new Map([...files, ['model.safetensors', writeSafetensors(unpaired)]]))).rejects.toMatchObject({
    code: 'PLAN_INVALID',
    message: expect.stringContaining('no next-sentence head'),
  });
  await (await open(files)).bert.dispose();
  // A decoder of its own would be filled in as if it were the word embeddings.
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config.raw, tie_word_embeddings: false }));
  await expect(predictLocally(folder, ['a [MASK]'], onnxCpuEngine())).rejects.toMatchObject({
    code: 'BERT_UNSUPPORTED',
  });
});

async function predict(texts: readonly string[]): Promise<[number, unknown]> {
  const response = await fetch(`${site.url}/api/v1/models/current/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify({ texts }),
  });
  return [response.status, await response.json()];
}

test('dp-fedsgd: the example plan, shortened, under a promise for one text, charged and verified', async () => {
  await openTestBudget(site.coordinator, 3);
  const example = await readFile(join(packageRoot, 'plans', 'pretrain.yaml'), 'utf8');
  const plan = example
    .replace('rounds: 40', 'rounds: 1')
    .replace('samplingProbability: 0.1', 'samplingProbability: 0.5');
  expect(plan).not.toBe(example);
  const { run } = await federate({
    plan,
    fileOf: (index) => ({ name: `${index}.jsonl`, content: ofSite(index).map(jsonLine).join('') }),
  });
  expect(run.guarantees.map((g) => g.unit)).toEqual(['record', 'record', 'record']);
  expect(run.guarantees[1]?.epsilon).toBeLessThanOrEqual(3);
  expect(run.guarantees[1]?.epsilon).toBeGreaterThan(2.9);
  expect(site.coordinator.budgets()).toMatchObject([{ unit: 'record', spent: 3 }]);
  expect(run.labels).toEqual([]);
  const { config, weights } = readModelDirectory(await published());
  expect(config.raw['architectures']).toEqual(['BertForMaskedLM']);
  expect([...weights.keys()].filter((name) => name.includes('lora'))).toEqual([]);
  const report = await site.coordinator.evaluateTest(run.id);
  expect(report.after.metrics['perplexity']).toBeGreaterThan(1);
});

function jsonLine(text: string): string {
  return `${JSON.stringify({ text })}\n`;
}

test.each([
  [
    'local-dp-sgd, for one person',
    'person',
    promise('person', 'column: author, '),
    '{ algorithm: local-dp-sgd, train: head, rounds: 1, samplingProbability: 0.5, l2Clip: 0.2, local: { steps: 2, optimizer: sgd, learningRate: 0.1 }, server: { optimizer: sgd, learningRate: 1 } }',
  ],
  [
    'dp-fedavg, for one client',
    'client',
    promise('client'),
    '{ algorithm: dp-fedavg, train: { layers: [1] }, rounds: 1, l2Clip: 0.5, local: { epochs: 1, batchSize: 16, optimizer: adamw, learningRate: 1e-3, dropout: 0.1 }, server: { optimizer: sgd, learningRate: 1 } }',
  ],
] as const)('%s: charged and verified', async (_, unit, privacy, stage) => {
  await openTestBudget(site.coordinator, 3, unit);
  const { run } = await federate({
    plan: { task: '{ kind: pretraining, text: text, nextSentence: true }', privacy, stages: `  - ${stage}` },
    fileOf: (index) => ({
      name: `${index}.jsonl`,
      content: ofSite(index)
        .map((text, i) => `${JSON.stringify({ text, author: `a${i % 9}` })}\n`)
        .join(''),
    }),
  });
  expect(run.guarantees.map((g) => g.unit)).toEqual([unit, unit, unit]);
  expect(site.coordinator.budgets()).toMatchObject([{ unit, spent: 3 }]);
  const start = run.evaluations[0]?.metrics ?? {};
  // A fresh head says nothing yet: about as sure as among all pieces alike.
  expect(Math.log(start['perplexity'] as number)).toBeLessThan(Math.log(12_288) + 1);
});
