import type { z } from 'zod';
import { TacitError } from '../shared/core/errors.ts';
import { issueInWords } from '../shared/core/issues.ts';
import type { DocumentErrorCode } from '../shared/node/documents.ts';

/** A document that has the form of `schema`. @throws DOCUMENT_INVALID with every problem and its field */
export function parsedDocument<S extends z.ZodType>(schema: S, document: unknown, where: string): z.output<S> {
  const result = schema.safeParse(document);
  if (result.success) return result.data;
  const problems = result.error.issues.map(issueInWords).join('; ');
  throw new TacitError<DocumentErrorCode>('DOCUMENT_INVALID', problems, { where, fix: 'Correct these fields.' });
}
