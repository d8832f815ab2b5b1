import express, { type Request, type Router } from 'express';
import { z } from 'zod';
import {
  approvalSchema,
  approverChangeSchema,
  budgetKeySchema,
  budgetOpeningSchema,
  handoverSchema,
} from '../../shared/ledger/entries.ts';
import { openingEntry } from '../budgets/budget-opening.ts';
import type { CoordinatorService } from '../service.ts';
import { mustBeOperator, requireOperator } from './auth.ts';
import { HTTP_LIMITS } from './limits.ts';
import { idOf, parseAs } from './requests.ts';

const decimal = z.string().regex(/^\d+(\.\d+)?(e[-+]?\d+)?$/, 'a decimal number as text');
const openBody = z.strictObject({ opening: budgetOpeningSchema, approvals: z.array(approvalSchema).min(1).max(20) });
const proposalBody = budgetOpeningSchema.partial({ revision: true });
const proposedApprovers = approverChangeSchema.partial({ revision: true });
const approversBody = z.strictObject({ change: approverChangeSchema, approvals: z.array(approvalSchema).max(20) });
const lowerBody = z.strictObject({
  budget: budgetKeySchema,
  epsilon: decimal,
  delta: decimal,
  reason: z.string().min(1).max(1000),
});

/** Opens, raises and lowers budgets while the coordinator runs. Who approved is decided by signatures, not by the token. */
export function budgetsRouter(service: CoordinatorService, operatorToken: string): Router {
  const router = express.Router();
  const operator = requireOperator(operatorToken);
  const small = express.json({ limit: HTTP_LIMITS.smallBodyBytes, inflate: false });
  router.post('/budgets', operator, small, async (request, response) => {
    const { opening, approvals } = parseAs(openBody, request.body, request);
    const { index } = await service.openBudget(openingEntry(opening, approvals));
    response.status(201).json({ ledgerIndex: index });
  });
  router.post('/budgets/lower', operator, small, async (request, response) => {
    const lowering = parseAs(lowerBody, request.body, request);
    const { index } = await service.lowerBudget({ kind: 'budget.lower', ...lowering });
    response.json({ ledgerIndex: index });
  });
  router.get('/budgets/proposals', async (_request, response) => {
    response.json(await service.policy.view());
  });
  router.post('/budgets/proposals', operator, small, async (request, response) => {
    response.status(201).json(await service.policy.propose(parseAs(proposalBody, request.body, request)));
  });
  router.delete('/budgets/proposals/:id', operator, async (request, response) => {
    await service.policy.withdraw(idOf(request));
    response.status(204).end();
  });
  router.post('/budgets/proposals/:id/approvals', small, async (request, response) => {
    const approval = parseAs(approvalSchema, request.body, request);
    await signerOrOperator(service, operatorToken, request);
    response.status(201).json(await service.policy.approve(idOf(request), approval));
  });
  router.post('/approvers/proposals', operator, small, async (request, response) => {
    response.status(201).json(await service.policy.proposeApprovers(parseAs(proposedApprovers, request.body, request)));
  });
  // Both keys of an approver have signed it, and only one in office can: no token beside it.
  router.post('/approvers/keys', small, async (request, response) => {
    const handover = parseAs(handoverSchema, request.body, request);
    const { index } = await service.policy.rotateApprover(handover);
    response.status(201).json({ ledgerIndex: index });
  });
  router.post('/approvers', operator, small, async (request, response) => {
    const { change, approvals } = parseAs(approversBody, request.body, request);
    const { index } = await service.policy.setApprovers(change, approvals);
    response.status(201).json({ ledgerIndex: index });
  });
  return router;
}

/**
 * An approver's signature is its own authority. While nobody is in office any key counts, so the operator has to say
 * whose signatures are taken: otherwise two strangers' keys would open a budget. @throws NOT_AUTHORISED
 */
async function signerOrOperator(service: CoordinatorService, operatorToken: string, request: Request): Promise<void> {
  const { approvers } = await service.policy.view();
  if (approvers.length === 0) mustBeOperator(operatorToken, request);
}
