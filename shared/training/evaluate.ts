import type { Bert } from '../bert/model.ts';
import type { EncodedExample } from '../text/encode.ts';
import { type BatchShape, microBatches } from './batches.ts';
import type { FeatureCache } from './features.ts';
import { classificationMetrics, type Metrics } from './metrics.ts';

/** Rows of features scored at once. */
const FEATURE_ROWS = 4096;

/** Logits of all examples, examples × classes, in their order. @param features - when only the head has changed since they were computed */
export async function logitsOf(
  bert: Bert,
  examples: readonly EncodedExample[],
  classes: number,
  shape: BatchShape,
  features?: FeatureCache,
): Promise<Float32Array> {
  const out = new Float32Array(examples.length * classes);
  const all = examples.map((_, i) => i);
  if (features !== undefined) {
    for (let start = 0; start < all.length; start += FEATURE_ROWS) {
      out.set(bert.headLogits(await features.rows(all.slice(start, start + FEATURE_ROWS))), start * classes);
    }
    return out;
  }
  for (const { batch, rows } of microBatches(examples, all, shape)) {
    const logits = await bert.logits(batch);
    for (const [row, index] of rows.entries())
      out.set(logits.subarray(row * classes, (row + 1) * classes), index * classes);
  }
  return out;
}

/** The model's quality on held-out examples. */
export async function evaluate(
  bert: Bert,
  examples: readonly EncodedExample[],
  classes: number,
  shape: BatchShape,
  features?: FeatureCache,
): Promise<Metrics> {
  const logits = await logitsOf(bert, examples, classes, shape, features);
  return classificationMetrics(
    logits,
    examples.map((e) => e.label),
    classes,
  );
}
