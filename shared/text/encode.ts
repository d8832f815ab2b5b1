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
  /** Masked LM. */
  readonly masked?: MaskedTargets;
}

/** What is hidden in one reading of a text. The example's `label` is 0 where its second part follows the first. */
export interface MaskedTargets {
  /** By position: the piece that stood there where it is to be predicted, elsewhere −100. */
  readonly labels: Int32Array;
  /** Where the second part begins; the length where there is none. */
  readonly second: number;
}

/** Examples to train on: an array, or what gives an example anew each time that it is asked for. */
export type Examples = Pick<readonly EncodedExample[], 'length' | 'at'>;

/** What one visit reads of the examples of these indices, each under its index. */
export function readExamples(examples: Examples, indices: readonly number[]): readonly EncodedExample[] {
  if (Array.isArray(examples)) return examples as readonly EncodedExample[];
  const read: EncodedExample[] = [];
  for (const index of indices) read[index] = examples.at(index) as EncodedExample;
  return read;
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
