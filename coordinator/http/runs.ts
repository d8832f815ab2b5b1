import express, { type Router } from 'express';
import { z } from 'zod';
import { utf8 } from '../../shared/core/bytes.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { LIMITS } from '../../shared/core/limits.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { RunView } from '../../shared/protocol/views.ts';
import type { CoordinatorService } from '../service.ts';
import { requireOperator } from './auth.ts';
import { noStore } from './headers.ts';
import { HTTP_LIMITS } from './limits.ts';
import { idOf, parseAs } from './requests.ts';

const runBody = z.strictObject({
  /** The plan file's text, YAML or JSON. */
  plan: z.string().min(1).max(LIMITS.planBytes),
  /** The coordinator's own labelled texts, JSON Lines: the first chooses the best round, the second is only reported. */
  validation: z.string().min(1),
  test: z.string().min(1),
});
const stopBody = z.strictObject({ reason: z.string().min(1).max(500).default('stopped by the operator') });
const invitationBody = z.strictObject({
  organisation: z.string().min(1).max(200).optional(),
  uses: z.number().int().min(1).max(LIMITS.cohortClients).default(1),
  replaces: z.strictObject({ clientId: z.string().min(1).max(64), reason: z.string().min(1).max(1000) }).optional(),
  validHours: z
    .number()
    .positive()
    .max(24 * 366)
    .default(24),
});

/** Lists and shows runs; the operator creates, stops and invites. */
export function runsRouter(service: CoordinatorService, operatorToken: string, now: () => number): Router {
  const router = express.Router();
  const operator = requireOperator(operatorToken);
  const small = express.json({ limit: HTTP_LIMITS.smallBodyBytes, inflate: false });

  router.get('/runs', noStore, (_request, response) => {
    response.json(service.runs());
  });
  router.get('/runs/:id', noStore, (request, response) => {
    response.json(existing(service, idOf(request)));
  });
  router.get('/runs/:id/rounds', noStore, (request, response) => {
    existing(service, idOf(request));
    response.json(service.rounds(idOf(request)));
  });
  router.post(
    '/runs',
    operator,
    express.json({ limit: HTTP_LIMITS.runBytes, inflate: false }),
    async (request, response) => {
      const { plan, validation, test } = parseAs(runBody, request.body, request);
      const heldOut = { validation: utf8(validation), test: utf8(test) };
      const run = await service.createRun(plan, 'the request’s plan', heldOut);
      response.status(201).location(`/api/v1/runs/${run.id}`).json(run);
    },
  );
  router.post('/runs/:id/stop', operator, small, async (request, response) => {
    existing(service, idOf(request));
    const { reason } = parseAs(stopBody, request.body ?? {}, request);
    response.json(await service.stopRun(idOf(request), reason));
  });
  router.post('/runs/:id/invitations', operator, small, async (request, response) => {
    existing(service, idOf(request));
    const { organisation, uses, validHours, replaces } = parseAs(invitationBody, request.body ?? {}, request);
    const expiresAt = now() + validHours * 3_600_000;
    const invitation = await service.invite(idOf(request), {
      uses,
      expiresAt,
      ...(organisation === undefined ? {} : { organisation }),
      ...(replaces === undefined ? {} : { replaces }),
    });
    response.status(201).json({ ...invitation, expiresAt: new Date(expiresAt).toISOString() });
  });
  return router;
}

function existing(service: CoordinatorService, id: string): RunView {
  const run = service.run(id);
  if (run === undefined) {
    throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'there is no such run', {
      where: `run ${id}`,
      fix: 'GET /api/v1/runs lists those there are.',
    });
  }
  return run;
}
