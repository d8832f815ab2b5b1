import type { Pretraining, PretrainingBatch } from '../../bert/pretraining.ts';
import { NOT_PREDICTED } from '../../bert/pretraining-slots.ts';
import type { EncodedExample } from '../../text/encode.ts';
import { type BatchShape, microBatches, PADDING_ROW } from '../batches.ts';
import type { TaskMetrics } from '../task-metrics.ts';

/**
 * Masked LM on readings that are the same every time: `loss` is the mean cross-entropy of the hidden pieces (nats) and,
 * with next sentence, that of the pairs besides; `perplexity` is the exponential of the first. Accuracies are shares of
 * hidden pieces, and of pairs, that are told right.
 */
export async function pretrainingMetrics(
  bert: Pretraining,
  examples: readonly EncodedExample[],
  shape: BatchShape,
): Promise<TaskMetrics> {
  const pieces = { count: 0, loss: 0, right: 0 };
  const pairs = { count: 0, loss: 0, right: 0 };
  for (const { batch, rows } of microBatches(examples, [...examples.keys()], shape)) {
    const { predictions, nextSentence } = await bert.logits(batch as PretrainingBatch);
    const truths = [...batch.labels].filter((label) => label !== NOT_PREDICTED);
    const vocabulary = predictions.length / truths.length;
    for (const [m, truth] of truths.entries())
      score(pieces, predictions.subarray(m * vocabulary, (m + 1) * vocabulary), truth);
    if (nextSentence.length === 0) continue;
    for (const [row, index] of rows.entries())
      if (index !== PADDING_ROW)
        score(pairs, nextSentence.subarray(2 * row, 2 * row + 2), (examples[index] as EncodedExample).label);
  }
  const maskedLoss = pieces.loss / pieces.count;
  const masked = { maskedAccuracy: pieces.right / pieces.count, perplexity: Math.exp(maskedLoss) };
  if (pairs.count === 0) return { loss: maskedLoss, ...masked };
  const nextSentenceLoss = pairs.loss / pairs.count;
  return {
    loss: maskedLoss + nextSentenceLoss,
    maskedLoss,
    ...masked,
    nextSentenceLoss,
    nextSentenceAccuracy: pairs.right / pairs.count,
  };
}

function score(total: { count: number; loss: number; right: number }, logits: Float32Array, truth: number): void {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[best] as number)) best = i;
  const top = logits[best] as number;
  let sum = 0;
  for (const z of logits) sum += Math.exp(z - top);
  total.count += 1;
  total.loss += top + Math.log(sum) - (logits[truth] as number);
  if (best === truth) total.right += 1;
}
