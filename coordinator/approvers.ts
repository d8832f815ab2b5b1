import { canonicalBytes } from '../shared/core/canonical.ts';
import { sha256Hex } from '../shared/core/hash.ts';
import type { BudgetProjection } from '../shared/ledger/budget.ts';
import { BudgetBook } from '../shared/ledger/budget-book.ts';
import { type ApproverChange, rosterHash } from '../shared/ledger/entries.ts';
import type { Ledger } from '../shared/ledger/log.ts';
import type { Approval } from './budget-opening.ts';

/** The list as it would be with these people in and those names out. */
export function changedApprovers(
  state: BudgetProjection,
  add: readonly { readonly name: string; readonly publicKey: string }[],
  remove: readonly string[],
): ApproverChange {
  const kept = state.approvers.filter(({ name }) => !remove.includes(name) && !add.some((a) => a.name === name));
  return { approvers: [...kept, ...add], revision: state.approverRevision };
}

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
  const entries = [...(await ledger.entries(0))].reverse().map((r) => r.entry);
  const last = entries.find((e) => e.kind === 'roster.update');
  const [hash, members] =
    last?.kind === 'roster.update' ? [last.rosterHash, last.members] : [rosterHash([]), [] as never[]];
  const { index } = await new BudgetBook(ledger).append(
    {
      kind: 'roster.update',
      rosterHash: hash,
      members,
      approvers: change.approvers,
      ...(approvals.length === 0 ? {} : { approvals: [...approvals] }),
    },
    `approvers/${change.revision}/${sha256Hex(canonicalBytes(change))}`,
  );
  await ledger.checkpoint();
  return { index };
}
