import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Prediction } from '../../coordinator/service.ts';
import { readDataFiles } from '../../shared/node/data-files.ts';
import type { Policy } from '../../shared/participant/policy.ts';
import { recordColumns } from '../../shared/protocol/plan-columns.ts';
import type { DataReport } from '../../shared/text/report.ts';
import {
  createTestRun,
  openPolicy,
  openTestBudget,
  type PlanOptions,
  type TestCoordinator,
  until,
} from '../support/federation.ts';
import { freshSites } from '../support/fresh-sites.ts';

// Whole federations: as long as `until` waits.
vi.setConfig({ testTimeout: 240_000 });

let site: TestCoordinator;
let folder: string;
let reports: DataReport[] = [];
const { participants, start, takePart } = freshSites();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tacit-tasks-'));
  site = await start();
  reports = [];
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

interface Federation {
  readonly plan: PlanOptions;
  /** The CSV file of a participant. */
  readonly csvOf: (index: number) => string;
  readonly heldOut?: (count: number, from: number) => readonly object[];
  readonly policy?: Policy;
}

/** A run of five, each of which reads a CSV file by the columns of the plan, to its end. */
async function federate({ plan, csvOf, heldOut, policy = openPolicy }: Federation): Promise<string> {
  const run = await createTestRun(site.coordinator, plan, 10, heldOut);
  for (const index of [1, 2, 3, 4, 5]) {
    const file = join(folder, `${index}.csv`);
    await writeFile(file, csvOf(index));
    takePart({
      link: run.link,
      index,
      answer: async (_, { terms }) => {
        const { records, report } = await readDataFiles(file, recordColumns(terms.plan));
        reports.push(report);
        return { policy, records };
      },
    });
  }
  await until(() => ['finished', 'failed'].includes(site.coordinator.run(run.id)?.state ?? ''), 'the end');
  for (const p of participants) expect(p.events.filter((e) => e.kind === 'failed')).toEqual([]);
  expect(site.coordinator.run(run.id)?.reason).toBeNull();
  return run.id;
}

/** On a connection of its own: one that was left open may be closed by the other side at any moment. */
function predict(texts: readonly string[]): Promise<Prediction[]> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const sent = request(
      `${site.url}/api/v1/models/current/predict`,
      { method: 'POST', agent: false, headers },
      async (response) => {
        const answer = Buffer.concat(await response.toArray()).toString();
        resolve((JSON.parse(answer) as { predictions: Prediction[] }).predictions);
      },
    );
    sent.on('error', reject);
    sent.end(JSON.stringify({ texts }));
  });
}

async function published(name: string): Promise<string> {
  return new TextDecoder().decode(await site.coordinator.modelFile('current', name));
}

const withoutPrivacy = { ...openPolicy, withoutPrivacy: true };
const privacy = '{ unit: none, because: the texts are made up, scope: mail }';
const local = '{ epochs: 4, batchSize: 8, optimizer: adam, learningRate: 0.05 }';
const stages = `  - { algorithm: none, train: head, rounds: 3, local: ${local}, server: { optimizer: sgd, learningRate: 1 } }`;

const TOPICS = ['billing', 'weather', 'sport'];
const PHRASES = ['invoice payment money', 'rain storm snow', 'football match goal'];

/** Every subset of the topics in turn. */
function topicsOf(n: number): string[] {
  return TOPICS.filter((_, t) => (n >> t) % 2 === 1);
}

function about(n: number): string {
  return `number ${n} ${PHRASES.filter((_, t) => (n >> t) % 2 === 1).join(' ')}`;
}

const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

test('multi-label: any number of labels for a text, in CSV and over REST', async () => {
  const id = await federate({
    plan: {
      task: '{ kind: multi-label, labels: [billing, weather, sport], text: body, label: topics }',
      privacy,
      stages,
    },
    policy: withoutPrivacy,
    csvOf: (index) =>
      `body,topics\n${range(100 * index, 40)
        .map((n) => `${about(n)},${topicsOf(n).join(';')}\n`)
        .join('')}`,
    heldOut: (count, from) => range(from, count).map((n) => ({ body: about(n), topics: topicsOf(n) })),
  });
  expect(reports.map((r) => r.kept)).toEqual(Array(5).fill(40));
  const [first, ...later] = site.coordinator.run(id)?.evaluations ?? [];
  expect(Object.keys(first?.metrics ?? {})).toEqual(['exactMatch', 'microF1', 'macroF1']);
  expect(later.at(-1)?.metrics['macroF1']).toBeGreaterThan(0.9);
  const [two, none] = await predict([about(3), about(8)]);
  expect(two?.label).toBe('billing;weather');
  expect(none?.label).toBe('');
  expect(two?.scores['billing']).toBeGreaterThan(0.5);
  expect(two?.scores['sport']).toBeLessThan(0.5);
  expect(await published('README.md')).toMatch(
    /any number for a text: billing, weather, sport[\s\S]*microF1 0\.\d|microF1 1/,
  );
  expect(JSON.parse(await published('config.json'))).toMatchObject({ problem_type: 'multi_label_classification' });
  const report = await site.coordinator.evaluateTest(id);
  expect(report.after.metrics['microF1']).toBeGreaterThan(report.before.metrics['microF1'] as number);
});

test('regression: a number for a text', async () => {
  const mood = ['awful terrible bad', 'poor sad', 'plain ordinary', 'nice good', 'wonderful excellent great'];
  const text = (n: number) => `${mood[n % 5]} number ${n}`;
  const stars = (n: number) => (n % 5) - 2;
  const id = await federate({
    plan: { task: '{ kind: regression, text: review, label: stars }', privacy, stages },
    policy: withoutPrivacy,
    csvOf: (index) =>
      `review;stars\nno number here;many\n${range(100 * index, 40)
        .map((n) => `${text(n)};${stars(n)}\n`)
        .join('')}`,
    heldOut: (count, from) => range(from, count).map((n) => ({ review: text(n), stars: stars(n) })),
  });
  for (const { kept, dropped } of reports) {
    expect(kept).toBe(40);
    expect(dropped).toMatchObject([{ reason: 'unknown-label', count: 1 }]);
  }
  const last = site.coordinator.run(id)?.evaluations.at(-1);
  expect(last).toMatchObject({ accuracy: null, f1: null });
  expect(last?.metrics['r2']).toBeGreaterThan(0.7);
  expect(last?.metrics['spearman']).toBeGreaterThan(0.8);
  const [bad, good] = await predict([text(0), text(4)]);
  expect(good?.scores['stars'] as number).toBeGreaterThan((bad?.scores['stars'] as number) + 2);
  expect(await published('README.md')).toMatch(/Says a number: stars\.[\s\S]*r2 0\.\d/);
  expect(JSON.parse(await published('config.json'))).toMatchObject({ problem_type: 'regression' });
  expect(site.coordinator.models()).toMatchObject([{ accuracy: null, f1: null }]);
});

test('a person with two records in a CSV file is one unit; a row that names nobody is dropped', async () => {
  await openTestBudget(site.coordinator, 3, 'person');
  const id = await federate({
    plan: {
      task: '{ kind: classification, labels: [ham, spam], text: note, label: class }',
      privacy: '{ unit: person, column: patient, epsilon: 3, delta: 1e-5, scope: mail, period: "2026" }',
    },
    csvOf: (index) => {
      const rows = range(0, 30).map((n) => `p${n % 15},"note ${n}, ${index}",${n % 3 === 0 ? 'spam' : 'ham'}\n`);
      return `patient,note,class\n${rows.join('')},of nobody,ham\n`;
    },
    heldOut: (count, from) =>
      range(from, count).map((n) => ({ note: `note ${n}`, class: n % 3 === 0 ? 'spam' : 'ham' })),
  });
  for (const { kept, dropped } of reports) {
    expect(kept).toBe(30);
    expect(dropped).toMatchObject([{ reason: 'no-person', count: 1 }]);
  }
  const entries = (await site.coordinator.ledger.entries(0)).map((r) => r.entry);
  const consents = entries.flatMap((e) => (e.kind === 'consent' ? [[e.document['records'], e.document['units']]] : []));
  expect(consents).toEqual(Array(5).fill([30, 15]));
  expect(site.coordinator.run(id)?.guarantees.map((g) => g.unit)).toEqual(['person', 'person', 'person']);
  expect(site.coordinator.budgets()).toMatchObject([{ unit: 'person', spent: 3 }]);
});
