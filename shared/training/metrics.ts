/** How well a classifier does on labelled examples. */
export interface Metrics {
  readonly examples: number;
  /** Mean of −ln p(label), p by softmax. */
  readonly loss: number;
  readonly accuracy: number;
  /** Of the last class when there are two (e.g. `spam` of ham, spam), else macro. */
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** Unweighted mean of the classes' F1. */
  readonly macroF1: number;
  /** `confusion[actual][predicted]`. */
  readonly confusion: readonly (readonly number[])[];
}

/** @param logits - examples × classes, row-major */
export function classificationMetrics(logits: ArrayLike<number>, labels: ArrayLike<number>, classes: number): Metrics {
  const confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  let loss = 0;
  for (let row = 0; row < labels.length; row++) {
    const scores = Array.from({ length: classes }, (_, c) => logits[row * classes + c] as number);
    const top = Math.max(...scores);
    const label = labels[row] as number;
    loss += top + Math.log(scores.reduce((sum, s) => sum + Math.exp(s - top), 0)) - (scores[label] as number);
    const actual = confusion[label] as number[];
    const predicted = scores.indexOf(top);
    actual[predicted] = (actual[predicted] as number) + 1;
  }
  const each = Array.from({ length: classes }, (_, c) => perClass(confusion, c));
  const mean = (pick: (m: ClassMetrics) => number): number => each.reduce((sum, m) => sum + pick(m), 0) / classes;
  const positive =
    classes === 2
      ? (each[1] as ClassMetrics)
      : { precision: mean((m) => m.precision), recall: mean((m) => m.recall), f1: mean((m) => m.f1) };
  const right = confusion.reduce((sum, row, c) => sum + (row[c] as number), 0);
  const n = labels.length;
  return { examples: n, loss: loss / n, accuracy: right / n, ...positive, macroF1: mean((m) => m.f1), confusion };
}

interface ClassMetrics {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** 0 where nothing was predicted or nothing was there, as scikit-learn's zero_division=0. */
function perClass(confusion: readonly (readonly number[])[], c: number): ClassMetrics {
  const hit = confusion[c]?.[c] as number;
  const predicted = confusion.reduce((sum, row) => sum + (row[c] as number), 0);
  const actual = (confusion[c] as number[]).reduce((sum, x) => sum + x, 0);
  const ratio = (a: number, b: number): number => (b === 0 ? 0 : a / b);
  return { precision: ratio(hit, predicted), recall: ratio(hit, actual), f1: ratio(2 * hit, predicted + actual) };
}
