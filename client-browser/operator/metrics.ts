import { html, nothing, type TemplateResult } from 'lit';
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
  const shares = sharesOf(evaluations);
  const accuracy: ChartSpec = { ...shares, xLabel: 'round', x, format: (v) => formatPercent(v) };
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
      ${shares.series.length === 0 ? nothing : html`<section class="panel"><tacit-chart .spec=${accuracy}></tacit-chart></section>`}
      <section class="panel"><tacit-chart .spec=${loss}></tacit-chart></section>
    </div>
    <p class="soft">Measured by the coordinator on ${formatCount(examples)} examples that no participant trains on. Participants’ own losses never leave their devices.</p>
  </div>`;
}

/** What is measured as a share of all, as the kind of task has it. */
function sharesOf(evaluations: readonly EvaluationView[]): Pick<ChartSpec, 'title' | 'series'> {
  const metric = (name: string) => evaluations.map((e) => e.metrics[name] ?? null);
  const line = (label: string, style: 1 | 2, values: readonly (number | null)[]) => ({ label, style, values });
  const known = (series: ChartSpec['series']) => series.filter(({ values }) => values.some((v) => v !== null));
  if (evaluations[0]?.metrics['maskedAccuracy'] !== undefined)
    return {
      title: 'Told right on held-out data',
      series: known([
        line('hidden word pieces', 1, metric('maskedAccuracy')),
        line('order of two parts', 2, metric('nextSentenceAccuracy')),
      ]),
    };
  return {
    title: 'Accuracy and F1 on held-out data',
    series: known([
      line(
        'accuracy',
        1,
        evaluations.map((e) => e.accuracy),
      ),
      line(
        'F1',
        2,
        evaluations.map((e) => e.f1),
      ),
    ]),
  };
}

/** One evaluation a round, ascending: a chart's x must increase. */
function byRound(evaluations: readonly EvaluationView[]): EvaluationView[] {
  return [...new Map(evaluations.map((e) => [e.round, e])).values()].sort((a, b) => a.round - b.round);
}
