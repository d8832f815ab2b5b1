import { html, nothing, type TemplateResult } from 'lit';
import { badge, notice } from '../components/badge.ts';
import { confirmDialog, openDialog } from '../components/confirm.ts';
import { formatDelta, formatEpsilon, plural } from '../lib/format.ts';
import { bestOf, qualityOf } from '../lib/quality.ts';
import { explainCode, runStateWords } from '../lib/words.ts';
import { accountSection } from './account.ts';
import type { Actions } from './actions.ts';
import { type Asked, canWithdraw, type ParticipantState } from './state.ts';

/** 7. What it brought, what it cost, what was verified; and forgetting. */
export function doneSection(state: ParticipantState, actions: Actions): TemplateResult {
  return html`
    ${left(state)}
    ${withdrawal(state, actions)}
    ${state.finished === null ? nothing : outcome(state)}
    ${contributed(state)}
    ${accountSection(state, actions)}
    ${forgetting(state, actions)}
  `;
}

function left(state: ParticipantState): unknown {
  if (!state.left || state.finished !== null || state.withdrawal !== 'none') return nothing;
  const back = 'Nothing more is sent from this device. Reload the page to come back with the same invitation.';
  return notice('plain', 'You left.', back, true);
}

/** As easy to take back as it was to give (GDPR Art. 7(3)). */
function withdrawal(state: ParticipantState, actions: Actions): unknown {
  if (state.withdrawal === 'done') {
    const { title, body } = explainCode('CONSENT_WITHDRAWN', '');
    return notice('good', title, html`${body} <a href="./compliance.html">Read the ledger</a>`, true);
  }
  if (!canWithdraw(state)) return nothing;
  return html`<div class="stack-tight">
    <h3>Your consent</h3>
    <p>It stands until you withdraw it. A withdrawal is signed by this browser and kept in the ledger; no later round of this training is with you.</p>
    ${problem(state.withdrawal, 'The withdrawal did not reach the ledger.')}
    <p><button class="button" ?disabled=${state.withdrawal === 'sending'} @click=${() => actions.withdraw()}>Withdraw my consent</button></p>
    <div role="status">${state.withdrawal === 'sending' ? html`<p class="soft">Telling the coordinator. Keep this page open until it is in the ledger…</p>` : nothing}</div>
  </div>`;
}

function problem(asked: Asked, title: string): unknown {
  if (typeof asked === 'string') return nothing;
  return notice(
    'bad',
    title,
    html`${asked.message}. ${asked.fix ?? ''} <span class="small soft">${asked.code}</span>`,
    true,
  );
}

function outcome(state: ParticipantState): unknown {
  const run = state.finished;
  if (run === null) return nothing;
  const { text, tone } = runStateWords(run.state);
  const [first] = run.evaluations;
  const quality = qualityOf(run.evaluations);
  return html`<div class="row">${badge(`training ${text}`, tone)}${run.reason === null ? nothing : html`<span class="soft">${run.reason}</span>`}</div>
    <dl class="figures">
      <div><dt>${quality.name} ${first === undefined || first.round === 0 ? 'before' : `after round ${first.round}`}</dt><dd>${quality.of(first)}</dd></div>
      <div><dt>${quality.name} now</dt><dd>${quality.of(bestOf(run.evaluations))}</dd></div>
      ${state.charge === null ? nothing : html`<div><dt>Your ε of ${formatEpsilon(state.charge.budgetEpsilon)}</dt><dd>${formatEpsilon(state.charge.spentEpsilon)} <small>δ ${formatDelta(state.charge.guarantee.delta)}, one ${state.charge.guarantee.unit}</small></dd></div>`}
    </dl>
    <p class="soft">Measured by the coordinator on data that no participant has.</p>`;
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
      <p>Kept: your identity (a key), what you consented to, and your own ledger of what your data was charged. Your texts were never stored.</p>
      ${problem(state.keyChange, 'The key was not changed.')}
      <div class="row">
        <button class="button" ?disabled=${state.keyChange === 'sending'} @click=${() => actions.changeKey()}>Change this browser’s key</button>
        <button class="button button-bad" @click=${() => openDialog('forget')}>Delete what this browser keeps</button>
      </div>
      <div role="status">${
        state.keyChange === 'done'
          ? html`<p class="soft">This browser has another key; the old one is gone. It stays the same participant: the change, signed by both keys, is in its own ledger and is shown to coordinators next time.</p>`
          : html`<p class="soft small">Change the key when somebody else may have seen it. You stay the same participant.</p>`
      }</div>
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
