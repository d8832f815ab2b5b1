import { html, nothing, type TemplateResult } from 'lit';
import type { EntryKind } from '../../shared/ledger/entries.ts';
import type { BudgetView } from '../../shared/protocol/views.ts';
import { badge, notice } from '../components/badge.ts';
import type { ChartSpec } from '../components/chart.ts';
import '../components/chart.ts';
import { KINDS } from '../../shared/ledger/entry-words.ts';
import { dataTable } from '../components/data-table.ts';
import { gauge } from '../components/gauge.ts';
import { formatDate, formatDelta, formatEpsilon, sentence } from '../lib/format.ts';

/** A gauge and a timeline for every dataset × unit × period. @param verified - the entries behind them were checked here */
export function budgetsSection(budgets: readonly BudgetView[], verified: boolean): TemplateResult {
  return html`<section class="panel stack" aria-labelledby="budgets-title">
      <h2 id="budgets-title">Budgets</h2>
      ${verified ? nothing : notice('warn', 'Not verified.', 'These numbers are the coordinator’s own; this device could not confirm them.')}
      ${budgets.length === 0 ? html`<p class="soft">No budget is open yet.</p>` : nothing}
      ${budgets.map((b, i) => budget(b, i, verified))}
    </section>
    ${budgets.map(timeline)}`;
}

function name(b: BudgetView): string {
  return `${b.scope}, one ${b.unit}, ${b.period}`;
}

function budget(b: BudgetView, i: number, verified: boolean): TemplateResult {
  return html`<article class="stack-tight" aria-labelledby="budget-${i}">
    <div class="row between">
      <h3 id="budget-${i}">${name(b)}</h3>
      ${state(b, verified)}
    </div>
    ${gauge({ label: name(b), total: b.epsilon, spent: b.spent, reserved: b.reserved })}
    ${
      b.guarantee === null
        ? html`<p class="soft">Nothing has been released from this dataset.</p>`
        : html`<p>${sentence(b.guarantee.odds)}</p>
            <p class="soft small">At δ ${formatDelta(b.delta)}, against ${b.guarantee.adversary}; ${b.guarantee.accountant}.</p>`
    }
  </article>`;
}

/** Words, not a tick: whether an ε is acceptable is for people to decide. */
function state(b: BudgetView, verified: boolean): TemplateResult {
  if (b.spent + b.reserved > b.epsilon * (1 + 1e-9)) return badge('over budget', 'bad');
  if (b.left <= b.epsilon * 1e-9) return badge('used up: no more training', 'warn');
  return verified ? badge('inside its budget') : badge('not confirmed', 'warn');
}

function timeline(b: BudgetView): TemplateResult {
  return html`<section class="panel stack" aria-label="Timeline of ${name(b)}">
    ${b.timeline.length === 0 ? html`<p class="soft">No entry about ${name(b)} yet.</p>` : html`<tacit-chart .spec=${chart(b)}></tacit-chart>${entryTable(b)}`}
  </section>`;
}

const isRefusal = (kind: string): boolean => kind === 'refusal';

function chart(b: BudgetView): ChartSpec {
  return {
    title: `Cumulative ε: ${name(b)}`,
    xLabel: 'ledger entry',
    x: b.timeline.map((t) => t.index),
    format: (v) => v.toFixed(2),
    range: [0, Math.max(b.epsilon * 1.08, ...b.timeline.map((t) => t.epsilon * 1.08), 0.1)],
    series: [
      { label: 'spent', style: 1, draw: 'step', values: b.timeline.map((t) => (isRefusal(t.kind) ? null : t.epsilon)) },
      { label: 'budget now', style: 2, values: b.timeline.map(() => b.epsilon) },
      {
        label: 'refused',
        style: 3,
        draw: 'points',
        values: b.timeline.map((t) => (isRefusal(t.kind) ? t.epsilon : null)),
      },
    ],
  };
}

function entryTable(b: BudgetView): TemplateResult {
  return html`<details>
    <summary>Every entry about this budget</summary>
    ${dataTable<BudgetView['timeline'][number]>({
      caption: `Entries about ${name(b)}`,
      captionHidden: true,
      rows: [...b.timeline].reverse(),
      empty: 'None.',
      columns: [
        { label: 'Entry', cell: (t) => html`<a href="#entry=${t.index}">${t.index}</a>` },
        { label: 'When', cell: (t) => formatDate(t.at) },
        {
          label: 'Kind',
          cell: (t) => (isRefusal(t.kind) ? badge('refusal', 'warn') : (KINDS[t.kind as EntryKind] ?? t.kind)),
        },
        { label: 'ε so far', align: 'end', cell: (t) => formatEpsilon(t.epsilon) },
        { label: 'Note', align: 'sentence', cell: (t) => t.note },
      ],
    })}
  </details>`;
}
