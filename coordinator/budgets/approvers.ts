import { canonicalBytes } from '../../shared/core/canonical.ts';
import { errorCode } from '../../shared/core/errors.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import { BudgetProjection } from '../../shared/ledger/budget.ts';
import { BudgetBook, refused } from '../../shared/ledger/budget-book.ts';
import { type BudgetProblem, budgetProblem } from '../../shared/ledger/budget-rules.ts';
import { type ApproverChange, type Entry, type EntryInput, rosterHash } from '../../shared/ledger/entries.ts';
import { type Handover, handoverOperation } from '../../shared/ledger/key-chain.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import type { Approval } from './budget-opening.ts';

/**
 * Puts a list of approvers in force, with the members of the last roster as they are. The first list is the operator's; every
 * later one needs the approvals of those in office.
 * @throws BUDGET_UNAPPROVED, BUDGET_STATE
 */
export async function setApprovers(
  ledger: Ledger,
  change: ApproverChange,
  approvals: readonly Approval[],
): Promise<{ readonly index: number }> {
  for (;;) {
    const expectedSize = ledger.size;
    const entries = (await ledger.entries(0)).map((r) => r.entry);
    const entry = rosterWith(entries, change, approvals);
    const state = new BudgetProjection();
    for (const e of entries) state.apply(e);
    const opId = changeOperation(change);
    const problem = ledger.operation(opId) === undefined ? changeProblem(state, change, approvals) : undefined;
    if (problem !== undefined) throw refused(problem);
    try {
      const { index } = await ledger.append(entry, opId, { expectedSize });
      await ledger.checkpoint();
      return { index };
    } catch (error) {
      // Somebody appended meanwhile, perhaps another roster: decide anew, so that its members are not put back.
      if (errorCode(error) !== 'LEDGER_MOVED') throw error;
      await ledger.refresh();
    }
  }
}

/**
 * Takes in that an approver in office has handed over to another key of their own.
 * @throws BUDGET_STATE when the old key is not theirs, BUDGET_UNAPPROVED without both signatures, LEDGER_KEY_UNKNOWN when it is
 * for another ledger or a key comes back
 */
export async function rotateApprover(ledger: Ledger, handover: Handover): Promise<{ readonly index: number }> {
  const operation = handoverOperation(handover);
  const known = ledger.operation(operation);
  // Said again after it broke off, perhaps with another reason: the first one stands.
  if (known !== undefined) return { index: known };
  const { index } = await new BudgetBook(ledger).append({ kind: 'key.rotate', ...handover }, operation);
  await ledger.checkpoint();
  return { index };
}

function rosterWith(
  entries: readonly Entry[],
  { approvers }: ApproverChange,
  approvals: readonly Approval[],
): EntryInput<'roster.update'> {
  const last = entries.findLast((e) => e.kind === 'roster.update');
  return {
    kind: 'roster.update',
    rosterHash: last?.rosterHash ?? rosterHash([]),
    members: last === undefined ? [] : last.members,
    approvers,
    ...(approvals.length === 0 ? {} : { approvals: [...approvals] }),
  };
}

/** Operation of a change: said twice, it happens once. */
export function changeOperation(change: ApproverChange): string {
  return `approvers/${change.revision}/${sha256Hex(canonicalBytes(change))}`;
}

/** The rule that a change with these signatures would break. */
export function changeProblem(
  state: BudgetProjection,
  change: ApproverChange,
  approvals: readonly Approval[],
): BudgetProblem | undefined {
  if (change.revision === state.approverRevision) return budgetProblem(state, rosterWith([], change, approvals));
  return {
    code: 'BUDGET_STATE',
    what: 'the change is for another list of approvers',
    expected: `revision ${state.approverRevision}`,
    actual: `revision ${change.revision}`,
  };
}
