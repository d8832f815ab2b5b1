import express, { type Router } from 'express';
import { z } from 'zod';
import { budgetKeySchema, budgetOpeningSchema } from '../../shared/ledger/entries.ts';
import { openingEntry } from '../budget-opening.ts';
import type { CoordinatorService } from '../service.ts';
import { requireOperator } from './auth.ts';
import { HTTP_LIMITS } from './limits.ts';
import { parseAs } from './requests.ts';

const decimal = z.string().regex(/^\d+(\.\d+)?(e[-+]?\d+)?$/, 'a decimal number as text');
const openBody = z.strictObject({
  opening: budgetOpeningSchema,
  approvals: z
    .array(z.strictObject({ approver: z.string().min(1).max(200), publicKey: z.base64(), signature: z.base64() }))
    .min(1)
    .max(20),
});
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
  return router;
}
