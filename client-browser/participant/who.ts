import { html, nothing, type TemplateResult } from 'lit';
import { badge } from '../components/badge.ts';
import type { Actions } from './actions.ts';
import type { ParticipantState } from './state.ts';

/** 1. Who runs this coordinator, whether it is the one that the invitation names, and the connection in words. */
export function whoSection(state: ParticipantState, keyFingerprint: string | null, actions: Actions): TemplateResult {
  const { about, link } = state;
  return html`
    ${
      about === null
        ? html`<p class="soft" role="status">Asking the coordinator who it is…</p>`
        : html`<dl class="facts">
            <dt>Coordinator</dt><dd>${about.name}</dd>
            <dt>Its key</dt>
            <dd class="row"><span class="hash">${keyFingerprint ?? about.fingerprint}</span> ${keyBadge(link, keyFingerprint)}</dd>
            <dt>Its ledger</dt><dd><span class="mono">${about.origin}</span> · <a href="./compliance.html">read and verify it</a></dd>
            <dt>Connection</dt><dd><span role="status">${connectionWords(state)}</span></dd>
            ${
              state.identity === null
                ? nothing
                : html`<dt>You</dt><dd><span class="hash">${state.identity.clientId}</span><br /><span class="soft small">${keyWords(state.identity.sealed)}</span></dd>`
            }
          </dl>`
    }
    ${state.connection.state === 'none' ? (link === null ? linkForm(actions) : connectForm(actions, about === null)) : nothing}
  `;
}

function keyBadge(link: string | null, keyFingerprint: string | null): unknown {
  const named = link === null ? undefined : /\.([0-9a-f-]{19})$/.exec(link)?.[1];
  if (named === undefined || keyFingerprint === null) return nothing;
  return named === keyFingerprint
    ? badge('matches your invitation', 'good')
    : badge('does not match your invitation', 'bad');
}

function connectionWords(state: ParticipantState): string {
  switch (state.connection.state) {
    case 'none':
      return 'Not connected. Nothing has been sent.';
    case 'connecting':
      return state.task?.consentedBefore ? 'Welcomed back. Waiting for your data.' : 'Connecting…';
    case 'connected':
      return 'Connected. The coordinator proved that it holds the key, and that the plan is in its ledger.';
    case 'lost':
      return 'Interrupted. Trying again by itself.';
    case 'closed':
      return 'Closed.';
  }
}

function keyWords(sealed: boolean): string {
  return sealed
    ? 'Your identity was made in this browser. Its key is kept encrypted here and never sent.'
    : 'Your identity was made in this browser and never sent. This page is not on a secure address, so the browser cannot encrypt the key.';
}

function linkForm(actions: Actions): TemplateResult {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    actions.useLink(String(new FormData(event.target as HTMLFormElement).get('link') ?? '').trim());
  };
  return html`<form class="stack" @submit=${submit}>
    <p>To take part you need an invitation link from whoever runs this coordinator.</p>
    <div class="field">
      <label for="link">Invitation link</label>
      <input type="text" id="link" name="link" required autocomplete="off" spellcheck="false"
        pattern="https?://[^#]+#join=[A-Za-z0-9_\\-]+\\.[0-9a-f\\-]{19}" aria-describedby="link-hint" />
      <span class="hint" id="link-hint">It looks like ${location.origin}/#join=…</span>
    </div>
    <button class="button button-main">Open the invitation</button>
  </form>`;
}

function connectForm(actions: Actions, waiting: boolean): TemplateResult {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    actions.connect(String(new FormData(event.target as HTMLFormElement).get('organisation') ?? '').trim());
  };
  return html`<form class="stack" @submit=${submit}>
    <div class="field">
      <label for="organisation">Your name or organisation</label>
      <input type="text" id="organisation" name="organisation" required maxlength="100" autocomplete="organization" aria-describedby="organisation-hint" />
      <span class="hint" id="organisation-hint">The operator and the other participants see it.</span>
    </div>
    <button class="button button-main" ?disabled=${waiting}>Connect</button>
    <p class="soft small">Connecting uses your invitation. You choose data and consent afterwards.</p>
  </form>`;
}
