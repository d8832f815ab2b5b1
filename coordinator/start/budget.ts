import type { Rng } from '../../shared/core/rng.ts';
import { signerFromSeed } from '../../shared/core/signing.ts';
import { BudgetBook } from '../../shared/ledger/budget-book.ts';
import { decimal } from '../../shared/ledger/decimal.ts';
import { type Plan, requirePromise } from '../../shared/protocol/plan.ts';
import { approve, openingEntry } from '../budgets/budget-opening.ts';
import type { Coordinator } from '../coordinator.ts';

/**
 * Opens the plan's budget unless it is open. Two people must approve an opening; here, where one person plays everybody, two
 * keys made on the spot stand for them, and their names say so in the ledger.
 * @returns true when it was opened now
 */
export async function openDemonstrationBudget(coordinator: Coordinator, plan: Plan, rng: Rng): Promise<boolean> {
  const { scope, unit, period, epsilon, delta } = requirePromise(plan);
  const budget = { scope, unit, period };
  if ((await new BudgetBook(coordinator.ledger).revision(budget)) > 0) return false;
  const opening = {
    budget,
    epsilon: decimal(epsilon),
    delta: decimal(delta),
    revision: 0,
    purpose: plan.purpose,
    legalBasis: 'Demonstration on public data on one machine',
  };
  const names = ['first key made by tacit start', 'second key made by tacit start'];
  await coordinator.openBudget(
    openingEntry(
      opening,
      names.map((name) => approve(opening, name, signerFromSeed(rng.bytes(32)))),
    ),
  );
  return true;
}
