import { createHash } from 'node:crypto';
import express, { type Request, type RequestHandler, type Response, type Router } from 'express';
import { z } from 'zod';
import { TacitError } from '../../shared/core/errors.ts';
import { LIMITS } from '../../shared/core/limits.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { CoordinatorService } from '../service.ts';
import { participantOf } from './auth.ts';
import type { HttpErrorCode } from './errors.ts';
import { HTTP_LIMITS } from './limits.ts';
import { parseAs } from './requests.ts';

const positive = z
  .string()
  .regex(/^[1-9]\d{0,8}$/, 'a whole number from 1')
  .transform(Number);
const path = z.object({
  run: z.string().min(1).max(200),
  session: z
    .string()
    .regex(/^[1-9]\d{0,8}\.[1-9]\d{0,8}$/, 'round and attempt are written as 3.1')
    .transform((text) => {
      const [round, attempt] = text.split('.').map(Number) as [number, number];
      return { round, attempt };
    }),
  index: z.union([z.literal('0').transform(Number), positive]),
});
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'X-Content-SHA256 is the body’s SHA-256 in lower-case hex');

/**
 * PUT /runs/{run}/rounds/{round}.{attempt}/uploads/{index}: one piece of a masked update; sending the same again is no harm. HEAD
 * says which piece is there, for a client whose connection broke.
 */
export function uploadsRouter(service: CoordinatorService, received: (bytes: number) => void): Router {
  const router = express.Router();
  // Who asks is known before the first byte of the body is read.
  const participant: RequestHandler = (request, response, next) => {
    response.locals.session = participantOf(service, request);
    next();
  };
  const sending = new Map<string, number>();
  const fewAtOnce: RequestHandler = (_request, response, next) => {
    const { clientId } = response.locals.session as { clientId: string };
    const now = sending.get(clientId) ?? 0;
    if (now >= HTTP_LIMITS.uploadsInFlight) {
      throw new TacitError<HttpErrorCode>('BUSY', `${now} pieces of this participant are on their way already`, {
        fix: 'Send one after the other.',
      });
    }
    sending.set(clientId, now + 1);
    response.once('close', () => {
      const left = (sending.get(clientId) as number) - 1;
      if (left === 0) sending.delete(clientId);
      else sending.set(clientId, left);
    });
    next();
  };
  const raw = express.raw({ type: () => true, limit: LIMITS.chunkBytes, inflate: false });
  router.put('/runs/:run/rounds/:session/uploads/:index', participant, fewAtOnce, raw, async (request, response) => {
    const place = placeOf(request, response);
    const { index } = place;
    const bytes: unknown = request.body;
    if (!Buffer.isBuffer(bytes) || bytes.length === 0) {
      throw new TacitError<HttpErrorCode>('REQUEST_INVALID', 'the body is empty', { where: `chunk ${index}` });
    }
    const claimed = parseAs(sha256, request.headers['x-content-sha256'], request);
    if (createHash('sha256').update(bytes).digest('hex') !== claimed) {
      throw new TacitError<HttpErrorCode>('CHECKSUM_MISMATCH', 'the body is not what X-Content-SHA256 says', {
        where: `chunk ${index}`,
        fix: 'Send it again.',
      });
    }
    await service.acceptChunk({ ...place, bytes });
    received(bytes.length);
    response.status(204).end();
  });
  router.head('/runs/:run/rounds/:session/uploads/:index', participant, (request, response) => {
    const held = service.heldChunk(placeOf(request, response));
    if (held !== undefined) response.set('X-Content-SHA256', held);
    response.status(204).end();
  });
  return router;
}

/** The chunk that a request speaks of, which is one of the run that its session belongs to. */
function placeOf(request: Request, response: Response) {
  const { clientId, runId } = response.locals.session as { clientId: string; runId: string };
  const { run, session, index } = parseAs(path, request.params, request);
  if (run !== runId) {
    throw new TacitError<ProtocolErrorCode>('NOT_AUTHORISED', 'this session belongs to another run', {
      where: `run ${run}`,
    });
  }
  return { runId, ...session, clientId, index };
}
