import { html, type TemplateResult } from 'lit';
import type { RunView } from '../../shared/protocol/views.ts';
import { badge } from '../components/badge.ts';
import { dataTable } from '../components/data-table.ts';
import { formatDate, formatEpsilon } from '../lib/format.ts';
import { fragment } from '../lib/location.ts';
import { bestOf, qualityOf } from '../lib/quality.ts';
import { runStateWords } from '../lib/words.ts';

/** All runs, newest first. */
export function runList(runs: readonly RunView[]): TemplateResult {
  const sorted = [...runs].sort((a, b) => b.createdAt.localeCompare(a.createdAt));
  return html`<section class="panel">${dataTable<RunView>({
    caption: 'Runs',
    captionHidden: true,
    rows: sorted,
    empty: 'No run yet.',
    columns: [
      {
        label: 'Run',
        cell: (r) =>
          html`<a href=${fragment({ run: r.id })}>${r.name}</a><br /><span class="soft small mono">${r.id}</span>`,
      },
      { label: 'State', cell: stateBadge },
      { label: 'Round', align: 'end', cell: (r) => `${r.round} of ${r.rounds}` },
      {
        label: 'Participants',
        align: 'end',
        cell: (r) => r.participants.filter((p) => p.state === 'consented').length,
      },
      { label: 'Accuracy', align: 'end', cell: (r) => qualityWords(r) },
      { label: 'ε against the coordinator', align: 'end', cell: epsilonOf },
      { label: 'Created', cell: (r) => formatDate(r.createdAt) },
    ],
  })}</section>`;
}

export function stateBadge(run: RunView): TemplateResult {
  const { text, tone } = runStateWords(run.state);
  return badge(text, tone);
}

/** The best evaluated model is the one that is published. */
function qualityWords({ evaluations }: RunView): string {
  const { name, of } = qualityOf(evaluations);
  const figure = of(bestOf(evaluations));
  return name === 'Accuracy' ? figure : `${figure} (${name.toLowerCase()})`;
}

function epsilonOf(run: RunView): string {
  const [guarantee] = run.guarantees;
  return guarantee === undefined ? 'not private' : `${formatEpsilon(guarantee.epsilon)} per ${guarantee.unit}`;
}
