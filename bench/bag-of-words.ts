import type { TextRecord } from '../shared/text/record.ts';
import { classificationMetrics, type Metrics } from '../shared/training/metrics.ts';

interface SparseRow {
  readonly columns: Int32Array;
  readonly values: Float64Array;
}

const ITERATIONS = 400;
/** Inverse of the L2 penalty, as scikit-learn's C. */
const INVERSE_PENALTY = 100;

/**
 * The reference to be honest about: TF-IDF of the words of the whole text (1 + ln tf, smoothed idf, unit rows, words in
 * two texts or more) and logistic regression by accelerated gradient descent. Not private, not federated, no BERT.
 */
export function bagOfWords(train: readonly TextRecord[], test: readonly TextRecord[], positive: string): Metrics {
  const tokens = (r: TextRecord): string[] => r.text.toLowerCase().match(/[\p{L}\p{N}]{2,}/gu) ?? [];
  const documents = new Map<string, number>();
  for (const r of train) for (const w of new Set(tokens(r))) documents.set(w, (documents.get(w) ?? 0) + 1);
  const vocabulary = new Map(
    [...documents]
      .filter(([, n]) => n >= 2)
      .map(([w, n], i) => [w, { i, idf: Math.log((1 + train.length) / (1 + n)) + 1 }]),
  );
  const row = (r: TextRecord): SparseRow => {
    const counts = new Map<number, { tf: number; idf: number }>();
    for (const w of tokens(r)) {
      const entry = vocabulary.get(w);
      if (entry !== undefined) counts.set(entry.i, { tf: (counts.get(entry.i)?.tf ?? 0) + 1, idf: entry.idf });
    }
    const values = Float64Array.from(counts.values(), ({ tf, idf }) => (1 + Math.log(tf)) * idf);
    const norm = Math.hypot(...values) || 1;
    return { columns: Int32Array.from(counts.keys()), values: values.map((v) => v / norm) };
  };
  const labels = (records: readonly TextRecord[]): number[] => records.map((r) => (r.label === positive ? 1 : 0));
  const weights = regress(train.map(row), labels(train), vocabulary.size);
  const logits = test.map(row).flatMap((x) => [0, score(x, weights)]);
  return classificationMetrics(logits, labels(test), 2);
}

function score({ columns, values }: SparseRow, weights: Float64Array): number {
  let sum = weights[weights.length - 1] as number;
  for (let k = 0; k < columns.length; k++) sum += (values[k] as number) * (weights[columns[k] as number] as number);
  return sum;
}

/** Nesterov's method on mean log-loss + ‖w‖²/(2·n·C); the loss of unit rows with a bias has curvature at most 1/2. */
function regress(rows: readonly SparseRow[], labels: readonly number[], width: number): Float64Array {
  const penalty = 1 / (rows.length * INVERSE_PENALTY);
  let previous = new Float64Array(width + 1);
  let current = previous.slice();
  for (let step = 1; step <= ITERATIONS; step++) {
    const momentum = (step - 1) / (step + 2);
    const ahead = current.map((x, i) => x + momentum * (x - (previous[i] as number)));
    const gradient = ahead.map((x, i) => (i < width ? penalty * x : 0));
    for (const [r, row] of rows.entries()) {
      const d = (1 / (1 + Math.exp(-score(row, ahead))) - (labels[r] as number)) / rows.length;
      for (let k = 0; k < row.columns.length; k++) {
        const c = row.columns[k] as number;
        gradient[c] = (gradient[c] as number) + d * (row.values[k] as number);
      }
      gradient[width] = (gradient[width] as number) + d;
    }
    previous = current;
    current = ahead.map((x, i) => x - 2 * (gradient[i] as number));
  }
  return current;
}
