import type { Rng } from '../core/rng.ts';
import { type Examples, encodeRecords } from '../text/encode.ts';
import type { TextRecord } from '../text/record.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { type ReadingOptions, readings } from '../training/pretraining/stretches.ts';
import { labelsOf, type Plan } from './plan.ts';

/**
 * Records as a plan's model reads them. A pre-training text is read anew each time, by draws of whoever holds it.
 * @throws DATA_LABELS
 */
export function examplesOf(
  plan: Pick<Plan, 'task' | 'model'>,
  records: readonly TextRecord[],
  tokenizer: Tokenizer,
  rng: Rng,
): Examples {
  const { task, model } = plan;
  if (task.kind === 'pretraining') return readings(records, tokenizer, readingOptions({ task, model }), rng);
  return encodeRecords(records, tokenizer, { labels: labelsOf(plan), maxTokens: model.maxTokens });
}

export type PretrainingTask = Extract<Plan['task'], { kind: 'pretraining' }>;

export function readingOptions({
  task,
  model,
}: Pick<Plan, 'model'> & { readonly task: PretrainingTask }): ReadingOptions {
  const { maskingProbability: share, wholeWord: wholeWords, nextSentence } = task;
  const tokens = model.maxTokens;
  return { tokens, nextSentence, masking: { share, wholeWords, most: Math.ceil(tokens * share) } };
}
