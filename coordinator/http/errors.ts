import type { ErrorRequestHandler, RequestHandler } from 'express';
import type { Logger } from 'pino';
import { TacitError } from '../../shared/core/errors.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';

/** Codes that only the HTTP surface gives. */
export type HttpErrorCode =
  | 'REQUEST_INVALID'
  | 'METHOD_NOT_ALLOWED'
  | 'MEDIA_TYPE_UNSUPPORTED'
  | 'RANGE_INVALID'
  | 'CHECKSUM_MISMATCH'
  | 'BUSY'
  | 'INTERNAL';

/** HTTP status of a code; a coded refusal not listed here is the caller's fault in a way that only its sentence explains. */
const STATUS: Readonly<Record<string, number>> = {
  NOT_AUTHORISED: 401,
  NOT_FOUND: 404,
  STORE_BLOB_MISSING: 404,
  METHOD_NOT_ALLOWED: 405,
  BUDGET_EXCEEDED: 409,
  BUDGET_STATE: 409,
  LEDGER_KEY_UNKNOWN: 409,
  APPROVAL_DUPLICATE: 409,
  APPROVER_NOT_IN_OFFICE: 403,
  APPROVAL_INVALID: 422,
  BUDGET_UNAPPROVED: 422,
  PROPOSALS_FULL: 409,
  PROPOSAL_EXPIRED: 409,
  ROUND_CLOSED: 409,
  RUN_CLOSED: 409,
  STORE_CONFLICT: 409,
  SEAT_TAKEN: 409,
  KEY_RETIRED: 409,
  DEADLINE_PASSED: 409,
  MESSAGE_TOO_LARGE: 413,
  MEDIA_TYPE_UNSUPPORTED: 415,
  RANGE_INVALID: 416,
  CHECKSUM_MISMATCH: 422,
  PLAN_CLAIM_FALSE: 422,
  INTERNAL: 500,
  STORE_CORRUPT: 500,
  STORE_UNAVAILABLE: 503,
  STORE_LEASE_LOST: 503,
  BUSY: 503,
};

/** 400 for coded refusals without a status of their own. */
export function statusOf(code: string): number {
  return STATUS[code] ?? 400;
}

/** Unknown paths below /api: a coded 404 that names the path. */
export const notFound: RequestHandler = (request) => {
  throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'there is nothing here', {
    where: `${request.method} ${request.path}`,
    fix: 'See docs/HTTP.md for every address.',
  });
};

/**
 * Last in the chain: any failure becomes `{error: {code, what, where?, fix?}}`. What was not foreseen is logged whole
 * and answered with INTERNAL, so that no stack trace, path or driver message leaves this process.
 */
export function errorHandler(log: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (response.headersSent) {
      log.warn({ error, path: request.path }, 'a response broke off');
      next(error);
      return;
    }
    const coded = toCoded(error);
    const status = statusOf(coded.code);
    if (status >= 500) log.error({ err: error, method: request.method, path: request.path }, coded.message);
    if (status === 401) response.set('WWW-Authenticate', 'Bearer');
    response.set('Cache-Control', 'no-store').status(status).json({ error: coded.toJSON() });
  };
}

/** Express' and body-parser's own failures have `status` and `type`; ours are TacitErrors; the rest is ours to fix. */
function toCoded(error: unknown): TacitError<string> {
  if (error instanceof TacitError) return error;
  const { status, type } = error as { status?: unknown; type?: unknown };
  if (type === 'entity.too.large') {
    return new TacitError<ProtocolErrorCode>('MESSAGE_TOO_LARGE', 'the body is larger than this address takes', {
      fix: 'Send less at once; docs/LIMITS.md lists every bound.',
    });
  }
  if (type === 'encoding.unsupported' || type === 'charset.unsupported') {
    return new TacitError<HttpErrorCode>('MEDIA_TYPE_UNSUPPORTED', 'the body has an encoding that is not read here', {
      fix: 'Send it as it is, without Content-Encoding, in UTF-8.',
    });
  }
  if (type === 'entity.parse.failed') {
    return new TacitError<HttpErrorCode>('REQUEST_INVALID', 'the body is not JSON', { fix: 'Send a JSON document.' });
  }
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new TacitError<HttpErrorCode>('REQUEST_INVALID', 'the request cannot be read', {
      fix: 'Check the address and the headers.',
    });
  }
  return new TacitError<HttpErrorCode>('INTERNAL', 'something failed that should not have; it is in the log', {
    fix: 'Ask the operator to look at the coordinator’s log.',
  });
}
