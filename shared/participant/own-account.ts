import { BudgetProjection, budgetInWords } from '../ledger/budget.ts';
import type { Entry } from '../ledger/entries.ts';

/** What a site's own ledger says, for its owner. */
export interface OwnAccount {
  /** Entries under the newest signed checkpoint of it. */
  readonly size: number;
  /** What the site lets plans spend in a period, and what they have. */
  readonly budgets: readonly {
    readonly words: string;
    readonly epsilon: number;
    readonly spent: number;
    readonly reserved: number;
  }[];
  readonly runs: readonly OwnRun[];
}

export interface OwnRun {
  readonly run: string;
  readonly budget: string;
  /** As set aside before the consent. */
  readonly epsilon: string;
  readonly delta: string;
  /** Where the same amount stands in the coordinator's ledger, once that was seen. */
  readonly seen: { readonly origin: string; readonly index: number } | null;
  readonly state: 'set aside' | 'charged' | 'given back';
  readonly roundsReleased: number | null;
}

/** @param entries - of a site's own ledger, from the first on */
export function ownAccount(entries: readonly Entry[]): OwnAccount {
  const fold = new BudgetProjection('own-data');
  const runs = new Map<string, OwnRun>();
  for (const entry of entries) {
    fold.apply(entry);
    if (entry.kind === 'reserve') {
      const { run, epsilon, delta } = entry;
      const budget = entry.budgets.map(budgetInWords).join('; ');
      runs.set(run, { run, budget, epsilon, delta, seen: null, state: 'set aside', roundsReleased: null });
    }
    const known = 'run' in entry && entry.run !== null ? runs.get(entry.run) : undefined;
    if (known === undefined) continue;
    if (entry.kind === 'charge') runs.set(known.run, { ...known, seen: { origin: entry.origin, index: entry.index } });
    if (entry.kind === 'plan.close') {
      const { revealed, roundsReleased } = entry;
      runs.set(known.run, { ...known, state: revealed ? 'charged' : 'given back', roundsReleased });
    }
  }
  const budgets = fold
    .status()
    .map(({ budget, epsilon, spent, reserved }) => ({ words: budgetInWords(budget), epsilon, spent, reserved }));
  return { size: entries.length, budgets, runs: [...runs.values()] };
}
