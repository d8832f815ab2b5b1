import type { EvaluationView } from '../../shared/protocol/views.ts';
import { formatPercent } from './format.ts';

type Evaluations = readonly EvaluationView[];

/** What a task is judged by on held-out data: a name, and the figure of one evaluation in words. */
export interface Quality {
  readonly name: string;
  of(evaluation: EvaluationView | undefined): string;
}

/** Accuracy where there is one; of a masked language model the hidden pieces told right; else the loss. */
export function qualityOf(evaluations: Evaluations): Quality {
  const [first] = evaluations;
  if (first?.accuracy === null && first.metrics['maskedAccuracy'] !== undefined)
    return { name: 'Hidden word pieces told right', of: (e) => formatPercent(e?.metrics['maskedAccuracy']) };
  if (first?.accuracy === null) return { name: 'Loss', of: (e) => e?.loss.toFixed(3) ?? '–' };
  return { name: 'Accuracy', of: (e) => formatPercent(e?.accuracy) };
}

/** The best one: by accuracy, or where there is none by loss. */
export function bestOf(evaluations: Evaluations): EvaluationView | undefined {
  const better = (a: EvaluationView, b: EvaluationView): boolean =>
    a.accuracy === null || b.accuracy === null ? a.loss < b.loss : a.accuracy > b.accuracy;
  return evaluations.reduce<EvaluationView | undefined>(
    (best, e) => (best === undefined || better(e, best) ? e : best),
    undefined,
  );
}
