import { canonicalJson } from '../core/canonical.ts';
import { amountOf, amountText } from './decimal.ts';
import type { BudgetKey, Entry, EntryKind } from './entries.ts';

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

export interface Reservation {
  readonly entry: Entry<'reserve'>;
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

export class BudgetProjection {
  /** Who may open budgets in this ledger: two people, or the owner of the data in its own ledger. */
  readonly authority: BudgetAuthority;
  readonly #budgets = new Map<string, Budget>();
  readonly #reservations = new Map<string, Reservation>();
  /** Per budget, the sums over all reservations on it. */
  readonly #sums = new Map<string, Sums>();
  readonly #timelines = new Map<string, BudgetTimelineItem[]>();
  #approvers: Entry<'roster.update'>['approvers'] = [];
  #approverRevision = 0;
  #next = 0;

  constructor(authority: BudgetAuthority = 'two-person') {
    this.authority = authority;
  }

  /** Who may approve from here on; empty while no roster names any. */
  get approvers(): Entry<'roster.update'>['approvers'] {
    return this.#approvers;
  }

  /** Number of changes of that list: what the next change must name. */
  get approverRevision(): number {
    return this.#approverRevision;
  }

  /** Number of entries folded: the index of the next one. */
  get size(): number {
    return this.#next;
  }

  /** Takes in entry number `size`, also when it breaks a rule (rules: budget-rules.ts). */
  apply(entry: Entry): void {
    const index = this.#next++;
    switch (entry.kind) {
      case 'roster.update':
        if (canonicalJson(this.#approvers) !== canonicalJson(entry.approvers)) this.#approverRevision++;
        this.#approvers = entry.approvers;
        break;
      case 'key.rotate':
        this.#rekeyApprover(entry);
        break;
      case 'budget.open': {
        const { budget, epsilon, delta, revision } = entry.opening;
        this.#setTotal(budget, epsilon, delta);
        this.#note(index, entry, [budget], `${revision === 0 ? 'opened' : 'raised'}: ε ${epsilon}`);
        break;
      }
      case 'budget.lower':
        this.#setTotal(entry.budget, entry.epsilon, entry.delta);
        this.#note(index, entry, [entry.budget], `lowered to ε ${entry.epsilon}: ${entry.reason}`);
        break;
      case 'reserve':
        this.#reserve(index, entry);
        break;
      case 'refusal':
        if (entry.request !== null) {
          const { budget, epsilon, epsilonLeft } = entry.request;
          this.#note(index, entry, [budget], `refused ${entry.code}: asked ε ${epsilon}, left ${epsilonLeft}`);
        }
        break;
      case 'round.release':
        this.#reveal(index, entry, `run ${entry.run}, round ${entry.round}`, entry.epsilonSoFar);
        break;
      case 'round.abort':
        if (entry.revealed)
          this.#reveal(index, entry, `run ${entry.run}, round ${entry.round} aborted after shares left`, null);
        break;
      case 'plan.close':
        this.#close(index, entry);
        break;
    }
  }

  /** Number of openings, raisings and lowerings of a budget: what the next opening must name. */
  revision(budget: BudgetKey): number {
    return this.#budgets.get(keyText(budget))?.revision ?? 0;
  }

  /** The whole of a budget, undefined when it was never opened. */
  total(budget: BudgetKey): Amounts | undefined {
    return this.#budgets.get(keyText(budget))?.total;
  }

  reservation(id: string): Reservation | undefined {
    return this.#reservations.get(id);
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
        left: number(atLeast(0n, total.epsilon - spent.epsilon - reserved.epsilon)),
        leftDelta: number(atLeast(0n, total.delta - spent.delta - reserved.delta)),
        timeline: this.#timelines.get(keyText(key)) ?? [],
      };
    });
  }

  /** A change of the list like any other: what was signed over the old list does not fit the new one. */
  #rekeyApprover({ change: { role, name, oldPublicKey, newPublicKey } }: Entry<'key.rotate'>): void {
    const isThis = (a: { readonly name: string; readonly publicKey: string }): boolean =>
      a.name === name && a.publicKey === oldPublicKey;
    if (role !== 'approver' || !this.#approvers.some(isThis)) return;
    this.#approvers = this.#approvers.map((a) => (isThis(a) ? { name, publicKey: newPublicKey } : a));
    this.#approverRevision++;
  }

  #setTotal(key: BudgetKey, epsilon: string, delta: string): void {
    this.#budgets.set(keyText(key), {
      key,
      total: { epsilon: amountOf(epsilon), delta: amountOf(delta) },
      revision: this.revision(key) + 1,
    });
  }

  #reserve(index: number, entry: Entry<'reserve'>): void {
    if (this.#reservations.has(entry.reservation)) return;
    const amount = { epsilon: amountOf(entry.epsilon), delta: amountOf(entry.delta) };
    this.#setReservation({ entry, amount, revealed: false, state: 'held', soFar: 0n });
    this.#note(index, entry, entry.budgets, `reserved ε ${entry.epsilon} for run ${entry.run}`);
  }

  #reveal(
    index: number,
    entry: Entry<'round.release'> | Entry<'round.abort'>,
    note: string,
    soFar: string | null,
  ): void {
    const held = entry.reservation === null ? undefined : this.#reservations.get(entry.reservation);
    if (held === undefined) return;
    const told = soFar === null ? 0n : amountOf(soFar);
    this.#setReservation({ ...held, revealed: true, soFar: atMost(held.amount.epsilon, atLeast(held.soFar, told)) });
    this.#note(index, entry, held.entry.budgets, note);
  }

  #close(index: number, entry: Entry<'plan.close'>): void {
    const held = entry.reservation === null ? undefined : this.#reservations.get(entry.reservation);
    if (held?.state !== 'held') return;
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

export function keyText({ scope, unit, period }: BudgetKey): string {
  return canonicalJson([scope, unit, period]);
}

function number(amount: bigint): number {
  return Number(amountText(amount));
}

function atLeast(low: bigint, amount: bigint): bigint {
  return amount > low ? amount : low;
}

function atMost(high: bigint, amount: bigint): bigint {
  return amount < high ? amount : high;
}
