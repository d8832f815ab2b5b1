import { fromBase64 } from '../core/bytes.ts';
import { canonicalJson } from '../core/canonical.ts';
import { amountOf, amountText } from './decimal.ts';
import type { BudgetKey, BudgetOpening, Entry, EntryInput, EntryKind } from './entries.ts';
import type { BudgetErrorCode } from './errors.ts';
import { verifyStatement } from './statement.ts';

/**
 * Budgets as a fold over entries: scope × unit × period → (ε, δ), what is spent, reserved and left.
 *
 * Several reservations on one budget compose by basic composition (Dwork et al. 2006): their ε add up and their δ add up.
 * That is a bound, not the tightest one; what one certificate covers (all stages and rounds of one run) is composed
 * tightly inside it. Sums are exact decimal arithmetic, so "spent + reserved ≤ budget" has no tolerance.
 */
export interface Amounts {
  /** In units of 10^-60 (decimal.ts). */
  readonly epsilon: bigint;
  readonly delta: bigint;
}

/** A rule that an entry breaks, with both values: what the fold expects and what the entry says. */
export interface BudgetProblem {
  readonly code: BudgetErrorCode;
  readonly what: string;
  readonly expected: string;
  readonly actual: string;
  readonly budget?: BudgetKey;
}

export type BudgetAuthority = Entry<'budget.open'>['authority'];

interface Budget {
  readonly key: BudgetKey;
  readonly total: Amounts;
  /** Openings, raisings and lowerings so far. */
  readonly revision: number;
}

/** While a run goes on, what it says it has released is shown as spent and the rest as reserved; neither is available. */
interface Sums {
  readonly spent: Amounts;
  readonly reserved: Amounts;
}

interface Reservation {
  readonly entry: EntryInput<'reserve'>;
  readonly amount: Amounts;
  readonly revealed: boolean;
  readonly state: 'held' | 'spent' | 'released';
  /** What a run says it has released so far: for reading only. */
  readonly soFar: bigint;
}

export interface BudgetTimelineItem {
  readonly index: number;
  readonly at: string;
  readonly kind: EntryKind;
  /** Cumulative ε spent or shown as spent after this entry. */
  readonly epsilon: number;
  readonly note: string;
}

export interface BudgetStatus {
  readonly budget: BudgetKey;
  readonly epsilon: number;
  readonly delta: number;
  readonly spent: number;
  readonly spentDelta: number;
  /** Held by runs that have not ended; a leaked reservation stays here and counts as spent. */
  readonly reserved: number;
  readonly reservedDelta: number;
  readonly left: number;
  readonly leftDelta: number;
  readonly revision: number;
  readonly timeline: readonly BudgetTimelineItem[];
}

/** Minimum number of different keys that open or raise a budget. */
const APPROVALS: Record<BudgetAuthority, number> = { 'two-person': 2, 'own-data': 1 };

export class BudgetProjection {
  readonly #authority: BudgetAuthority;
  readonly #budgets = new Map<string, Budget>();
  readonly #reservations = new Map<string, Reservation>();
  /** Per budget, the sums over all reservations on it. */
  readonly #sums = new Map<string, Sums>();
  readonly #timelines = new Map<string, BudgetTimelineItem[]>();
  #approvers: readonly string[] = [];
  #next = 0;

  /** @param authority - who may open budgets in this ledger: two people, or the owner of the data in its own ledger */
  constructor(authority: BudgetAuthority = 'two-person') {
    this.#authority = authority;
  }

  /** Number of entries folded: the index of the next one. */
  get size(): number {
    return this.#next;
  }

  /** Takes in entry number `size`, also when it breaks a rule (the rules are for {@link problemOf} to find). */
  apply(entry: Entry): void {
    const index = this.#next++;
    switch (entry.kind) {
      case 'roster.update':
        this.#approvers = entry.approvers.map((a) => a.publicKey);
        return;
      case 'budget.open':
        this.#setTotal(entry.opening.budget, entry.opening.epsilon, entry.opening.delta);
        return this.#note(
          index,
          entry,
          [entry.opening.budget],
          `${entry.opening.revision === 0 ? 'opened' : 'raised'}: ε ${entry.opening.epsilon}`,
        );
      case 'budget.lower':
        this.#setTotal(entry.budget, entry.epsilon, entry.delta);
        return this.#note(index, entry, [entry.budget], `lowered to ε ${entry.epsilon}: ${entry.reason}`);
      case 'reserve': {
        const { version: _, at: __, ...input } = entry;
        const amount = { epsilon: amountOf(entry.epsilon), delta: amountOf(entry.delta) };
        if (!this.#reservations.has(entry.reservation)) {
          this.#setReservation({ entry: input, amount, revealed: false, state: 'held', soFar: 0n });
        }
        return this.#note(index, entry, entry.budgets, `reserved ε ${entry.epsilon} for run ${entry.run}`);
      }
      case 'refusal':
        if (entry.request !== null)
          this.#note(
            index,
            entry,
            [entry.request.budget],
            `refused ${entry.code}: asked ε ${entry.request.epsilon}, left ${entry.request.epsilonLeft}`,
          );
        return;
      case 'round.release':
        return this.#reveal(
          index,
          entry,
          entry.reservation,
          `run ${entry.run}, round ${entry.round}`,
          entry.epsilonSoFar,
        );
      case 'round.abort':
        if (entry.revealed)
          this.#reveal(
            index,
            entry,
            entry.reservation,
            `run ${entry.run}, round ${entry.round} aborted after shares left`,
            null,
          );
        return;
      case 'plan.close':
        return this.#close(index, entry);
      default:
        return;
    }
  }

  /** The rule that `entry` would break as entry number `size`, or undefined. */
  problemOf(entry: EntryInput): BudgetProblem | undefined {
    switch (entry.kind) {
      case 'budget.open':
        return this.#openingProblem(entry);
      case 'budget.lower':
        return this.#loweringProblem(entry);
      case 'reserve':
        return this.#reserveProblem(entry);
      case 'round.release':
      case 'round.abort':
        return entry.reservation === null ? undefined : this.#heldProblem(entry.reservation);
      case 'plan.close':
        return this.#closeProblem(entry);
      default:
        return undefined;
    }
  }

  /** Number of openings, raisings and lowerings of a budget: what the next opening must name. */
  revision(budget: BudgetKey): number {
    return this.#budgets.get(keyText(budget))?.revision ?? 0;
  }

  hasReservation(reservation: string): boolean {
    return this.#reservations.has(reservation);
  }

  /** ε and δ not yet spent or reserved; undefined when the budget was never opened. */
  left(budget: BudgetKey): Amounts | undefined {
    const held = this.#budgets.get(keyText(budget));
    if (held === undefined) return undefined;
    const { spent, reserved } = this.#sumsOf(budget);
    return {
      epsilon: held.total.epsilon - spent.epsilon - reserved.epsilon,
      delta: held.total.delta - spent.delta - reserved.delta,
    };
  }

  status(): readonly BudgetStatus[] {
    return [...this.#budgets.values()].map(({ key, total, revision }) => {
      const { spent, reserved } = this.#sumsOf(key);
      return {
        budget: key,
        revision,
        epsilon: number(total.epsilon),
        delta: number(total.delta),
        spent: number(spent.epsilon),
        spentDelta: number(spent.delta),
        reserved: number(reserved.epsilon),
        reservedDelta: number(reserved.delta),
        left: number(max0(total.epsilon - spent.epsilon - reserved.epsilon)),
        leftDelta: number(max0(total.delta - spent.delta - reserved.delta)),
        timeline: this.#timelines.get(keyText(key)) ?? [],
      };
    });
  }

  #openingProblem({ opening, authority, approvals }: EntryInput<'budget.open'>): BudgetProblem | undefined {
    const { budget } = opening;
    const held = this.#budgets.get(keyText(budget));
    if (authority !== this.#authority)
      return {
        code: 'BUDGET_UNAPPROVED',
        what: 'wrong authority for this ledger',
        expected: this.#authority,
        actual: authority,
        budget,
      };
    const revision = this.revision(budget);
    if (opening.revision !== revision)
      return {
        code: 'BUDGET_STATE',
        what: 'an opening for another state of the budget',
        expected: `revision ${revision}`,
        actual: `revision ${opening.revision}`,
        budget,
      };
    if (held !== undefined) {
      const [epsilon, delta] = [amountOf(opening.epsilon), amountOf(opening.delta)];
      const raises =
        epsilon >= held.total.epsilon &&
        delta >= held.total.delta &&
        (epsilon > held.total.epsilon || delta > held.total.delta);
      if (!raises)
        return {
          code: 'BUDGET_STATE',
          what: 're-opening a budget does not reset it; it can only be raised',
          expected: `more than ε ${amountText(held.total.epsilon)}`,
          actual: `ε ${opening.epsilon}`,
          budget,
        };
    }
    const needed = APPROVALS[authority];
    const valid = this.#validApprovals(opening, approvals);
    if (valid < needed)
      return {
        code: 'BUDGET_UNAPPROVED',
        what: 'not enough valid approvals by different keys',
        expected: `${needed}`,
        actual: `${valid}`,
        budget,
      };
    return undefined;
  }

  #validApprovals(opening: BudgetOpening, approvals: EntryInput<'budget.open'>['approvals']): number {
    const eligible = (key: string): boolean =>
      this.#approvers.length === 0 || this.#authority === 'own-data' || this.#approvers.includes(key);
    const valid = approvals.filter(
      (a) => eligible(a.publicKey) && verifyStatement('budget.open', opening, a.publicKey, a.signature),
    );
    return new Set(valid.map((a) => fromBase64(a.publicKey).join())).size;
  }

  #loweringProblem({ budget, epsilon, delta }: EntryInput<'budget.lower'>): BudgetProblem | undefined {
    const held = this.#budgets.get(keyText(budget));
    if (held === undefined) return unknownBudget(budget);
    if (amountOf(epsilon) <= held.total.epsilon && amountOf(delta) <= held.total.delta) return undefined;
    return {
      code: 'BUDGET_STATE',
      what: 'a lowering that raises',
      expected: `at most ε ${amountText(held.total.epsilon)}, δ ${amountText(held.total.delta)}`,
      actual: `ε ${epsilon}, δ ${delta}`,
      budget,
    };
  }

  #reserveProblem(entry: EntryInput<'reserve'>): BudgetProblem | undefined {
    const before = this.#reservations.get(entry.reservation);
    if (before !== undefined)
      return {
        code: 'RESERVATION_CLOSED',
        what: 'the reservation id was used before',
        expected: 'a new id',
        actual: entry.reservation,
      };
    if (new Set(entry.budgets.map(keyText)).size !== entry.budgets.length) {
      return {
        code: 'BUDGET_STATE',
        what: 'a budget is named twice',
        expected: 'each once',
        actual: entry.reservation,
      };
    }
    for (const budget of entry.budgets) {
      const left = this.left(budget);
      if (left === undefined) return unknownBudget(budget);
      if (amountOf(entry.epsilon) <= left.epsilon && amountOf(entry.delta) <= left.delta) continue;
      return {
        code: 'BUDGET_EXCEEDED',
        what: 'the reservation does not fit in what is left',
        expected: `at most ε ${amountText(max0(left.epsilon))}, δ ${amountText(max0(left.delta))}`,
        actual: `ε ${entry.epsilon}, δ ${entry.delta}`,
        budget,
      };
    }
    return undefined;
  }

  #heldProblem(reservation: string): BudgetProblem | undefined {
    const held = this.#reservations.get(reservation);
    if (held === undefined)
      return {
        code: 'RESERVATION_UNKNOWN',
        what: 'no such reservation',
        expected: 'a reserve entry before it',
        actual: reservation,
      };
    if (held.state === 'held') return undefined;
    return {
      code: 'RESERVATION_CLOSED',
      what: 'the reservation has ended',
      expected: 'an open reservation',
      actual: `${reservation} is ${held.state}`,
    };
  }

  #closeProblem(entry: EntryInput<'plan.close'>): BudgetProblem | undefined {
    if (entry.reservation === null) return undefined;
    const problem = this.#heldProblem(entry.reservation);
    if (problem !== undefined) return problem;
    const { revealed, amount } = this.#reservations.get(entry.reservation) as Reservation;
    if (revealed && !entry.revealed)
      return {
        code: 'RESERVATION_SPENT',
        what: 'something was revealed, so nothing can be given back',
        expected: 'revealed true',
        actual: 'revealed false',
      };
    const due = entry.revealed ? amount : { epsilon: 0n, delta: 0n };
    if (amountOf(entry.epsilon) === due.epsilon && amountOf(entry.delta) === due.delta) return undefined;
    return {
      code: 'BUDGET_STATE',
      what: 'the charge is not what was reserved',
      expected: `ε ${amountText(due.epsilon)}, δ ${amountText(due.delta)}`,
      actual: `ε ${entry.epsilon}, δ ${entry.delta}`,
    };
  }

  #setTotal(key: BudgetKey, epsilon: string, delta: string): void {
    this.#budgets.set(keyText(key), {
      key,
      total: { epsilon: amountOf(epsilon), delta: amountOf(delta) },
      revision: this.revision(key) + 1,
    });
  }

  #reveal(index: number, entry: Entry, reservation: string | null, note: string, soFar: string | null): void {
    const held = reservation === null ? undefined : this.#reservations.get(reservation);
    if (held === undefined || reservation === null) return;
    const shown = soFar === null ? held.soFar : min(held.amount.epsilon, amountOf(soFar));
    this.#setReservation({ ...held, revealed: true, soFar: shown > held.soFar ? shown : held.soFar });
    this.#note(index, entry, held.entry.budgets, note);
  }

  #close(index: number, entry: Entry<'plan.close'>): void {
    const held = entry.reservation === null ? undefined : this.#reservations.get(entry.reservation);
    if (held === undefined || entry.reservation === null || held.state !== 'held') return;
    const spent = held.revealed || entry.revealed;
    this.#setReservation({ ...held, state: spent ? 'spent' : 'released' });
    this.#note(
      index,
      entry,
      held.entry.budgets,
      spent
        ? `run ${entry.run} ${entry.outcome}: charged ε ${held.entry.epsilon}`
        : `run ${entry.run} ${entry.outcome}: nothing was revealed, given back`,
    );
  }

  #note(index: number, entry: Entry, budgets: readonly BudgetKey[], note: string): void {
    for (const budget of budgets) {
      const timeline = this.#timelines.get(keyText(budget)) ?? [];
      timeline.push({
        index,
        at: entry.at,
        kind: entry.kind,
        epsilon: number(this.#sumsOf(budget).spent.epsilon),
        note,
      });
      this.#timelines.set(keyText(budget), timeline);
    }
  }

  #sumsOf(budget: BudgetKey): Sums {
    return this.#sums.get(keyText(budget)) ?? { spent: NOTHING, reserved: NOTHING };
  }

  /** Puts a reservation in its new state and moves its part of the sums along. */
  #setReservation(next: Reservation): void {
    const before = this.#reservations.get(next.entry.reservation);
    this.#reservations.set(next.entry.reservation, next);
    for (const budget of next.entry.budgets) {
      let sums = this.#sumsOf(budget);
      if (before !== undefined) sums = combine(sums, partOf(before), (a, b) => a - b);
      this.#sums.set(
        keyText(budget),
        combine(sums, partOf(next), (a, b) => a + b),
      );
    }
  }
}

const NOTHING: Amounts = { epsilon: 0n, delta: 0n };

function partOf({ amount, state, soFar }: Reservation): Sums {
  if (state === 'released') return { spent: NOTHING, reserved: NOTHING };
  if (state === 'spent') return { spent: amount, reserved: NOTHING };
  return { spent: { epsilon: soFar, delta: 0n }, reserved: { epsilon: amount.epsilon - soFar, delta: amount.delta } };
}

function combine(a: Sums, b: Sums, by: (x: bigint, y: bigint) => bigint): Sums {
  const each = (x: Amounts, y: Amounts): Amounts => ({
    epsilon: by(x.epsilon, y.epsilon),
    delta: by(x.delta, y.delta),
  });
  return { spent: each(a.spent, b.spent), reserved: each(a.reserved, b.reserved) };
}

/** `scope · unit · period` */
export function budgetInWords({ scope, unit, period }: BudgetKey): string {
  return `${scope}, one ${unit}, ${period}`;
}

function keyText({ scope, unit, period }: BudgetKey): string {
  return canonicalJson([scope, unit, period]);
}

function unknownBudget(budget: BudgetKey): BudgetProblem {
  return {
    code: 'BUDGET_UNKNOWN',
    what: 'this budget was never opened',
    expected: 'a budget.open entry before it',
    actual: budgetInWords(budget),
    budget,
  };
}

function number(amount: bigint): number {
  return Number(amountText(amount));
}

function max0(amount: bigint): bigint {
  return amount > 0n ? amount : 0n;
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
