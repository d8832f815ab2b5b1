import { html, nothing, type TemplateResult } from 'lit';
import { badge, notice } from '../components/badge.ts';
import { confirmDialog, openDialog } from '../components/confirm.ts';
import { formatDelta, formatEpsilon, formatPercent, plural } from '../lib/format.ts';
import { runStateWords } from '../lib/words.ts';
import { accountSection } from './account.ts';
import type { Actions } from './actions.ts';
import type { ParticipantState } from './state.ts';

/** 7. What it brought, what it cost, what was verified; and forgetting. */
export function doneSection(state: ParticipantState, actions: Actions): TemplateResult {
  return html`
    ${state.left && state.finished === null ? notice('plain', 'You left.', 'Nothing more is sent from this device. Reload the page to come back with the same invitation.', true) : nothing}
    ${state.finished === null ? nothing : outcome(state)}
    ${contributed(state)}
    ${accountSection(state, actions)}
    ${forgetting(state, actions)}
  `;
}

function outcome(state: ParticipantState): unknown {
  const run = state.finished;
  if (run === null) return nothing;
  const { text, tone } = runStateWords(run.state);
  const [first] = run.evaluations;
  const best = run.evaluations.reduce<number | null>(
    (a, { accuracy }) => (accuracy === null ? a : Math.max(a ?? 0, accuracy)),
    null,
  );
  return html`<div class="row">${badge(`training ${text}`, tone)}${run.reason === null ? nothing : html`<span class="soft">${run.reason}</span>`}</div>
    <dl class="figures">
      <div><dt>Accuracy ${first === undefined || first.round === 0 ? 'before' : `after round ${first.round}`}</dt><dd>${formatPercent(first?.accuracy)}</dd></div>
      <div><dt>Accuracy now</dt><dd>${formatPercent(best)}</dd></div>
      ${state.charge === null ? nothing : html`<div><dt>Your ε of ${formatEpsilon(state.charge.budgetEpsilon)}</dt><dd>${formatEpsilon(state.charge.spentEpsilon)} <small>δ ${formatDelta(state.charge.guarantee.delta)}, one ${state.charge.guarantee.unit}</small></dd></div>`}
    </dl>
    <p class="soft">Accuracy is measured by the coordinator on data that no participant has.</p>`;
}

function contributed(state: ParticipantState): TemplateResult {
  const sent = state.rounds.filter((r) => r.upload !== null);
  const { ledger } = state;
  return html`<dl class="facts">
    <dt>You contributed to</dt><dd>${plural(sent.length, 'round')}</dd>
    ${
      ledger === null
        ? nothing
        : html`<dt>Ledger</dt>
            <dd>
              ${ledger.verified ? badge(`verified on this device to entry ${ledger.size - 1}`, 'good') : badge('not verified', 'bad')}
              <br /><span class="soft small">root <span class="hash">${ledger.root}</span></span>
            </dd>`
    }
  </dl>`;
}

function forgetting(state: ParticipantState, actions: Actions): TemplateResult {
  if (state.forgotten)
    return notice(
      'good',
      'This browser has forgotten you.',
      'Identity, consent memory and your own ledger are deleted. You may close the page.',
      true,
    );
  return html`<div class="stack-tight">
      <h3>On this device</h3>
      <p>Kept: your identity, what you consented to, and your own ledger of what your data was charged. Your texts were never stored.</p>
      <p><button class="button button-bad" @click=${() => openDialog('forget')}>Delete what this browser keeps</button></p>
    </div>
    ${confirmDialog({
      id: 'forget',
      title: 'Delete what this browser keeps?',
      confirm: 'Delete',
      cancel: 'Keep',
      dangerous: true,
      body: html`<p>Your identity, memory and own ledger are deleted from this browser for good. It then cannot prove what it consented to, nor notice that the coordinator’s ledger was changed. Download the receipt and your ledger first if you need them.</p>`,
      onConfirm: () => actions.forget(),
    })}`;
}
