import { html, type TemplateResult } from 'lit';
import type { EvaluationView, RunView } from '../../shared/protocol/views.ts';
import type { ChartSpec } from '../components/chart.ts';
import '../components/chart.ts';
import { formatCount, formatPercent } from '../lib/format.ts';

/** Metrics: the coordinator's held-out data, never a participant's. */
export function metricsTab(run: RunView): TemplateResult {
  const evaluations = byRound(run.evaluations);
  if (evaluations.length === 0)
    return html`<p class="soft">No evaluation yet: the first one comes with the first published model.</p>`;
  const x = evaluations.map((e) => e.round);
  const accuracy: ChartSpec = {
    title: 'Accuracy and F1 on held-out data',
    xLabel: 'round',
    x,
    format: (v) => formatPercent(v),
    series: [
      { label: 'accuracy', style: 1, values: evaluations.map((e) => e.accuracy) },
      { label: 'F1', style: 2, values: evaluations.map((e) => e.f1) },
    ],
  };
  const loss: ChartSpec = {
    title: 'Loss on held-out data',
    xLabel: 'round',
    x,
    format: (v) => v.toFixed(3),
    series: [{ label: 'loss', style: 1, values: evaluations.map((e) => e.loss) }],
  };
  const examples = evaluations.at(-1)?.examples ?? 0;
  return html`<div class="stack">
    <div class="panels">
      <section class="panel"><tacit-chart .spec=${accuracy}></tacit-chart></section>
      <section class="panel"><tacit-chart .spec=${loss}></tacit-chart></section>
    </div>
    <p class="soft">Measured by the coordinator on ${formatCount(examples)} examples that no participant trains on. Participants’ own losses never leave their devices.</p>
  </div>`;
}

/** One evaluation a round, ascending: a chart's x must increase. */
function byRound(evaluations: readonly EvaluationView[]): EvaluationView[] {
  return [...new Map(evaluations.map((e) => [e.round, e])).values()].sort((a, b) => a.round - b.round);
}
