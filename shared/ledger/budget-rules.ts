import { fromBase64 } from '../core/bytes.ts';
import { canonicalJson } from '../core/canonical.ts';
import { type BudgetAuthority, type BudgetProjection, budgetInWords, keyText } from './budget.ts';
import { amountOf, amountText } from './decimal.ts';
import type { BudgetKey, EntryInput } from './entries.ts';
import type { BudgetErrorCode } from './errors.ts';
import { isHandover } from './key-chain.ts';
import { verifyStatement } from './statement.ts';

/** A rule that an entry breaks, with both values: what the fold allows and what the entry says. */
export interface BudgetProblem {
  readonly code: BudgetErrorCode;
  readonly what: string;
  readonly expected: string;
  readonly actual: string;
  readonly budget?: BudgetKey;
}

/** Minimum number of different keys that open or raise a budget. */
export const APPROVALS: Record<BudgetAuthority, number> = { 'two-person': 2, 'own-data': 1 };

/** The rule that `entry` would break as the next entry after `state`, or undefined. The same for appending and for verifying. */
export function budgetProblem(state: BudgetProjection, entry: EntryInput): BudgetProblem | undefined {
  switch (entry.kind) {
    case 'budget.open':
      return openingProblem(state, entry);
    case 'roster.update':
      return approversProblem(state, entry);
    case 'key.rotate':
      return approverKeyProblem(state, entry);
    case 'budget.lower':
      return loweringProblem(state, entry);
    case 'reserve':
      return reserveProblem(state, entry);
    case 'round.release':
    case 'round.abort':
      return entry.reservation === null ? undefined : heldProblem(state, entry.reservation);
    case 'plan.close':
      return entry.reservation === null
        ? undefined
        : (heldProblem(state, entry.reservation) ?? chargeProblem(state, entry.reservation, entry));
    default:
      return undefined;
  }
}

function openingProblem(
  state: BudgetProjection,
  { opening, authority, approvals }: EntryInput<'budget.open'>,
): BudgetProblem | undefined {
  const { budget, epsilon, delta } = opening;
  const problem = (code: BudgetErrorCode, what: string, expected: string, actual: string): BudgetProblem => ({
    code,
    what,
    expected,
    actual,
    budget,
  });
  if (authority !== state.authority)
    return problem('BUDGET_UNAPPROVED', 'the authority is not that of this ledger', state.authority, authority);
  const revision = state.revision(budget);
  if (opening.revision !== revision)
    return problem(
      'BUDGET_STATE',
      'the opening is for another state of the budget',
      `revision ${revision}`,
      `revision ${opening.revision}`,
    );
  const total = state.total(budget);
  if (total !== undefined) {
    const more = [amountOf(epsilon) - total.epsilon, amountOf(delta) - total.delta];
    const raises = more.every((m) => m >= 0n) && more.some((m) => m > 0n);
    if (!raises)
      return problem(
        'BUDGET_STATE',
        're-opening does not reset a budget; it can only be raised',
        `more than ${amounts(total)}`,
        `ε ${epsilon}, δ ${delta}`,
      );
  }
  const valid = validApprovals(state, 'budget.open', opening, approvals);
  if (valid >= APPROVALS[authority]) return undefined;
  return problem(
    'BUDGET_UNAPPROVED',
    'too few valid approvals by different keys',
    `${APPROVALS[authority]}`,
    `${valid}`,
  );
}

/** Once there are approvers, only they decide who joins or leaves them: two of them, or the only one. */
function approversProblem(
  state: BudgetProjection,
  { approvers, approvals = [] }: EntryInput<'roster.update'>,
): BudgetProblem | undefined {
  const names = new Set(approvers.map((a) => a.publicKey)).size;
  if (names !== approvers.length)
    return {
      code: 'BUDGET_STATE',
      what: 'an approver is named twice',
      expected: `${names}`,
      actual: `${approvers.length}`,
    };
  if (state.approvers.length === 0 || canonicalJson(state.approvers) === canonicalJson(approvers)) return undefined;
  const needed = Math.min(APPROVALS['two-person'], state.approvers.length);
  const valid = validApprovals(state, 'approvers', { approvers, revision: state.approverRevision }, approvals);
  if (valid >= needed) return undefined;
  return {
    code: 'BUDGET_UNAPPROVED',
    what: 'the approvers changed without enough approvals by those in office',
    expected: `${needed}`,
    actual: `${valid}`,
  };
}

/** An approver hands over to a key of their own: both keys say so, and nobody else needs to. */
function approverKeyProblem(
  state: BudgetProjection,
  { change, ...signatures }: EntryInput<'key.rotate'>,
): BudgetProblem | undefined {
  if (change.role !== 'approver') return undefined;
  const { name, oldPublicKey, newPublicKey } = change;
  const known = state.approvers.find((a) => a.name === name);
  if (known?.publicKey !== oldPublicKey)
    return {
      code: 'BUDGET_STATE',
      what: 'the key that hands over is not that of an approver in office',
      expected: known?.publicKey ?? `nobody called ${name}`,
      actual: oldPublicKey,
    };
  if (state.approvers.some((a) => a.publicKey === newPublicKey))
    return {
      code: 'BUDGET_STATE',
      what: 'the new key is an approver’s already: two people are two keys',
      expected: 'a new key',
      actual: newPublicKey,
    };
  if (isHandover({ change, ...signatures })) return undefined;
  return {
    code: 'BUDGET_UNAPPROVED',
    what: 'the change is not signed by the old and the new key',
    expected: '2 signatures',
    actual: 'fewer',
  };
}

/** Different keys that signed, of those that may. */
function validApprovals(
  state: BudgetProjection,
  kind: 'budget.open' | 'approvers',
  document: unknown,
  approvals: EntryInput<'budget.open'>['approvals'],
): number {
  const anyKey = state.approvers.length === 0 || state.authority === 'own-data';
  const valid = approvals.filter(
    (a) =>
      (anyKey || state.approvers.some((known) => known.publicKey === a.publicKey)) &&
      verifyStatement(kind, document, a.publicKey, a.signature),
  );
  return new Set(valid.map((a) => fromBase64(a.publicKey).join())).size;
}

function loweringProblem(
  state: BudgetProjection,
  { budget, epsilon, delta }: EntryInput<'budget.lower'>,
): BudgetProblem | undefined {
  const total = state.total(budget);
  if (total === undefined) return unknownBudget(budget);
  if (amountOf(epsilon) <= total.epsilon && amountOf(delta) <= total.delta) return undefined;
  return {
    code: 'BUDGET_STATE',
    what: 'the lowering raises',
    expected: `at most ${amounts(total)}`,
    actual: `ε ${epsilon}, δ ${delta}`,
    budget,
  };
}

function reserveProblem(state: BudgetProjection, entry: EntryInput<'reserve'>): BudgetProblem | undefined {
  const { reservation, budgets, epsilon, delta } = entry;
  if (state.reservation(reservation) !== undefined) {
    return {
      code: 'RESERVATION_CLOSED',
      what: 'the reservation id was used before',
      expected: 'a new id',
      actual: reservation,
    };
  }
  if (new Set(budgets.map(keyText)).size !== budgets.length) {
    return { code: 'BUDGET_STATE', what: 'a budget is named twice', expected: 'each once', actual: reservation };
  }
  for (const budget of budgets) {
    const left = state.left(budget);
    if (left === undefined) return unknownBudget(budget);
    if (amountOf(epsilon) <= left.epsilon && amountOf(delta) <= left.delta) continue;
    return {
      code: 'BUDGET_EXCEEDED',
      what: 'the reservation does not fit in what is left',
      expected: `at most ${amounts(left)}`,
      actual: `ε ${epsilon}, δ ${delta}`,
      budget,
    };
  }
  return undefined;
}

function heldProblem(state: BudgetProjection, reservation: string): BudgetProblem | undefined {
  const held = state.reservation(reservation);
  if (held?.state === 'held') return undefined;
  if (held === undefined)
    return {
      code: 'RESERVATION_UNKNOWN',
      what: 'there is no such reservation',
      expected: 'a reserve entry before it',
      actual: reservation,
    };
  return {
    code: 'RESERVATION_CLOSED',
    what: 'the reservation has ended',
    expected: 'an open reservation',
    actual: `${reservation} is ${held.state}`,
  };
}

function chargeProblem(
  state: BudgetProjection,
  reservation: string,
  entry: EntryInput<'plan.close'>,
): BudgetProblem | undefined {
  const held = state.reservation(reservation);
  if (held === undefined) return undefined;
  if (held.revealed && !entry.revealed) {
    return {
      code: 'RESERVATION_SPENT',
      what: 'something was revealed, so nothing can be given back',
      expected: 'revealed true',
      actual: 'revealed false',
    };
  }
  const due = entry.revealed ? held.amount : { epsilon: 0n, delta: 0n };
  if (amountOf(entry.epsilon) === due.epsilon && amountOf(entry.delta) === due.delta) return undefined;
  return {
    code: 'BUDGET_STATE',
    what: 'the charge is not what was reserved',
    expected: amounts(due),
    actual: `ε ${entry.epsilon}, δ ${entry.delta}`,
  };
}

function amounts({ epsilon, delta }: { readonly epsilon: bigint; readonly delta: bigint }): string {
  const floor = (x: bigint): string => amountText(x > 0n ? x : 0n);
  return `ε ${floor(epsilon)}, δ ${floor(delta)}`;
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
