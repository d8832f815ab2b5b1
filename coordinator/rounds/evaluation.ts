import { TacitError } from '../../shared/core/errors.ts';
import type { Plan } from '../../shared/protocol/plan.ts';
import { stageOfRound, trainInWords } from '../../shared/protocol/plan-stage.ts';
import type { EncodedExample } from '../../shared/text/encode.ts';
import type { TaskMetrics } from '../../shared/training/task-metrics.ts';
import type { RunJournal } from '../runs/run-journal.ts';
import type { RunRecord } from '../runs/run-log.ts';
import type { TestReport, TestScore } from '../service.ts';
import type { GlobalModel } from './global-model.ts';

export type Evaluated = RunRecord['evaluations'][number];

/** Scores a candidate on the coordinator's validation texts and remembers it. */
export async function evaluateCandidate(
  journal: RunJournal,
  model: GlobalModel,
  validation: readonly EncodedExample[],
  at: {
    readonly stage: number;
    readonly overlays: readonly string[];
    readonly candidate: string;
    readonly round: number;
  },
): Promise<void> {
  const { stage, candidate, round } = at;
  const flat = await journal.vector(candidate, stage);
  const measured = await model.evaluate(stage, await journal.load(at.overlays), flat, validation);
  const evaluation = { round, stage, ...scoreOf(measured), examples: validation.length };
  await journal.append({ type: 'evaluated', candidate, evaluation });
}

/** True after the last round of a stage, and every so many rounds as the plan says. */
export function evaluationDue({ terms, roundsCounted }: RunRecord, stage: number): boolean {
  return stageOfRound(terms.plan.stages, roundsCounted) !== stage || roundsCounted % terms.plan.evaluation.every === 0;
}

/**
 * True when the last stage has brought no lower loss for as many evaluations as the plan has patience. The texts are the
 * coordinator's own and the models were released, so looking is post-processing; what is charged stays the whole plan.
 */
export function endsEarly({ terms, evaluations, open }: RunRecord): boolean {
  const { evaluation, stages } = terms.plan;
  if (evaluation.patience === undefined || open !== undefined) return false;
  const before = evaluations.filter((e) => e.stage < stages.length - 1 || e.round === 0).map((e) => e.loss);
  const ofLast = evaluations.filter((e) => e.stage === stages.length - 1 && e.round > 0).map((e) => e.loss);
  const recent = ofLast.slice(-evaluation.patience);
  const earlier = [...before.slice(-1), ...ofLast.slice(0, -evaluation.patience)];
  return recent.length === evaluation.patience && Math.min(...recent) >= Math.min(...earlier);
}

/** What every kind of task has, beside all that was measured. */
export function scoreOf({ loss, ...metrics }: TaskMetrics): TestScore {
  const accuracy = metrics['accuracy'] ?? metrics['exactMatch'] ?? null;
  return { loss, accuracy, f1: metrics['f1'] ?? metrics['microF1'] ?? null, metrics };
}

/** True when `a` is better: by accuracy (multi-label: micro F1), then by loss; regression: by loss. */
export function better(kind: Plan['task']['kind'], a: TestScore, b: TestScore): boolean {
  const quality = (s: TestScore): number => (kind === 'multi-label' ? s.f1 : s.accuracy) ?? 0;
  return quality(a) > quality(b) || (quality(a) === quality(b) && a.loss < b.loss);
}

/** The best on validation. The round before training counts, so that "nothing helped" can be the answer. */
export function bestEvaluation(record: RunRecord, stage?: number): Evaluated | undefined {
  const of = record.evaluations.filter((e) => stage === undefined || (e.stage === stage && e.round > 0));
  return of.reduce<Evaluated | undefined>((best, e) => {
    return best === undefined || better(record.terms.plan.task.kind, e, best) ? e : best;
  }, undefined);
}

/** What an evaluated model brought, as an overlay on the starting model. */
export async function broughtBy(journal: RunJournal, model: GlobalModel, evaluation: Evaluated): Promise<Uint8Array> {
  const { stage, candidate } = evaluation;
  return model.brought(stage, await journal.overlays(stage), await journal.vector(candidate, stage));
}

/** The run on held-out test text that nothing was chosen on. @throws RUN_NOT_FINISHED */
export async function testReport(
  journal: RunJournal,
  model: GlobalModel,
  test: readonly EncodedExample[],
): Promise<TestReport> {
  const { record } = journal;
  if (record.ended?.model == null) {
    throw new TacitError('RUN_NOT_FINISHED', 'the run has published no model', {
      where: record.id,
      fix: 'Wait for its end.',
    });
  }
  const score = async (evaluation: Evaluated): Promise<TestScore> => {
    return scoreOf(await scoreOn(journal, model, evaluation, test));
  };
  const first = record.evaluations[0] as Evaluated;
  const stages: TestReport['stages'][number][] = [];
  for (const [stage, { train }] of model.plan.stages.entries()) {
    const best = bestEvaluation(record, stage);
    if (best !== undefined)
      stages.push({ stage, train: trainInWords(train), round: best.round, ...(await score(best)) });
  }
  const before = await score(first);
  return { examples: test.length, before, stages, after: await score(bestEvaluation(record) ?? first) };
}

/** An evaluated model on other text. */
async function scoreOn(
  journal: RunJournal,
  model: GlobalModel,
  { stage, candidate }: Evaluated,
  examples: readonly EncodedExample[],
): Promise<TaskMetrics> {
  return model.evaluate(stage, await journal.overlays(stage), await journal.vector(candidate, stage), examples);
}
