import { TacitError } from '../core/errors.ts';
import type { TextErrorCode } from './errors.ts';
import type { TextRecord } from './record.ts';
import type { Tokenizer } from './tokenizer.ts';

/** A record as the model reads it. */
export interface EncodedExample {
  /** 2 … maxTokens ids, special tokens included. */
  readonly ids: Int32Array;
  /** Index of the record's label in the plan; not read where there are `values`. */
  readonly label: number;
  /** Targets of a multi-label (0 or 1 each) or regression task. */
  readonly values?: Float32Array;
}

/** Tokenises records. @throws DATA_LABELS for a label that is not among `labels` */
export function encodeRecords(
  records: readonly TextRecord[],
  tokenizer: Tokenizer,
  { labels, maxTokens }: { readonly labels: readonly string[]; readonly maxTokens: number },
): EncodedExample[] {
  return records.map(({ id, text, label, values }) => {
    const { ids } = tokenizer.encode(text, maxTokens);
    if (values !== undefined) return { ids, label: 0, values: Float32Array.from(values) };
    const index = labels.indexOf(label);
    if (index === -1)
      throw new TacitError<TextErrorCode>('DATA_LABELS', `a record's label is not one of ${labels.join(', ')}`, {
        where: id,
      });
    return { ids, label: index };
  });
}
