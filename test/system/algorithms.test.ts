import { expect, test } from 'vitest';
import { readModelFiles } from '../../coordinator/models/model-files.ts';
import { seededRng } from '../../shared/core/rng.ts';
import { exportBundle } from '../../shared/ledger/bundle.ts';
import type { Entry, EntryKind } from '../../shared/ledger/entries.ts';
import { verifyBundle } from '../../shared/ledger/verify.ts';
import { parseYaml } from '../../shared/node/documents.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import type { Policy } from '../../shared/participant/policy.ts';
import { parsePlan } from '../../shared/protocol/plan.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import { openStageModel, openTokenizer } from '../../shared/protocol/stage-model.ts';
import { type EncodedExample, encodeRecords } from '../../shared/text/encode.ts';
import type { TextRecord } from '../../shared/text/record.ts';
import { trainLocally } from '../../shared/training/local.ts';
import {
  createTestRun,
  madeUpMail,
  openPolicy,
  openTestBudget,
  type PlanOptions,
  planText,
  type TestCoordinator,
  until,
} from '../support/federation.ts';
import { freshSites } from '../support/fresh-sites.ts';

let site: TestCoordinator;
const { participants, start, takePart } = freshSites();

const server = '{ optimizer: sgd, learningRate: 1 }';
const promise = (unit: string, more = '') =>
  `{ unit: ${unit}, ${more}epsilon: 3, delta: 1e-5, scope: mail, period: "2026" }`;

/** A run of five over a real wire, to its end. */
async function federate(
  plan: PlanOptions,
  unit: string,
  policy: Policy = openPolicy,
  recordsOf: (index: number) => readonly TextRecord[] = (index) => madeUpMail(30, 1000 * index),
): Promise<string> {
  site = await start();
  await openTestBudget(site.coordinator, 3, unit);
  const run = await createTestRun(site.coordinator, plan);
  for (const index of [1, 2, 3, 4, 5]) {
    const answer = async () => ({ policy, records: recordsOf(index) });
    takePart({ link: run.link, index, answer });
  }
  const ended = (): boolean => ['finished', 'failed'].includes(site.coordinator.run(run.id)?.state ?? '');
  await until(() => ended() || participants.every((p) => p.events.some((e) => e.kind === 'refused')), 'the end');
  for (const p of participants) expect(p.events.filter((e) => e.kind === 'failed')).toEqual([]);
  return run.id;
}

async function entriesOf<K extends EntryKind>(kind: K): Promise<Entry<K>[]> {
  const all = (await site.coordinator.ledger.entries(0)).map((r) => r.entry);
  return all.filter((e) => e.kind === kind) as unknown as Entry<K>[];
}

async function failures() {
  const { ledger } = site.coordinator;
  const files = await exportBundle(ledger, { vkey: ledger.vkey });
  return (await verifyBundle(files, { vkeys: [ledger.vkey], recompute: recomputeCertificate })).failures;
}

/** Root mean square of what every round changed the model by. */
async function changes(): Promise<number[]> {
  const releases = await entriesOf('round.release');
  const weights = async (sha256: string) => {
    const bytes = await site.coordinator.store.getBlob(sha256);
    return new Float32Array(bytes.slice().buffer);
  };
  return Promise.all(
    releases.map(async ({ previousModelHash, modelHash }) => {
      const before = await weights(previousModelHash);
      const after = await weights(modelHash);
      return Math.sqrt(after.reduce((sum, w, i) => sum + (w - (before[i] as number)) ** 2, 0) / after.length);
    }),
  );
}

test('dp-fedavg: the client is the unit, and the noise in the average is what was committed', async () => {
  // Steps of next to nothing: what is left of a round is its noise.
  const local = '{ epochs: 1, batchSize: 16, optimizer: adamw, learningRate: 1e-12, proximalMu: 0.1 }';
  const stages = `  - { algorithm: dp-fedavg, train: head, rounds: 2, l2Clip: 0.5, local: ${local}, server: ${server} }`;
  const id = await federate({ stages, privacy: promise('client') }, 'client');
  expect(site.coordinator.run(id)?.state).toBe('finished');
  expect(await failures()).toEqual([]);
  const [plan] = await entriesOf('plan.commit');
  const committed = Number(plan?.stages[0]?.noiseMultiplier) * 0.5;
  for (const change of await changes()) {
    const noiseOfSum = change * 5;
    expect(noiseOfSum).toBeGreaterThan(0.9 * committed);
    // Five clients add what three honest ones of the smallest cohort must bring.
    expect(noiseOfSum).toBeLessThan(1.1 * Math.sqrt(5 / 3) * committed);
  }
  expect(site.coordinator.budgets()).toMatchObject([{ unit: 'client', spent: 3 }]);
});

test('dp-fedavg: clients that draw by themselves whether they take part', async () => {
  const local = '{ epochs: 1, batchSize: 16, optimizer: sgd, learningRate: 0.1 }';
  const stages = `  - { algorithm: dp-fedavg, train: head, rounds: 2, samplingProbability: 0.5, l2Clip: 0.5, local: ${local}, server: ${server} }`;
  const id = await federate({ stages, privacy: promise('client') }, 'client');
  expect(site.coordinator.rounds(id).map((r) => r.funnel.survived)).toEqual([5, 5]);
  expect(site.coordinator.run(id)?.guarantees[1]?.mechanism).toContain('Poisson');
  expect(await failures()).toEqual([]);
});

test('local-dp-sgd: every silo adds all the noise that it needs, and the sum hides behind masks besides', async () => {
  const stages = `  - { algorithm: local-dp-sgd, train: head, rounds: 2, samplingProbability: 0.5, l2Clip: 0.2, local: { steps: 2, optimizer: sgd, learningRate: 1 }, server: ${server} }`;
  const id = await federate({ stages }, 'record');
  const run = site.coordinator.run(id);
  expect(run?.state).toBe('finished');
  expect(run?.guarantees.map((g) => g.epsilon)).toEqual(Array(3).fill(run?.guarantees[0]?.epsilon));
  const [plan] = await entriesOf('plan.commit');
  expect(plan?.stages[0]).toMatchObject({ algorithm: 'local-dp-sgd', releasesPerRound: 2, rounds: 2 });
  expect(await failures()).toEqual([]);
  // Noise of a step over the expected 15 records, 2 steps, the mean of 5 silos.
  const expected = (Number(plan?.stages[0]?.noiseMultiplier) / 15) * Math.sqrt(2 / 5);
  for (const change of await changes()) expect(change).toBeGreaterThan(0.8 * expected);
});

test('dp-fedavg weighted by examples: nobody says how many it has, and the total is told with its noise', async () => {
  const local = '{ epochs: 1, batchSize: 16, optimizer: sgd, learningRate: 0.1 }';
  const weighting = '{ by: examples, maximumExamples: 40, minimumTotal: 60 }';
  const stages = `  - { algorithm: dp-fedavg, train: head, rounds: 2, l2Clip: 0.5, weighting: ${weighting}, local: ${local}, server: ${server} }`;
  const id = await federate({ stages, privacy: promise('client') }, 'client', openPolicy, (i) =>
    madeUpMail(10 * i, 1000 * i),
  );
  expect(site.coordinator.run(id)?.state).toBe('finished');
  expect(site.coordinator.run(id)?.participants.map((p) => p.records)).toEqual(Array(5).fill(null));
  expect((await entriesOf('consent')).map((e) => e.document['records'])).toEqual(Array(5).fill(null));
  const [plan] = await entriesOf('plan.commit');
  expect(plan?.certificate?.assumptions.join()).toContain('clipped and noised with it');
  const scale = Number(plan?.stages[0]?.mechanism?.scale);
  for (const { weight, noise } of await entriesOf('round.release')) {
    const { total, sigma, divisor } = weight as NonNullable<typeof weight>;
    expect(Number(sigma)).toBeCloseTo((Number(noise?.sigma) / scale) * (40 / 0.125), 6);
    expect(Number(divisor)).toBe(Math.max(Number(total), 60));
    // 10 + 20 + 30 + 40, and 50 counted as 40.
    expect(Math.abs(Number(total) - 140)).toBeLessThan(5 * Number(sigma));
    expect(Number(total)).not.toBe(140);
  }
  expect(await failures()).toEqual([]);
});

const without = '{ unit: none, because: the mail is public, scope: mail }';
const plain = `  - { algorithm: none, train: head, rounds: 3, local: { epochs: 2, batchSize: 8, optimizer: adam, learningRate: 0.05 }, server: ${server} }`;

test('none: learns, says that it promises nothing, charges no budget', async () => {
  const id = await federate({ stages: plain, privacy: without }, 'record', { ...openPolicy, withoutPrivacy: true });
  const run = site.coordinator.run(id);
  expect(run?.state).toBe('finished');
  expect(run?.guarantees).toEqual([]);
  expect(run?.evaluations.at(-1)?.accuracy).toBeGreaterThan(0.9);
  expect(site.coordinator.budgets()).toMatchObject([{ spent: 0, reserved: 0 }]);
  expect(await entriesOf('plan.commit')).toMatchObject([{ certificate: null, unit: 'none', budgets: [] }]);
  expect((await entriesOf('round.release')).map((e) => e.epsilonSoFar)).toEqual([null, null, null]);
  expect(await failures()).toEqual([]);
  const invited = participants[0]?.events.find((e) => e.kind === 'invitation');
  expect(invited?.items.map((i) => i.form).join()).toContain('WITHOUT PRIVACY');
  const card = await site.coordinator.modelFile('current', 'README.md');
  expect(new TextDecoder().decode(card)).toMatch(/without privacy/i);
});

test('none weighted by examples: full-batch rounds of unequal clients are full-batch steps on all their mails', async () => {
  const local = '{ epochs: 1, batchSize: 1000, optimizer: sgd, learningRate: 0.5 }';
  const weighting = '{ by: examples, maximumExamples: 100 }';
  const stages = `  - { algorithm: none, train: head, rounds: 3, longestUpdate: 1, weighting: ${weighting}, local: ${local}, server: ${server} }`;
  const options = { stages, privacy: without };
  const mailOf = (i: number) => madeUpMail(4 * i * i - 3, 1000 * i);
  await federate(options, 'record', { ...openPolicy, withoutPrivacy: true }, mailOf);
  const releases = await entriesOf('round.release');
  // 1 + 13 + 33 + 61 + 97: exactly, though nobody but the clients knows a summand.
  expect(releases.map((e) => e.weight?.total)).toEqual(['205', '205', '205']);
  expect(await failures()).toEqual([]);

  const vector = async (sha256 = '') => new Float32Array((await site.coordinator.store.getBlob(sha256)).slice().buffer);
  const start = await vector(releases[0]?.previousModelHash);
  const federated = await vector(releases.at(-1)?.modelHash);
  const plan = parsePlan(parseYaml(planText(options), 'plan'), 'plan');
  const files = await readModelFiles(plan.model.from as string);
  const engine = onnxCpuEngine();
  const { bert, shape } = await openStageModel({ engine, files, overlays: [], plan, stage: 0, rng: seededRng('c') });
  const tokenizer = openTokenizer(files);
  const encoded = (i: number) =>
    encodeRecords(mailOf(i), tokenizer, { labels: ['ham', 'spam'], maxTokens: plan.model.maxTokens });
  /** The head after three steps with the gradients of these groups of mails, each group counting as it weighs. */
  const central = async (groups: readonly EncodedExample[][]): Promise<Float32Array> => {
    let weights = start;
    for (let round = 0; round < 3; round++) {
      const steps: Float32Array[] = [];
      for (const examples of groups) {
        bert.setTrainable(weights);
        const step = trainLocally({
          bert,
          shape,
          examples,
          epochs: 1,
          batchSize: 1000,
          optimizer: { kind: 'sgd' },
          schedule: { kind: 'constant', learningRate: 0.5, warmupSteps: 0 },
          rng: seededRng('order'),
        });
        for await (const _ of step);
        steps.push(bert.trainable());
      }
      weights = start.map((_, i) => steps.reduce((sum, s) => sum + (s[i] as number), 0) / steps.length);
    }
    return weights;
  };
  const clients = [1, 2, 3, 4, 5].map(encoded);
  const far = (a: Float32Array, b: Float32Array): number =>
    Math.sqrt(a.reduce((sum, x, i) => sum + (x - (b[i] as number)) ** 2, 0));
  const pooled = await central([clients.flat()]);
  const alike = await central(clients);
  await bert.dispose();
  const moved = far(pooled, start);
  expect(far(federated, pooled)).toBeLessThan(1e-4 * moved);
  expect(far(alike, pooled)).toBeGreaterThan(0.02 * moved);
});

test('a run that does not get better ends early', async () => {
  const local = '{ epochs: 2, batchSize: 8, optimizer: adam, learningRate: 0.05 }';
  const stages = `  - { algorithm: none, train: head, rounds: 9, local: ${local}, server: ${server} }`;
  const policy = { ...openPolicy, withoutPrivacy: true };
  // Everybody learns the opposite of what the coordinator's texts say.
  const upsideDown = (index: number) =>
    madeUpMail(30, 1000 * index).map((r) => ({ ...r, label: r.label === 'spam' ? 'ham' : 'spam' }));
  const id = await federate({ stages, privacy: without, patience: 2 }, 'record', policy, upsideDown);
  expect(site.coordinator.run(id)?.state).toBe('finished');
  expect(site.coordinator.rounds(id)).toHaveLength(2);
  expect(await failures()).toEqual([]);
});

test('none: a site that did not allow it in so many words refuses', async () => {
  await federate({ stages: plain, privacy: without }, 'record');
  const [refusal] = await entriesOf('refusal');
  expect(refusal).toMatchObject({ code: 'POLICY_REFUSED', reason: expect.stringContaining('promises no privacy') });
});

test('a person with several records is one unit', async () => {
  const stages = `  - { algorithm: dp-fedsgd, train: head, rounds: 2, samplingProbability: 1, l2Clip: 0.2, server: { optimizer: sgd, learningRate: 5 } }`;
  const id = await federate({ stages, privacy: promise('person', 'column: sender, ') }, 'person', openPolicy, (index) =>
    madeUpMail(30, 1000 * index).map((r, i) => ({ ...r, person: `p${i % 7}` })),
  );
  expect(site.coordinator.run(id)?.state).toBe('finished');
  expect((await entriesOf('consent')).map((e) => [e.document['records'], e.document['units']])).toEqual(
    Array(5).fill([30, 7]),
  );
  expect(site.coordinator.run(id)?.guarantees.map((g) => g.unit)).toEqual(['person', 'person', 'person']);
  expect(await failures()).toEqual([]);
});

test('four classes from CSV columns as AG News has them', async () => {
  const labels = ['World', 'Sports', 'Business', 'SciTech'];
  const task =
    '{ kind: classification, labels: [World, Sports, Business, SciTech], text: [title, description], label: class, labelValues: { "1": World, "2": Sports, "3": Business, "4": SciTech } }';
  site = await start();
  await openTestBudget(site.coordinator, 3);
  const words = ['minister war election', 'match goal team', 'shares market profit', 'software chip space'];
  const rows = (count: number, from: number) =>
    Array.from({ length: count }, (_, i) => ({
      class: String((i % 4) + 1),
      title: words[i % 4],
      description: `no ${from + i}`,
    }));
  const run = await createTestRun(site.coordinator, { rounds: 3, task }, 10, rows);
  for (const index of [1, 2, 3, 4, 5]) {
    const texts = rows(40, 100 * index).map((r, i) => ({
      id: `a:${i}`,
      text: `${r.title}\n${r.description}`,
      label: labels[i % 4] as string,
    }));
    takePart({ link: run.link, index, texts });
  }
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the end');
  const [prediction] = await site.coordinator.predict('current', ['match goal team\nno 7']);
  expect(Object.keys(prediction?.scores ?? {})).toEqual(labels);
});
