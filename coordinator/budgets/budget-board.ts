import type { BudgetProjection } from '../../shared/ledger/budget.ts';
import { BudgetBook } from '../../shared/ledger/budget-book.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import { promiseOf } from '../../shared/protocol/plan.ts';
import type { Terms } from '../../shared/protocol/terms.ts';
import type { BudgetView } from '../../shared/protocol/views.ts';
import { loweringOf } from './budget-opening.ts';

/** The budget book with its views: they are those after the last entry that touched it. */
export class BudgetBoard {
  readonly #book: BudgetBook;
  /** Of every run, oldest first. */
  readonly #terms: () => readonly Terms[];
  #views: readonly BudgetView[] = [];

  constructor(ledger: Ledger, terms: () => readonly Terms[]) {
    this.#book = new BudgetBook(ledger);
    this.#terms = terms;
  }

  views(): readonly BudgetView[] {
    return this.#views;
  }

  /** @see BudgetBook.state */
  state(): Promise<BudgetProjection> {
    return this.#book.state();
  }

  async open(entry: Parameters<BudgetBook['open']>[0]): Promise<{ readonly index: number }> {
    const receipt = await this.#book.open(entry);
    await this.refresh();
    return receipt;
  }

  /** Takes effect at once. @throws BUDGET_UNKNOWN, BUDGET_STATE when it would raise */
  async lower(entry: Parameters<BudgetBook['lower']>[0]): Promise<{ readonly index: number }> {
    const receipt = await this.#book.lower(entry, loweringOf(entry.budget, await this.#book.revision(entry.budget)));
    await this.refresh();
    return receipt;
  }

  /** @throws BUDGET_EXCEEDED; the refusal is an entry then */
  async reserve(entry: Parameters<BudgetBook['reserve']>[0]): Promise<{ readonly index: number }> {
    try {
      return await this.#book.reserve(entry);
    } finally {
      await this.refresh();
    }
  }

  readonly charge: BudgetBook['append'] = async (entry, opId) => {
    const receipt = await this.#book.append(entry, opId);
    await this.refresh();
    return receipt;
  };

  async refresh(): Promise<void> {
    const statuses = await this.#book.status();
    this.#views = statuses.map(({ budget, epsilon, delta, spent, reserved, left, timeline }) => ({
      ...budget,
      epsilon,
      delta,
      spent,
      reserved,
      left,
      guarantee: this.#guaranteeFor(budget) ?? null,
      timeline,
    }));
  }

  /** The certificate of the last run on a budget, against the coordinator with the assumed colluders. */
  #guaranteeFor(budget: { readonly scope: string; readonly unit: string; readonly period: string }) {
    const last = this.#terms()
      .filter(({ plan }) => {
        const promise = promiseOf(plan);
        return promise?.scope === budget.scope && promise.unit === budget.unit && promise.period === budget.period;
      })
      .at(-1);
    return last?.guarantees[1];
  }
}
