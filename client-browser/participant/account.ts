import { html, nothing, type TemplateResult } from 'lit';
import type { OwnRun } from '../../shared/participant/own-account.ts';
import { badge, type Tone } from '../components/badge.ts';
import { dataTable } from '../components/data-table.ts';
import { gauge } from '../components/gauge.ts';
import { formatDelta, formatEpsilon } from '../lib/format.ts';
import type { Actions } from './actions.ts';
import type { ParticipantState } from './state.ts';

const STATES: Readonly<Record<OwnRun['state'], Tone>> = { 'set aside': 'live', charged: 'plain', 'given back': 'good' };

/** This browser's own account of what its data was charged, kept beside the coordinator's and held against it. */
export function accountSection(
  { account, forgotten }: ParticipantState,
  actions: Actions,
): TemplateResult | typeof nothing {
  if (account === null || forgotten) return nothing;
  return html`<div class="stack">
    <h3>Your own ledger</h3>
    <p>This browser keeps its own account of your data. It set the amount aside before you consented, and goes on only while the coordinator’s ledger says the same.</p>
    ${account.budgets.map((b) => html`<p class="soft">${b.words}</p>${gauge({ label: b.words, total: b.epsilon, spent: b.spent, reserved: b.reserved })}`)}
    ${dataTable<OwnRun>({
      caption: 'What trainings were charged to your data',
      rows: account.runs,
      empty: 'Nothing was charged.',
      columns: [
        { label: 'Training', cell: (r) => html`<span class="hash">${r.run}</span>` },
        { label: 'ε', align: 'end', cell: (r) => formatEpsilon(Number(r.epsilon)) },
        { label: 'δ', align: 'end', cell: (r) => formatDelta(Number(r.delta)) },
        { label: 'State', cell: (r) => badge(r.state, STATES[r.state]) },
        { label: 'Rounds released', align: 'end', cell: (r) => r.roundsReleased ?? '–' },
        {
          label: 'Coordinator’s entry',
          align: 'end',
          cell: (r) =>
            r.seen === null
              ? 'not seen yet'
              : html`<a href="./compliance.html#entry=${r.seen.index}">${r.seen.index}</a>`,
        },
      ],
    })}
    <p><button class="button" @click=${() => actions.exportAccount()}>Download my ledger (.zip)</button></p>
    <p class="soft small">Signed by this browser’s key. <code>tacit ledger verify</code> checks it, and <code>tacit ledger reconcile</code> holds it against the coordinator’s.</p>
  </div>`;
}
