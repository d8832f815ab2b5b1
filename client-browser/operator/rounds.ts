import { html, nothing, svg, type TemplateResult } from 'lit';
import type { RoundView } from '../../shared/protocol/views.ts';
import { badge } from '../components/badge.ts';
import { dataTable } from '../components/data-table.ts';
import { formatSeconds } from '../lib/format.ts';
import { PHASES } from '../lib/words.ts';

const FUNNEL = [
  ['invited', 'Invited'],
  ['advertised', 'Joined'],
  ['shared', 'Shared keys'],
  ['uploaded', 'Uploaded'],
  ['survived', 'Survived'],
  ['unmasked', 'Unmasked'],
] as const;

/** Rounds: one as a funnel (the last, or the one asked for), all as a table. */
export function roundsTab(
  rounds: readonly RoundView[],
  shown: number | null,
  show: (round: number) => void,
): TemplateResult {
  const round = (shown === null ? undefined : rounds.findLast((r) => r.round === shown)) ?? rounds.at(-1);
  return html`<div class="stack">
    ${round === undefined ? nothing : funnelPanel(round)}
    <section class="panel">${dataTable<RoundView>({
      caption: 'All rounds, the newest first',
      rows: [...rounds].reverse(),
      empty: 'No round yet: it begins when enough participants have consented.',
      current: (r) => r === round,
      columns: [
        {
          label: 'Round',
          cell: (r) =>
            html`<button class="button button-small" @click=${() => show(r.round)} ><span class="visually-hidden">Show round </span>${r.round}${r.attempt > 1 ? html` <span class="soft">try ${r.attempt}</span>` : nothing}</button>`,
        },
        { label: 'Stage', align: 'end', cell: (r) => r.stage + 1 },
        { label: 'Outcome', cell: outcome },
        ...FUNNEL.map(([key, label]) => ({ label, align: 'end' as const, cell: (r: RoundView) => r.funnel[key] })),
        { label: 'Time', align: 'end', cell: (r) => formatSeconds(total(r)) },
        {
          label: 'Ledger entry',
          align: 'end',
          cell: (r) =>
            r.ledgerIndex === null
              ? '–'
              : html`<a href="./compliance.html#entry=${r.ledgerIndex}">${r.ledgerIndex}</a>`,
        },
      ],
    })}</section>
  </div>`;
}

function total(round: RoundView): number {
  return Object.values(round.seconds).reduce((a, b) => a + b, 0);
}

function outcome(round: RoundView): TemplateResult {
  if (round.phase === 'done') return badge('released', 'good');
  if (round.phase === 'aborted')
    return html`${badge('aborted', 'warn')} <span class="small soft">${round.reason ?? ''}</span>`;
  return badge(PHASES[round.phase], 'live');
}

function funnelPanel(round: RoundView): TemplateResult {
  const widest = Math.max(1, ...FUNNEL.map(([key]) => round.funnel[key]));
  return html`<section class="panel stack" aria-labelledby="funnel-title">
    <h2 id="funnel-title">Round ${round.round}${round.attempt > 1 ? `, attempt ${round.attempt}` : ''}</h2>
    <ol class="funnel">
      ${FUNNEL.map(([key, label]) => {
        const n = round.funnel[key];
        return html`<li>
          <span>${label}</span>
          <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
            ${svg`<rect class="gauge-track" width="100" height="10" /><rect class="bar-fill" width=${(100 * n) / widest} height="10" />`}
          </svg>
          <span class="end">${n}</span>
        </li>`;
      })}
    </ol>
    <p class="soft">${lost(round)}</p>
  </section>`;
}

/** What the funnel says, in a sentence. */
function lost(round: RoundView): string {
  const { advertised, survived } = round.funnel;
  if (round.phase === 'aborted')
    return `This round ended without a result: ${round.reason ?? 'no reason given'}. Its noise and keys are never used again.`;
  if (round.phase !== 'done') return `In progress: ${PHASES[round.phase]}.`;
  const gone = advertised - survived;
  return gone <= 0
    ? 'Everyone who joined is in the sum.'
    : `${gone} of ${advertised} dropped out on the way; the sum of the others was recovered exactly.`;
}
