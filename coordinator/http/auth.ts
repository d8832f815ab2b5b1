import { createHash, timingSafeEqual } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import { TacitError } from '../../shared/core/errors.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { CoordinatorService } from '../service.ts';

/** Lets a request pass only with `Authorization: Bearer <operator token>`. @throws NOT_AUTHORISED */
export function requireOperator(operatorToken: string): RequestHandler {
  return (request, _response, next) => {
    mustBeOperator(operatorToken, request);
    next();
  };
}

/** @throws NOT_AUTHORISED without the operator's token */
export function mustBeOperator(operatorToken: string, request: Request): void {
  const token = bearer(request);
  // Digests have one length whatever was sent, so the comparison's time tells nothing about the token.
  if (token === undefined || !timingSafeEqual(digest(token), digest(operatorToken))) {
    throw new TacitError<ProtocolErrorCode>('NOT_AUTHORISED', 'this needs the operator’s token', {
      where: `${request.method} ${request.path}`,
      fix: 'Send "Authorization: Bearer …" with the token in the coordinator’s data directory (file operator-token).',
    });
  }
}

/** Whose session the request belongs to. @throws NOT_AUTHORISED */
export function participantOf(service: CoordinatorService, request: Request): { clientId: string; runId: string } {
  const token = bearer(request);
  const session = token === undefined ? undefined : service.authorise(token);
  if (session === undefined) {
    throw new TacitError<ProtocolErrorCode>('NOT_AUTHORISED', 'this needs a participant’s session token', {
      where: `${request.method} ${request.path}`,
      fix: 'Connect and say hello again; tokens end with the session.',
    });
  }
  return session;
}

function bearer(request: Request): string | undefined {
  return /^Bearer ([\x21-\x7e]{1,512})$/.exec(request.headers.authorization ?? '')?.[1];
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
