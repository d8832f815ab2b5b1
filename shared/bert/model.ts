import { TacitError } from '../core/errors.ts';
import type { Bert, CreateBert } from './types.ts';

export type * from './types.ts';

/** Makes a BERT ready on an engine. */
export async function createBert(options: CreateBert): Promise<Bert> {
  throw new TacitError('BERT_UNSUPPORTED', `createBert is not finished (${options.head})`);
}
