import { base64 } from '../../shared/core/bytes.ts';
import { canonicalBytes } from '../../shared/core/canonical.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import type { Signer } from '../../shared/core/signing.ts';
import {
  type ApproverChange,
  type BudgetKey,
  type BudgetOpening,
  budgetOpeningSchema,
  type EntryInput,
} from '../../shared/ledger/entries.ts';
import { signStatement } from '../../shared/ledger/statement.ts';

type Opening = EntryInput<'budget.open'>;
export type Approval = Opening['approvals'][number];

/** One person's signature over exactly this opening. */
export function approve(opening: BudgetOpening, name: string, signer: Signer): Approval {
  return {
    approver: name,
    publicKey: base64(signer.publicKey),
    signature: signStatement('budget.open', opening, signer),
  };
}

/** One approver's signature under a new list of approvers. */
export function approveChange(change: ApproverChange, name: string, signer: Signer): Approval {
  return {
    approver: name,
    publicKey: base64(signer.publicKey),
    signature: signStatement('approvers', change, signer),
  };
}

/** The entry that opens or raises a budget with two people's approvals. */
export function openingEntry(opening: BudgetOpening, approvals: readonly Approval[]): Opening {
  return {
    kind: 'budget.open',
    opening: budgetOpeningSchema.parse(opening),
    authority: 'two-person',
    approvals: [...approvals],
  };
}

/** Operation of the lowering that follows `revision` earlier decisions on a budget: said twice, it happens once. */
export function loweringOf(budget: BudgetKey, revision: number): string {
  return `${sha256Hex(canonicalBytes(budget))}/${revision}`;
}
