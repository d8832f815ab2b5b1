import { describe, expect, test } from 'vitest';
import { planEntry } from '../../../coordinator/runs/plan-entry.ts';
import { newBertConfig } from '../../../shared/bert/config.ts';
import { loraModules } from '../../../shared/bert/lora.ts';
import type { LoraSpec } from '../../../shared/bert/types.ts';
import { parseYaml } from '../../../shared/node/documents.ts';
import { sentItems } from '../../../shared/participant/items.ts';
import { checkTerms, commitTerms, siloMechanism, stageMechanism } from '../../../shared/protocol/commitment.ts';
import { labelsOf, leastCohort, type Plan, parsePlan } from '../../../shared/protocol/plan.ts';
import { recordColumns } from '../../../shared/protocol/plan-columns.ts';
import { trainInWords, weightingOf } from '../../../shared/protocol/plan-stage.ts';
import { recomputeCertificate } from '../../../shared/protocol/recompute.ts';
import { trainableOf } from '../../../shared/protocol/stage-model.ts';
import type { Terms } from '../../../shared/protocol/terms.ts';
import { sharingParameters } from '../../../shared/secagg/parameters.ts';
import { layoutOf } from '../../../shared/tensor/layout.ts';
import { planText } from '../../support/federation.ts';

const server = '{ optimizer: sgd, learningRate: 1 }';
const local = '{ epochs: 1, batchSize: 8, optimizer: sgd, learningRate: 0.1 }';
const stages = {
  sgd: `  - { algorithm: dp-fedsgd, train: head, rounds: 4, samplingProbability: 0.5, l2Clip: 1, server: ${server} }`,
  avg: `  - { algorithm: dp-fedavg, train: head, rounds: 4, l2Clip: 1, local: ${local}, server: ${server} }`,
  local: `  - { algorithm: local-dp-sgd, train: head, rounds: 4, samplingProbability: 0.5, l2Clip: 1, local: { steps: 3, optimizer: sgd, learningRate: 0.1 }, server: ${server} }`,
  none: `  - { algorithm: none, train: head, rounds: 4, local: ${local}, server: ${server} }`,
};
const privacy = (unit: string, more = '') =>
  `{ unit: ${unit}, ${more}epsilon: 3, delta: 1e-5, scope: mail, period: "2026" }`;
const nothing = '{ unit: none, because: the data is public, scope: mail }';
const plan = (options: Parameters<typeof planText>[0]): Plan => parsePlan(parseYaml(planText(options), 'p'), 'p');
const terms = (p: Plan) =>
  commitTerms(
    p,
    [],
    p.stages.map(() => layoutOf([{ name: 'classifier.weight', shape: [2, 50] }])),
  );

describe('a claim that an algorithm cannot keep is refused', () => {
  test.each([
    ['dp-fedavg claimed for a record', stages.avg, privacy('record'), /stages\.0.*twice the clip/],
    ['dp-fedavg claimed for a person', stages.avg, privacy('person', 'column: who, '), /stages\.0.*not a person/],
    ['dp-fedsgd claimed for a client', stages.sgd, privacy('client'), /stages\.0.*bounds no client/],
    ['local-dp-sgd claimed for a client', stages.local, privacy('client'), /stages\.0.*bounds no client/],
    ['none with an epsilon', stages.none, privacy('record'), /stages\.0.*promises nothing, but the plan claims/],
    ['noise without a promise', stages.sgd, nothing, /stages\.0.*give a unit and an epsilon/],
  ])('%s', (_, stage, promise, message) => {
    expect(() => plan({ stages: stage, privacy: promise })).toThrow(
      expect.objectContaining({ code: 'PLAN_CLAIM_FALSE', message: expect.stringMatching(message) }),
    );
  });

  test('every problem is told at once', () => {
    expect(() => plan({ stages: `${stages.avg}\n${stages.none}`, privacy: privacy('record') })).toThrow(
      expect.objectContaining({ message: expect.stringMatching(/stages\.0.*stages\.1/) }),
    );
  });
});

test.each([
  ['dp-fedsgd', stages.sgd, privacy('record')],
  ['dp-fedsgd for a person', stages.sgd, privacy('person', 'column: who, ')],
  ['dp-fedavg', stages.avg, privacy('client')],
  ['local-dp-sgd', stages.local, privacy('record')],
])('%s: what is committed keeps the promise, against three adversaries', (_, stage, promise) => {
  const committed = terms(plan({ stages: stage, privacy: promise }));
  checkTerms(committed);
  const [coordinator, colluding, others] = committed.guarantees.map((g) => g.epsilon) as [number, number, number];
  expect(colluding).toBeLessThanOrEqual(3);
  expect(colluding).toBeGreaterThan(2.99);
  expect(coordinator).toBeLessThanOrEqual(colluding);
  expect(others).toBeGreaterThanOrEqual(colluding);
});

test('local-dp-sgd trusts nobody: the same promise against everyone else together, for every step of every round', () => {
  const committed = terms(plan({ stages: stages.local, privacy: privacy('record') }));
  const [coordinator, , others] = committed.guarantees;
  expect(others?.epsilon).toBe(coordinator?.epsilon);
  expect(coordinator?.mechanism).toMatch(/at each client with Poisson sampling, 12 releases/);
  const silo = siloMechanism(committed, 0);
  expect(silo.localSigma / silo.sensitivity).toBeGreaterThan(committed.stages[0]?.noiseMultiplier as number);
  // What is sent was noised before: it gets no more than a ring needs.
  const sent = stageMechanism(committed, 0);
  expect((sent.localSigma / sent.scale) * 1e4).toBeLessThan(1);
});

test('less noise than committed is found by whoever is asked', () => {
  for (const [stage, promise] of [
    [stages.avg, privacy('client')],
    [stages.local, privacy('record')],
  ] as const) {
    const committed = terms(plan({ stages: stage, privacy: promise }));
    const weaker = committed.stages.map((s) => ({ ...s, noiseMultiplier: s.noiseMultiplier * 0.9 }));
    expect(() => checkTerms({ ...committed, stages: weaker })).toThrow(
      expect.objectContaining({ code: 'PLAN_CLAIM_FALSE' }),
    );
  }
});

test('a plan without privacy shows no guarantee, and one that does is refused', () => {
  const committed = terms(plan({ stages: stages.none, privacy: nothing }));
  checkTerms(committed);
  expect(committed.guarantees).toEqual([]);
  const { guarantees } = terms(plan({ stages: stages.sgd, privacy: privacy('record') }));
  expect(() => checkTerms({ ...committed, guarantees })).toThrow(expect.objectContaining({ code: 'PLAN_CLAIM_FALSE' }));
});

describe('clients weighted by their examples', () => {
  const weighted = (stage: string, words: string): string =>
    stage.replace('rounds: 4', `rounds: 4, weighting: ${words}`);
  const byExamples = '{ by: examples, maximumExamples: 300, minimumTotal: 500 }';

  test('the count is one more number, and is charged for: update and count are clipped together and noised alike', () => {
    const alike = terms(plan({ stages: stages.avg, privacy: privacy('client') }));
    const committed = terms(plan({ stages: weighted(stages.avg, byExamples), privacy: privacy('client') }));
    checkTerms(committed);
    const [one, other] = [stageMechanism(alike, 0), stageMechanism(committed, 0)];
    expect(other.dimension).toBe(one.dimension + 1);
    expect(other.noiseMultiplier).toBe(one.noiseMultiplier);
    // A quarter of the clip for the count: √17/4 of the noise, in the update's units.
    const cost = other.localSigma / other.scale / (one.localSigma / one.scale);
    expect(cost).toBeGreaterThan(Math.sqrt(17) / 4 - 1e-4);
    expect(cost).toBeLessThan(Math.sqrt(17) / 4 + 1e-3);
    expect(committed.guarantees[1]?.epsilon).toBeLessThanOrEqual(3);
    for (const { assumptions } of committed.guarantees)
      expect(assumptions.join()).toMatch(/weight.*clipped and noised/);
    for (const { assumptions } of alike.guarantees) expect(assumptions.join()).not.toMatch(/weight/);
  });

  test('an auditor finds out when the noise was computed for the update alone', () => {
    const committed = terms(plan({ stages: weighted(stages.avg, byExamples), privacy: privacy('client') }));
    const entry = { ...planEntry('r', committed, '0'), version: 1, at: '2026-01-01T00:00:00.000Z' } as const;
    expect(recomputeCertificate(entry).problems).toEqual([]);
    const unpaid = { ...entry, stages: entry.stages.map(({ weighting: _, ...stage }) => stage) };
    expect(recomputeCertificate(unpaid).problems).not.toEqual([]);
    const asIfForRecords = { ...entry, stages: entry.stages.map((s) => ({ ...s, algorithm: 'local-dp-sgd' })) };
    expect(recomputeCertificate(asIfForRecords).problems?.join()).toMatch(/does not hide how many/);
  });

  test('what leaves says so', () => {
    const committed = terms(plan({ stages: weighted(stages.avg, byExamples), privacy: privacy('client') }));
    const what = sentItems(committed).map((item) => item.what);
    expect(what).toContain('Update of stage 1: 101 numbers, one of them how many texts you have, up to 300');
    expect(what).toContain('Signed consent or refusal');
    expect(sentItems(terms(plan({}))).map((item) => item.what)).toContain(
      'Signed consent or refusal, with your number of records',
    );
  });

  test('without privacy no minimum has to be stated', () => {
    const committed = plan({
      stages: weighted(stages.none, '{ by: examples, maximumExamples: 300 }'),
      privacy: nothing,
    });
    expect(weightingOf(committed.stages[0] as Plan['stages'][number])).toEqual({
      maximumExamples: 300,
      minimumTotal: 1,
    });
  });

  test.each([
    ['dp-fedsgd', stages.sgd, byExamples, privacy('record'), 'PLAN_INVALID', /weighting.*only dp-fedavg and none/],
    ['local-dp-sgd', stages.local, byExamples, privacy('record'), 'PLAN_INVALID', /weighting.*only dp-fedavg and none/],
    [
      'noise without a minimum',
      stages.avg,
      '{ by: examples, maximumExamples: 300 }',
      privacy('client'),
      'PLAN_INVALID',
      /weighting\.minimumTotal/,
    ],
    [
      'no maximum',
      stages.avg,
      '{ by: examples, minimumTotal: 1 }',
      privacy('client'),
      'PLAN_INVALID',
      /maximumExamples/,
    ],
    [
      'a minimum that is never reached',
      stages.avg,
      '{ by: examples, maximumExamples: 10, minimumTotal: 200 }',
      privacy('client'),
      'PLAN_CLAIM_FALSE',
      /never reach/,
    ],
  ])('%s is refused', (_, stage, words, promise, code, message) => {
    expect(() => plan({ stages: weighted(stage, words), privacy: promise })).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});

describe('tasks', () => {
  test.each([
    ['a classification with one label', '{ kind: classification, labels: [a], text: t, label: l }', /task\.labels/],
    [
      'a label that would be read as two',
      '{ kind: multi-label, labels: ["a;b", c], text: t, label: l }',
      /separate labels/,
    ],
    ['a regression with labels', '{ kind: regression, labels: [a, b], text: t, label: l }', /labels/],
  ])('%s is refused', (_, task, message) => {
    expect(() => plan({ task })).toThrow(
      expect.objectContaining({ code: 'PLAN_INVALID', message: expect.stringMatching(message) }),
    );
  });

  test('pre-training: what is said of masks has the usual values, and there are no labels', () => {
    const { task, model } = plan({ task: '{ kind: pretraining, text: t }', head: 'none' });
    expect(task).toEqual({
      kind: 'pretraining',
      text: 't',
      textPer: 'file',
      maskingProbability: 0.15,
      wholeWord: true,
      nextSentence: false,
      trainHead: true,
    });
    expect(model).not.toHaveProperty('head');
    expect(labelsOf({ task })).toEqual([]);
    expect(recordColumns({ task, privacy: plan({}).privacy })).toEqual({ text: 't', labels: [], textPer: 'file' });
  });

  test.each([
    ['a head', { task: '{ kind: pretraining, text: t }' }, 'PLAN_INVALID', /head of its own/],
    ['a label', { task: '{ kind: pretraining, text: t, label: l }', head: 'none' }, 'PLAN_INVALID', /label/],
    [
      'nothing hidden',
      { task: '{ kind: pretraining, text: t, maskingProbability: 0 }', head: 'none' },
      'PLAN_INVALID',
      /maskingProbability/,
    ],
    [
      'only a head that stays',
      { task: '{ kind: pretraining, text: t, trainHead: false }', head: 'none' },
      'PLAN_CLAIM_FALSE',
      /nothing would train/,
    ],
    ['no head for labels', { head: 'none' }, 'PLAN_INVALID', /needs one, mean or pooler/],
  ] as const)('pre-training with %s is refused', (_, options, code, message) => {
    expect(() => plan(options)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });

  test("a regression's output is called by its column", () => {
    expect(labelsOf(plan({ task: '{ kind: regression, text: t, label: stars }' }))).toEqual(['stars']);
  });
});

test('dropout where only the head trains is refused: its features are computed once', () => {
  const dropping = stages.avg.replace('epochs: 1', 'epochs: 1, dropout: 0.1');
  expect(() => plan({ stages: dropping, privacy: privacy('client') })).toThrow(/dropout would drop nothing/);
  const all = plan({ stages: dropping.replace('train: head', 'train: all'), privacy: privacy('client') });
  expect(all.stages[0]).toMatchObject({ local: { dropout: 0.1 } });
});

describe('a ring for thin uplinks', () => {
  const auditable = (committed: Terms) =>
    ({ ...planEntry('r', committed, '0'), version: 1, at: '2026-01-01T00:00:00.000Z' }) as const;
  const every = stages.sgd.replace('samplingProbability: 0.5', 'samplingProbability: 1');
  const thin = (ringBits: 16 | 20, stage = every, unit = 'record') =>
    plan({ stages: stage, privacy: privacy(unit), ringBits });

  test.each([16, 20] as const)(
    '%d bits: scale and noise are the ring’s, and the auditor finds the same',
    (ringBits) => {
      const committed = terms(thin(ringBits));
      expect(() => checkTerms(committed)).not.toThrow();
      const entry = auditable(committed);
      expect(entry.stages[0]?.mechanism?.ringBits).toBe(ringBits);
      const { epsilon, problems } = recomputeCertificate(entry);
      expect(problems).toEqual([]);
      expect(Math.abs(epsilon / 3 - 1)).toBeLessThan(1e-4);
      // The finer scale of 32 bits would need more ring units of noise.
      const wide = { ...entry, stages: entry.stages.map((s) => ({ ...s, mechanism: s.mechanism && { ...s.mechanism, ringBits: 32 } })) }; // biome-ignore format: short
      expect(recomputeCertificate(wide).problems?.join()).toMatch(/scale is/);
    },
  );

  test('a participant refuses noise of another ring, an auditor a ring that cannot hold the sum', () => {
    const committed = terms(thin(20));
    const other = terms(thin(16)).stages;
    expect(() => checkTerms({ ...committed, stages: other })).toThrow(
      expect.objectContaining({ code: 'PLAN_CLAIM_FALSE' }),
    );
    const entry = auditable(committed);
    const full = entry.stages.map((s) => ({ ...s, mechanism: s.mechanism && { ...s.mechanism, dimension: 4e8 } }));
    const { epsilon, problems } = recomputeCertificate({ ...entry, stages: full });
    expect(epsilon).toBe(Number.POSITIVE_INFINITY);
    expect(problems?.join()).toMatch(/20 bits do not hold/);
  });

  test('what leaves is shown in its size; other rings are no plan', () => {
    const sizes = ([16, 20, 32] as const).map(
      (ringBits) =>
        sentItems(terms(plan({ stages: every, ringBits }))).find((item) => item.what.startsWith('Update'))?.sizeBytes,
    );
    expect(sizes).toEqual([200, 250, 400]);
    expect(() => plan({ ringBits: 24 as 20 })).toThrow(expect.objectContaining({ code: 'PLAN_INVALID' }));
  });

  test('a client that is one unit gets the scale for one; a client of many units room for many', () => {
    const mechanism = (p: Plan) => stageMechanism(terms(p), 0);
    const one = mechanism(thin(16, stages.avg, 'client'));
    const many = mechanism(thin(16));
    expect(one.blockLimit).toBeGreaterThan(1);
    expect(many.blockLimit).toBeGreaterThan(32);
    expect(one.scale).toBeGreaterThan(many.scale);
  });
});

test('LoRA may be kept to chosen blocks', () => {
  const words = '{ lora: { rank: 2, alpha: 4, targets: [query, output.dense], layers: [1] } }';
  const [stage] = plan({
    stages: stages.sgd.replace('train: head', `train: ${words}`),
    privacy: privacy('record'),
  }).stages;
  const trained = trainableOf(stage as Plan['stages'][number]);
  const { lora } = trained as Exclude<typeof trained, string> & { lora: LoraSpec };
  const config = newBertConfig({
    vocabSize: 8,
    hiddenSize: 4,
    layers: 2,
    heads: 1,
    intermediateSize: 8,
    maxPositions: 8,
  });
  expect(loraModules(config, lora, 2, 'mean').map((m) => m.module)).toEqual([
    'bert.encoder.layer.1.attention.self.query',
    'bert.encoder.layer.1.attention.output.dense',
    'bert.encoder.layer.1.output.dense',
  ]);
  expect(trainInWords((stage as Plan['stages'][number]).train)).toBe('lora r2 on query, output.dense of layer 1');
  const targets = ['query', 'key', 'value', 'attention.output.dense', 'intermediate.dense', 'output.dense'] as const;
  const every = trainInWords({ lora: { rank: 2, alpha: 4, freezeA: true, targets: [...targets] } });
  expect(every).toBe('lora r2 on every linear module');
});

test('a word that is missing is said to be missing, a wrong one with those there are', () => {
  const refused = (document: unknown): string => {
    try {
      parsePlan(document, 'plan.yaml');
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };
  const message = refused({ name: 'x', privacy: { unit: 'house' } });
  expect(message).toMatch(/; model: is missing; task: is missing; .*stages: is missing/);
  expect(message).toMatch(/privacy\.unit: is missing or not one of '?record'?, '?person'?, '?client'?, '?none'?/);
  expect(message).not.toContain('undefined');
});

describe('a cohort in which secrets are not safe is refused, with what would be allowed', () => {
  const changed = (secureAggregation: string, minimum: number) => () =>
    parsePlan(
      parseYaml(
        planText({ minimum }).replace('{ minimumCohort: 4, colluders: 1, ringBits: 32 }', secureAggregation),
        'p',
      ),
      'p',
    );

  test.each([
    ['{ minimumCohort: 4, colluders: 2 }', 9, /at most 1 colluder\(s\), or a minimumCohort of at least 5/],
    ['{ minimumCohort: 5, colluders: 2 }', 5, /at most 1 colluder\(s\), or a clients\.minimum of at least 6/],
    ['{ minimumCohort: 6, colluders: 1 }', 5, /at most 5, or more clients/],
  ])('%s of %i clients', (secureAggregation, minimum, allowed) => {
    expect(changed(secureAggregation, minimum)).toThrow(
      expect.objectContaining({ code: 'PLAN_CLAIM_FALSE', message: expect.stringMatching(allowed) }),
    );
  });

  test.each([
    ['{ minimumCohort: 4, colluders: 1 }', 9],
    ['{ minimumCohort: 5, colluders: 2 }', 9],
    ['{ minimumCohort: 5, colluders: 2 }', 6],
  ])('%s of %i clients: what was allowed, down to the smallest round', (secureAggregation, minimum) => {
    const allowed = changed(secureAggregation, minimum)();
    const cohortSize = leastCohort(allowed);
    expect(cohortSize).toBeLessThanOrEqual(minimum);
    const { colluders } = allowed.secureAggregation;
    expect(sharingParameters({ cohortSize, colluders, minimumCohort: cohortSize }).threshold).toBeLessThanOrEqual(
      cohortSize,
    );
  });
});
