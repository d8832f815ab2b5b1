import { canonicalJson } from '../../shared/core/canonical.ts';
import type { BudgetProjection } from '../../shared/ledger/budget.ts';
import { openingOperation } from '../../shared/ledger/budget-book.ts';
import { APPROVALS, type BudgetProblem, budgetProblem } from '../../shared/ledger/budget-rules.ts';
import type { ProposedDocument } from '../../shared/protocol/views.ts';
import { changeOperation, changeProblem } from './approvers.ts';
import { type Approval, openingEntry } from './budget-opening.ts';

/** A proposal that nobody completed by then has to be made anew: what was signed long ago is not what is meant today. */
export const PROPOSAL_DAYS = 30;

/** A document that waits for signatures. */
export type Proposal = ProposedDocument & {
  readonly id: string;
  readonly at: string;
  readonly approvals: Approval[];
};

export function expiryOf({ at }: Pick<Proposal, 'at'>): number {
  return Date.parse(at) + PROPOSAL_DAYS * 86_400_000;
}

/** Operation of the ledger under which it takes effect. */
export function operationOf(p: ProposedDocument): string {
  return p.kind === 'budget.open' ? openingOperation(p.document) : changeOperation(p.document);
}

/** It is for the budget, or the list, as it stands. */
export function isCurrent(p: ProposedDocument, state: BudgetProjection): boolean {
  const revision = p.kind === 'budget.open' ? state.revision(p.document.budget) : state.approverRevision;
  return p.document.revision === revision;
}

/** The ledger's rule that it would break with these signatures. */
export function problemWith(
  p: ProposedDocument,
  state: BudgetProjection,
  approvals: readonly Approval[],
): BudgetProblem | undefined {
  if (p.kind === 'budget.open') return budgetProblem(state, openingEntry(p.document, approvals));
  const { approvers } = p.document;
  if (canonicalJson(approvers) === canonicalJson(state.approvers))
    return {
      code: 'BUDGET_STATE',
      what: 'these are the approvers already',
      expected: 'another list',
      actual: approvers.map((a) => a.name).join(', ') || 'nobody',
    };
  return changeProblem(state, p.document, approvals);
}

/** Signatures by different approvers in office that put it in force. */
export function neededFor({ kind }: ProposedDocument, state: BudgetProjection): number {
  return kind === 'budget.open'
    ? APPROVALS[state.authority]
    : Math.min(APPROVALS['two-person'], state.approvers.length);
}

export function mayApprove(state: BudgetProjection, publicKey: string): boolean {
  return state.approvers.length === 0 || state.approvers.some((known) => known.publicKey === publicKey);
}
