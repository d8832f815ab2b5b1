import { html, type TemplateResult } from 'lit';
import type { RoundPhase, RoundView } from '../../shared/protocol/views.ts';
import type { ChartSpec } from '../components/chart.ts';
import '../components/chart.ts';
import { dataTable } from '../components/data-table.ts';
import { formatBytes, formatSeconds } from '../lib/format.ts';

/** System: training time apart from everything else, and bytes. */
export function systemTab(rounds: readonly RoundView[]): TemplateResult {
  const done = [...new Map(rounds.filter((r) => r.phase === 'done').map((r) => [r.round, r])).values()];
  if (done.length === 0) return html`<p class="soft">No finished round yet.</p>`;
  const spec: ChartSpec = {
    title: 'Seconds a round',
    xLabel: 'round',
    x: done.map((r) => r.round),
    format: (v) => formatSeconds(v),
    series: [
      { label: 'training on the participants’ machines', style: 1, values: done.map(training) },
      { label: 'protocol: keys, upload, unmasking, merge', style: 2, values: done.map(protocol) },
    ],
  };
  const last = done.at(-1) as RoundView;
  return html`<div class="stack">
    <section class="panel">
      <h2 class="visually-hidden">Figures</h2>
      <dl class="figures">
        <div><dt>Training, median</dt><dd>${formatSeconds(median(done.map(training)))}</dd></div>
        <div><dt>Protocol, median</dt><dd>${formatSeconds(median(done.map(protocol)))}</dd></div>
        <div><dt>Up, one client a round</dt><dd>${formatBytes(last.bytesUpPerClient)}</dd></div>
        <div><dt>Down, one client a round</dt><dd>${formatBytes(last.bytesDownPerClient)}</dd></div>
      </dl>
    </section>
    <section class="panel"><tacit-chart .spec=${spec}></tacit-chart></section>
    <section class="panel">${phaseTable(done)}</section>
  </div>`;
}

function training(round: RoundView): number {
  return round.seconds.training ?? 0;
}

function protocol(round: RoundView): number {
  return Object.values(round.seconds).reduce((a, b) => a + b, 0) - training(round);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

const PHASES: readonly RoundPhase[] = ['training', 'advertise', 'shares', 'upload', 'consistency', 'unmask', 'merge'];

function phaseTable(rounds: readonly RoundView[]): TemplateResult {
  return dataTable<RoundView>({
    caption: 'Seconds by phase',
    rows: [...rounds].reverse(),
    empty: 'No finished round yet.',
    columns: [
      { label: 'Round', cell: (r) => r.round },
      ...PHASES.map((phase) => ({
        label: phase,
        align: 'end' as const,
        cell: (r: RoundView) => formatSeconds(r.seconds[phase]),
      })),
      { label: 'Up', align: 'end', cell: (r) => formatBytes(r.bytesUpPerClient) },
      { label: 'Down', align: 'end', cell: (r) => formatBytes(r.bytesDownPerClient) },
    ],
  });
}
