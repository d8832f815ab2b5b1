import type { BudgetProjection } from './budget.ts';
import type { ApproverChange } from './entries.ts';

/** The list as it would be with these people in and those names out; a known name gets the new key in its place. */
export function changedApprovers(
  state: Pick<BudgetProjection, 'approvers' | 'approverRevision'>,
  add: readonly ApproverChange['approvers'][number][],
  remove: readonly string[],
): ApproverChange {
  const kept = state.approvers.filter(({ name }) => !remove.includes(name) && !add.some((a) => a.name === name));
  return { approvers: [...kept, ...add], revision: state.approverRevision };
}
