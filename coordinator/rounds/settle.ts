import { isoTime } from '../../shared/core/clock.ts';
import { decimal } from '../../shared/ledger/decimal.ts';
import { assertDurable, type Durable } from '../../shared/ledger/durable.ts';
import { checkCohort } from '../../shared/privacy/claims.ts';
import { epsilonAfter, stageMechanism } from '../../shared/protocol/commitment.ts';
import { promiseOf } from '../../shared/protocol/plan.ts';
import type { RoundView } from '../../shared/protocol/views.ts';
import { survivorsHash } from '../../shared/secagg/messages.ts';
import type { RunJournal } from '../runs/run-journal.ts';
import type { RunRecord } from '../runs/run-log.ts';
import { type Merged, merge, type Summed } from './merge.ts';
import type { RoundOutcome, RoundSession } from './round-session.ts';
import { roundSummary } from './round-summary.ts';

/** Sum → mean → server step → entry → publication, in that order only. */
export async function release(journal: RunJournal, session: RoundSession, outcome: Summed): Promise<void> {
  const { ports } = journal;
  const started = ports.clock.now();
  const { round, stage, attempt } = session.config;
  checkCohort(outcome.survivors.length, stageMechanism(journal.record.terms, stage));
  const merged = await merge(journal, stage, outcome);
  const receipt = await chargeRelease(journal, session, outcome, merged);
  const summary = roundSummary(session, {
    phase: 'done',
    reason: null,
    ledgerIndex: receipt.index,
    mergeSeconds: (ports.clock.now() - started) / 1000,
    modelHash: merged.hash,
  });
  await publish(journal, merged, receipt, summary);
  await session.deleteUploads();
  await ports.announceRound({ round, attempt, outcome: 'released', reason: null, index: receipt.index });
}

/** What a session that gave no sum leaves behind: an entry that says whether anything may have been revealed. */
export async function abort(
  journal: RunJournal,
  session: RoundSession,
  outcome: Extract<RoundOutcome, { kind: 'aborted' }>,
): Promise<void> {
  const { ports } = journal;
  const { id, reserved } = journal.record;
  const reservation = reserved?.reservation ?? null;
  const { round, stage, attempt } = session.config;
  const { sid, code, revealed } = outcome;
  const { index } = await ports.charge(
    { kind: 'round.abort', run: id, round, stage, attempt, reservation, sid, code, reason: outcome.reason, revealed },
    `abort/${id}/${round}.${attempt}`,
  );
  const reason = `${code}: ${outcome.reason}`;
  const summary = roundSummary(session, { phase: 'aborted', reason, ledgerIndex: index });
  await journal.append({ type: 'roundAborted', at: isoTime(ports.clock), summary, counted: revealed });
  ports.changed(summary);
  await session.deleteUploads();
  await ports.announceRound({ round, attempt, outcome: 'aborted', reason, index });
}

/** The budget is settled in the ledger before the end of the run is an event, and before a model is offered. @param overlay - what was trained */
export async function close(
  journal: RunJournal,
  outcome: 'finished' | 'stopped' | 'failed',
  reason: string | null,
  overlay?: string,
): Promise<void> {
  const { ports } = journal;
  const { id, reserved, terms, rounds, roundsCounted, open } = journal.record;
  const promise = promiseOf(terms.plan);
  const revealed = roundsCounted > 0 || open !== undefined;
  const { index } = await ports.charge(
    {
      kind: 'plan.close',
      run: id,
      reservation: reserved?.reservation ?? null,
      outcome,
      reason,
      revealed,
      epsilon: revealed && promise ? decimal(promise.epsilon) : '0',
      delta: revealed && promise ? decimal(promise.delta) : '0',
      roundsReleased: rounds.filter((r) => r.phase === 'done').length,
      modelHash: overlay ?? null,
    },
    `plan.close/${id}`,
  );
  const at = isoTime(ports.clock);
  if (outcome === 'finished') await journal.append({ type: 'finished', at, model: overlay as string });
  else await journal.append({ type: outcome, at, reason: reason ?? outcome });
  await ports.announceEnd(index);
}

function chargeRelease(
  { ports, record, model }: RunJournal,
  { config }: RoundSession,
  { sid, survivors, noise }: Summed,
  merged: Merged,
): Promise<Durable<'round.release'>> {
  const { id, terms, reserved, roundsCounted } = record;
  const promise = promiseOf(terms.plan);
  const { weight } = merged;
  return ports.charge(
    {
      kind: 'round.release',
      run: id,
      round: config.round,
      stage: config.stage,
      attempt: config.attempt,
      reservation: reserved?.reservation ?? null,
      sid,
      survivors: survivors.length,
      survivorsHash: survivorsHash(sid, survivors),
      rosterHash: (record.open as NonNullable<RunRecord['open']>).rosterHash,
      aggregateHash: merged.aggregateHash,
      previousModelHash: model.iterate,
      modelHash: merged.hash,
      epsilonSoFar: promise === undefined ? null : decimal(epsilonAfter(terms, roundsCounted + 1, promise)),
      noise: { sigma: decimal(noise.sigma), unremoved: noise.unremoved.length },
      ...(weight === undefined
        ? {}
        : {
            weight: {
              total: decimal(weight.total),
              sigma: decimal(weight.sigma),
              divisor: decimal(weight.divisor),
            },
          }),
    },
    `release/${id}/${config.round}`,
  );
}

/** The only place where a merged model becomes the one that participants are sent. */
async function publish(
  journal: RunJournal,
  merged: Merged,
  receipt: Durable<'round.release'>,
  summary: RoundView,
): Promise<void> {
  assertDurable(receipt, 'round.release');
  if (receipt.entry.modelHash !== merged.hash) throw new Error('the receipt is of another model');
  await journal.append({ type: 'released', at: isoTime(journal.ports.clock), summary, model: merged.pointer });
  journal.ports.changed(summary);
}
