import { packedBytes } from '../../shared/kernels/packing.ts';
import { labelsOf } from '../../shared/protocol/plan.ts';
import { clipOf, trainInWords } from '../../shared/protocol/plan-stage.ts';
import type { ParticipantView, RoundView, RunView, StageView } from '../../shared/protocol/views.ts';
import type { Enrolled } from '../participants/participants.ts';
import type { RunRecord } from './run-log.ts';

/** A run as everybody may see it: no per-client loss, only counts and sums. */
export function runView(
  record: RunRecord,
  enrolled: readonly Enrolled[],
  connected: ReadonlySet<string>,
  driver: { readonly waiting: string | undefined; currentRound(): RoundView | undefined },
): RunView {
  const { terms, ended } = record;
  const { plan } = terms;
  const current = driver.currentRound();
  const waiting = ended === undefined ? driver.waiting : undefined;
  return {
    id: record.id,
    name: plan.name,
    state: ended?.state ?? (record.stage < 0 || waiting !== undefined ? 'waiting' : 'running'),
    reason: ended?.reason ?? waiting ?? null,
    planHash: terms.planHash,
    plan,
    createdAt: record.createdAt,
    stages: stageViews(record),
    round: current?.round ?? record.roundsCounted,
    rounds: plan.stages.reduce((n, s) => n + s.rounds, 0),
    phase: current?.phase ?? null,
    participants: enrolled.map((client) => participantView(record, client, connected)),
    guarantees: terms.guarantees,
    evaluations: record.evaluations.map(({ candidate: _, ...evaluation }) => evaluation),
    model: ended?.model ?? null,
    labels: labelsOf(plan),
    purpose: plan.purpose,
  };
}

/** Every session of the run, the one in progress last. */
export function roundViews(record: RunRecord, current: RoundView | undefined): readonly RoundView[] {
  return current === undefined ? record.rounds : [...record.rounds, current];
}

function stageViews(record: RunRecord): StageView[] {
  let before = 0;
  return record.terms.plan.stages.map((stage, index): StageView => {
    const terms = record.terms.stages[index] as RunRecord['terms']['stages'][number];
    const done = Math.min(Math.max(record.roundsCounted - before, 0), stage.rounds);
    before += stage.rounds;
    return {
      index,
      algorithm: stage.algorithm,
      train: trainInWords(stage.train),
      rounds: stage.rounds,
      roundsDone: done,
      samplingProbability: stage.algorithm === 'none' ? 1 : stage.samplingProbability,
      noiseMultiplier: terms.noiseMultiplier,
      l2Clip: clipOf(stage),
      updateElements: terms.dimension,
      updateBytes: packedBytes(terms.dimension, record.terms.plan.secureAggregation.ringBits),
    };
  });
}

function participantView(record: RunRecord, client: Enrolled, connected: ReadonlySet<string>): ParticipantView {
  const consent = record.consented.get(client.clientId);
  const here = connected.has(client.clientId);
  const state = record.withdrawn.has(client.clientId)
    ? 'withdrawn'
    : consent !== undefined
      ? here || record.ended !== undefined
        ? 'consented'
        : 'left'
      : record.refused.has(client.clientId)
        ? 'refused'
        : 'invited';
  return {
    clientId: client.clientId,
    organisation: client.organisation,
    state,
    connected: here,
    engine: consent?.engine ?? '',
    records: consent?.records ?? null,
  };
}
