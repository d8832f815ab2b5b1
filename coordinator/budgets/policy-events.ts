import { z } from 'zod';
import {
  type ApproverChange,
  approvalSchema,
  approverChangeSchema,
  type BudgetOpening,
  budgetOpeningSchema,
} from '../../shared/ledger/entries.ts';
import type { Approval } from './budget-opening.ts';

/** Events of stream `policy`. An id is the hex SHA-256 of the RFC 8785 text of the document that is signed. */
export type PolicyEvent =
  | { readonly kind: 'propose'; readonly id: string; readonly at: string; readonly opening: BudgetOpening }
  | { readonly kind: 'proposeApprovers'; readonly id: string; readonly at: string; readonly change: ApproverChange }
  | { readonly kind: 'approve'; readonly id: string; readonly approval: Approval }
  | { readonly kind: 'withdraw'; readonly id: string };

const id = z.string().regex(/^[0-9a-f]{64}$/);
const at = z.iso.datetime();
export const policyEvent: z.ZodType<PolicyEvent> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('propose'), id, at, opening: budgetOpeningSchema }),
  z.object({ kind: z.literal('proposeApprovers'), id, at, change: approverChangeSchema }),
  z.object({ kind: z.literal('approve'), id, approval: approvalSchema }),
  z.object({ kind: z.literal('withdraw'), id }),
]);
