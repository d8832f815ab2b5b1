import type { Request } from 'express';
import type { z } from 'zod';
import { TacitError } from '../../shared/core/errors.ts';
import type { HttpErrorCode } from './errors.ts';

/** `value` as `schema` describes it, every problem reported at once with its path. @throws REQUEST_INVALID */
export function parseAs<S extends z.ZodType>(schema: S, value: unknown, request: Request): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((i) =>
    i.path.length === 0 ? i.message : `${i.path.join('.')}: ${i.message}`,
  );
  throw new TacitError<HttpErrorCode>('REQUEST_INVALID', problems.join('; '), {
    where: `${request.method} ${request.path}`,
    fix: 'Correct the request; docs/HTTP.md shows its form.',
  });
}

/** The `:id` of the address; handlers behind a middleware lose its type. */
export function idOf(request: Request): string {
  return String(request.params.id);
}
