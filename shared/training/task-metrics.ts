import type { BertTask } from '../bert/model.ts';
import type { EncodedExample } from '../text/encode.ts';
import type { TextTask } from '../text/records.ts';
import { classificationMetrics } from './metrics.ts';

/** Quality on labelled examples by name; `loss` is always there and is what training minimises. */
export type TaskMetrics = { readonly loss: number } & Readonly<Record<string, number>>;

export const BERT_TASK: Readonly<Record<TextTask, BertTask>> = {
  classification: 'single_label',
  'multi-label': 'multi_label',
  regression: 'regression',
};

/** @param logits - examples × width, row-major */
export function taskMetrics(
  task: BertTask,
  logits: Float32Array,
  examples: readonly EncodedExample[],
  width: number,
): TaskMetrics {
  switch (task) {
    case 'single_label': {
      const labels = examples.map((e) => e.label);
      const { loss, accuracy, precision, recall, f1, macroF1 } = classificationMetrics(logits, labels, width);
      return { loss, accuracy, precision, recall, f1, macroF1 };
    }
    case 'multi_label':
      return multiLabelMetrics(logits, examples, width);
    case 'regression':
      return regressionMetrics(logits, examples, width);
  }
}

/** Mean binary cross-entropy; a label is predicted where its logit is above 0. F1 over all decisions, and by label. */
function multiLabelMetrics(logits: Float32Array, examples: readonly EncodedExample[], width: number): TaskMetrics {
  const counts = Array.from({ length: width }, () => ({ hit: 0, predicted: 0, actual: 0 }));
  let loss = 0;
  let exact = 0;
  for (const [row, { values }] of examples.entries()) {
    let right = 0;
    for (const [l, count] of counts.entries()) {
      const z = logits[row * width + l] as number;
      const y = values?.[l] ?? 0;
      loss += (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - z * y) / width;
      const predicted = z > 0 ? 1 : 0;
      count.hit += predicted * y;
      count.predicted += predicted;
      count.actual += y;
      if (predicted === y) right++;
    }
    if (right === width) exact++;
  }
  const f1 = ({ hit, predicted, actual }: (typeof counts)[number]): number =>
    predicted + actual === 0 ? 0 : (2 * hit) / (predicted + actual);
  const total = counts.reduce(
    (a, b) => ({ hit: a.hit + b.hit, predicted: a.predicted + b.predicted, actual: a.actual + b.actual }),
    { hit: 0, predicted: 0, actual: 0 },
  );
  const n = examples.length;
  const macroF1 = counts.reduce((sum, c) => sum + f1(c), 0) / width;
  return { loss: loss / n, exactMatch: exact / n, microF1: f1(total), macroF1 };
}

/** Mean squared and absolute error, R² (the share of the variance that is explained) and Spearman's rank correlation. */
function regressionMetrics(logits: Float32Array, examples: readonly EncodedExample[], width: number): TaskMetrics {
  const n = examples.length * width;
  const truth = Float64Array.from({ length: n }, (_, i) => examples[Math.floor(i / width)]?.values?.[i % width] ?? 0);
  const mean = truth.reduce((sum, y) => sum + y, 0) / n;
  let [squared, absolute, variance] = [0, 0, 0];
  for (const [i, y] of truth.entries()) {
    const error = (logits[i] as number) - y;
    squared += error ** 2;
    absolute += Math.abs(error);
    variance += (y - mean) ** 2;
  }
  return {
    loss: squared / n,
    meanAbsoluteError: absolute / n,
    r2: variance === 0 ? 0 : 1 - squared / variance,
    spearman: correlation(ranks(truth), ranks(logits.subarray(0, n))),
  };
}

/** 0-based ranks; equal values share the mean of theirs. */
function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from(values, (_, i) => i).sort((a, b) => (values[a] as number) - (values[b] as number));
  const out = new Float64Array(order.length);
  for (let from = 0; from < order.length; ) {
    let to = from + 1;
    while (to < order.length && values[order[to] as number] === values[order[from] as number]) to++;
    for (const i of order.slice(from, to)) out[i] = (from + to - 1) / 2;
    from = to;
  }
  return out;
}

/** Pearson's; 0 where one of the two does not vary. */
function correlation(a: Float64Array, b: Float64Array): number {
  const mean = (v: Float64Array): number => v.reduce((sum, x) => sum + x, 0) / v.length;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (const [i, x] of a.entries()) {
    const y = b[i] as number;
    ab += (x - ma) * (y - mb);
    aa += (x - ma) ** 2;
    bb += (y - mb) ** 2;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}
