import type { ModelFiles } from '../../shared/bert/directory.ts';
import { hex } from '../../shared/core/bytes.ts';
import { type Clock, isoTime } from '../../shared/core/clock.ts';
import type { Rng } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { decimal } from '../../shared/ledger/decimal.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import { checkTerms, commitTerms } from '../../shared/protocol/commitment.ts';
import { type Plan, promiseOf } from '../../shared/protocol/plan.ts';
import type { Terms } from '../../shared/protocol/terms.ts';
import type { Store } from '../../shared/store/port.ts';
import type { BudgetBoard } from '../budgets/budget-board.ts';
import { GlobalModel } from '../rounds/global-model.ts';
import type { HeldOut } from '../service.ts';
import { planEntry } from './plan-entry.ts';
import type { Reserved, RunEvent } from './run-log.ts';

interface NewRunOptions {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly budgets: BudgetBoard;
  readonly engine: Engine;
  readonly rng: Rng;
  readonly clock: Clock;
  readonly version: string;
}

/**
 * Commits a plan: σ is computed, the plan is an entry, its whole budget is reserved. Nobody has been asked yet.
 * @returns the run's first event
 * @throws BUDGET_EXCEEDED, PRIVACY_*, DATA_*, BERT_*
 */
export async function commitRun(
  o: NewRunOptions,
  plan: Plan,
  files: ModelFiles,
  heldOut: HeldOut,
): Promise<Extract<RunEvent, { type: 'created' }>> {
  const terms = await termsFor(o, plan, files, heldOut);
  const id = `${plan.name}-${hex(o.rng.bytes(4))}`;
  const { index: ledgerIndex } = await o.ledger.append(planEntry(id, terms, o.version), `plan/${id}`);
  const reserved = await reserve(o, id, terms);
  return {
    type: 'created',
    id,
    at: isoTime(o.clock),
    terms,
    ledgerIndex,
    reserved,
    heldOut: {
      validation: await o.store.putBlob(heldOut.validation),
      test: await o.store.putBlob(heldOut.test),
    },
  };
}

/** Opens the model to see how many numbers each stage sends, and reads the held-out texts once, so that neither fails later. */
async function termsFor(
  { engine, rng, store }: NewRunOptions,
  plan: Plan,
  files: ModelFiles,
  heldOut: HeldOut,
): Promise<Terms> {
  const model = new GlobalModel({ plan, files, engine, rng });
  for (const data of [heldOut.validation, heldOut.test]) model.encode(data);
  const listed = await Promise.all(
    [...files].map(async ([name, bytes]) => ({
      name,
      sha256: await store.putBlob(bytes),
      sizeBytes: bytes.length,
    })),
  );
  const terms = commitTerms(
    plan,
    listed.sort((a, b) => (a.name < b.name ? -1 : 1)),
    await model.layouts(),
  );
  await model.dispose();
  checkTerms(terms);
  return terms;
}

/** Null for a plan that promises nothing: no budget answers for it. */
async function reserve({ budgets, ledger }: NewRunOptions, run: string, terms: Terms): Promise<Reserved | null> {
  const promise = promiseOf(terms.plan);
  if (promise === undefined) {
    await ledger.checkpoint();
    return null;
  }
  const { epsilon, delta, scope, unit, period } = promise;
  const reservation = `run/${run}`;
  try {
    const { index } = await budgets.reserve({
      kind: 'reserve',
      reservation,
      run,
      planHash: terms.planHash,
      budgets: [{ scope, unit, period }],
      epsilon: decimal(epsilon),
      delta: decimal(delta),
    });
    return { reservation, index };
  } finally {
    await ledger.checkpoint();
  }
}
