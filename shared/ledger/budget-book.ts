import { canonicalBytes } from '../core/canonical.ts';
import { errorCode, TacitError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import { type BudgetAuthority, BudgetProjection, type BudgetStatus, budgetInWords } from './budget.ts';
import { type BudgetProblem, budgetProblem } from './budget-rules.ts';
import { amountText } from './decimal.ts';
import type { BudgetKey, BudgetOpening, EntryInput, EntryKind } from './entries.ts';
import type { BudgetErrorCode } from './errors.ts';
import type { Durable, Ledger } from './log.ts';

const FIXES: Record<BudgetErrorCode, string> = {
  BUDGET_EXCEEDED:
    'Ask for a smaller ε (more noise, fewer rounds), wait for the next period, or have two people raise the budget.',
  BUDGET_UNKNOWN: 'Open the budget first: tacit budget open, with two approvals.',
  BUDGET_STATE: 'Read the budget as it is now and decide again.',
  BUDGET_UNAPPROVED: 'Have two different people who may approve sign the document as it stands.',
  RESERVATION_UNKNOWN: 'Reserve before anything leaves.',
  RESERVATION_CLOSED: 'Reserve anew under another id.',
  RESERVATION_SPENT: 'Close it as revealed: it is charged whole.',
};

/**
 * Budgets that are decided on the ledger itself: every decision is made on the fold of all entries and appended at exactly
 * that size, so of two coordinators (or two runs) that ask at once, one decides anew on what the other appended. Nothing
 * is kept besides the ledger; a crash between any two steps leaves either no entry or a reservation that counts as spent.
 */
export class BudgetBook {
  readonly #ledger: Ledger;
  readonly #projection: BudgetProjection;

  constructor(ledger: Ledger, authority: BudgetAuthority = 'two-person') {
    this.#ledger = ledger;
    this.#projection = new BudgetProjection(authority);
  }

  /** Opens or raises a budget. @throws BUDGET_UNAPPROVED, BUDGET_STATE */
  open(entry: EntryInput<'budget.open'>): Promise<Durable<'budget.open'>> {
    return this.append(entry, openingOperation(entry.opening));
  }

  /** @throws BUDGET_UNKNOWN, BUDGET_STATE */
  lower(entry: EntryInput<'budget.lower'>, opId: string): Promise<Durable<'budget.lower'>> {
    return this.append(entry, `budget.lower/${opId}`);
  }

  /**
   * Holds ε and δ of every named budget, all or none. Must resolve before weights leave. Asking again with the same id and
   * amounts gives the reservation that is there.
   * @throws BUDGET_EXCEEDED after the refusal is a durable entry; BUDGET_UNKNOWN, LEDGER_OPERATION_REUSED
   */
  reserve(entry: EntryInput<'reserve'>): Promise<Durable<'reserve'>> {
    return this.append(entry, `reserve/${entry.reservation}`);
  }

  /**
   * Ends a run: charged whole when anything was revealed, given back otherwise.
   * @throws RESERVATION_UNKNOWN, RESERVATION_CLOSED, RESERVATION_SPENT (giving back what was revealed), BUDGET_STATE
   */
  close(entry: EntryInput<'plan.close'>): Promise<Durable<'plan.close'>> {
    return this.append(entry, `plan.close/${entry.run}`);
  }

  /** The budgets as of all entries known here. */
  async status(): Promise<readonly BudgetStatus[]> {
    await this.#sync();
    return this.#projection.status();
  }

  /** The fold of all entries known here: to read from, never to apply to. */
  async state(): Promise<BudgetProjection> {
    await this.#sync();
    return this.#projection;
  }

  /** The `revision` that the next opening of this budget must name. */
  async revision(budget: BudgetKey): Promise<number> {
    await this.#sync();
    return this.#projection.revision(budget);
  }

  /**
   * Any entry, after the budgets' rules for its kind: releases and aborts under a reservation that is open.
   * @throws the codes of the methods above
   */
  async append<K extends EntryKind>(entry: EntryInput<K>, opId: string): Promise<Durable<K>> {
    for (;;) {
      await this.#sync();
      const expectedSize = this.#projection.size;
      // A retry after a crash: the rules were checked when it was appended.
      const retried = this.#ledger.operation(opId) !== undefined;
      const problem = retried ? undefined : budgetProblem(this.#projection, entry as unknown as EntryInput);
      try {
        if (problem !== undefined) {
          await this.#refuse(entry as unknown as EntryInput, problem, expectedSize);
          throw refused(problem);
        }
        return await this.#ledger.append(entry, opId, { expectedSize });
      } catch (error) {
        if (errorCode(error) !== 'LEDGER_MOVED') throw error;
      }
    }
  }

  /** A reservation that does not fit is an entry too: an auditor sees what was tried. */
  async #refuse(entry: EntryInput, problem: BudgetProblem, expectedSize: number): Promise<void> {
    if (entry.kind !== 'reserve' || problem.code !== 'BUDGET_EXCEEDED' || problem.budget === undefined) return;
    const left = this.#projection.left(problem.budget) ?? { epsilon: 0n, delta: 0n };
    await this.#ledger.append(
      {
        kind: 'refusal',
        run: entry.run,
        planHash: entry.planHash,
        by: 'coordinator',
        code: problem.code,
        reason: `${problem.what}: ${problem.actual}, allowed ${problem.expected}`,
        request: {
          reservation: entry.reservation,
          budget: problem.budget,
          epsilon: entry.epsilon,
          delta: entry.delta,
          epsilonLeft: amountText(left.epsilon),
          deltaLeft: amountText(left.delta),
        },
        statement: null,
      },
      `refusal/${entry.reservation}/${expectedSize}`,
      { expectedSize },
    );
  }

  async #sync(): Promise<void> {
    const from = this.#projection.size;
    for (const { index, entry } of await this.#ledger.entries(from)) {
      // Two calls may have read the same entries while they waited.
      if (index === this.#projection.size) this.#projection.apply(entry);
    }
  }
}

/** The operation under which an opening is in the ledger: it ends with the SHA-256 of what its approvers signed. */
export function openingOperation(opening: BudgetOpening): string {
  return `budget.open/${sha256Hex(canonicalBytes(opening))}`;
}

/** What a caller is told whose entry breaks a rule. */
export function refused({ code, what, expected, actual, budget }: BudgetProblem): TacitError<BudgetErrorCode> {
  return new TacitError<BudgetErrorCode>(code, `${what}: ${actual}, allowed ${expected}`, {
    fix: FIXES[code],
    ...(budget === undefined ? {} : { where: budgetInWords(budget) }),
  });
}
