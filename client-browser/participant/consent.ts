import { html, nothing, type TemplateResult } from 'lit';
import { badge, notice } from '../components/badge.ts';
import { chargedGuarantee, guaranteeConditions, guaranteeTable } from '../components/guarantees.ts';
import { iconCheck } from '../components/icons.ts';
import { formatCount, formatDelta, formatEpsilon, plural } from '../lib/format.ts';
import type { Limits } from '../worker/messages.ts';
import type { Actions } from './actions.ts';
import type { ParticipantState } from './state.ts';

/** 5. Consent: plain statements, own limits, a receipt. */
export function consentSection(state: ParticipantState, actions: Actions): TemplateResult {
  const given = state.consent === 'given';
  return html`
    ${given ? receipt(state, actions) : nothing}
    ${statements(state)}
    ${guaranteeTable(state.run?.guarantees ?? [])}
    ${conditions(state)}
    ${state.objection === null ? nothing : notice('bad', 'Your own limits refuse this plan.', html`${state.objection.message}. Nothing was sent.`, true)}
    ${given || state.stopped !== null || state.left ? nothing : consentForm(state, actions)}
  `;
}

function receipt(state: ParticipantState, actions: Actions): TemplateResult {
  return html`<div class="row">
    ${badge('you consented', 'good')}
    ${state.receipt === null ? nothing : html`<button class="button button-small" @click=${() => actions.receipt()}>Download the signed receipt</button>`}
  </div>`;
}

function statements(state: ParticipantState): TemplateResult {
  const { run, data } = state;
  const records = data.status === 'ready' ? data.report.kept : 0;
  const guarantee = chargedGuarantee(run?.guarantees ?? []);
  const lines = [
    `This device trains for at most ${plural(run?.rounds ?? 0, 'round')}, on ${plural(records, 'text')} that stay here.`,
    'It sends only what the table above lists. Each update is clipped and noised here, then masked so that only the sum of everybody’s can be read.',
    guarantee === undefined
      ? 'This run promises no differential privacy: the sum itself may reveal something about your data.'
      : `Everything released together costs at most ε = ${formatEpsilon(guarantee.epsilon)} at δ = ${formatDelta(guarantee.delta)} for one ${guarantee.unit}, against ${guarantee.adversary}. When that is used up, training stops.`,
    'The number of your texts, your name or organisation, the engine and this consent are public to the others and in the ledger.',
    'You may pause, leave or withdraw this consent at any moment. What was released before cannot be called back.',
  ];
  return html`<ul class="statements">${lines.map((line) => html`<li>${iconCheck()}<span>${line}</span></li>`)}</ul>`;
}

function conditions(state: ParticipantState): unknown {
  const guarantee = chargedGuarantee(state.run?.guarantees ?? []);
  return guarantee === undefined
    ? nothing
    : html`<details><summary>What this promise rests on</summary>${guaranteeConditions(guarantee)}</details>`;
}

/** The limits begin at what the plan asks for, no more: a person can tighten them, and a wider plan needs another consent. */
function consentForm(state: ParticipantState, actions: Actions): TemplateResult {
  const { run } = state;
  const plan = planNumbers(run?.plan);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    actions.consent(limitsOf(new FormData(event.target as HTMLFormElement)));
  };
  return html`<form class="stack" @submit=${submit}>
    <h3>Your limits</h3>
    <p class="soft">They begin at what the plan asks for. A plan that needs more is refused on this device.</p>
    <div class="grid-fields">
      ${number('maximumEpsilon', 'Stop at ε', plan.epsilon ?? chargedGuarantee(run?.guarantees ?? [])?.epsilon ?? 0, 'any', '0.01')}
      ${number('maximumRounds', 'Rounds at most', run?.rounds ?? 1, '1', '1')}
      ${number('minimumCohort', 'Hide among at least', plan.minimumCohort ?? 4, '1', '3')}
    </div>
    <label class="check">
      <input type="checkbox" name="agreed" required />
      <span>I may use this data for this purpose, and I have read what will be sent.</span>
    </label>
    <div class="row">
      <button class="button button-main" ?disabled=${state.consent === 'sending'}>I consent</button>
      <button type="button" class="button" @click=${() => actions.decline()}>I decline</button>
    </div>
    <div role="status">${state.consent === 'sending' ? html`<p class="soft">Signing, and preparing the model (${formatCount(run?.rounds ?? 0)} rounds follow)…</p>` : nothing}</div>
  </form>`;
}

function number(name: keyof Limits, label: string, value: number, step: string, min: string): TemplateResult {
  return html`<div class="field">
    <label for="limit-${name}">${label}</label>
    <input type="number" id="limit-${name}" name=${name} .defaultValue=${String(value)} step=${step} min=${min} required />
  </div>`;
}

function limitsOf(form: FormData): Limits {
  const value = (name: keyof Limits): number => Number(form.get(name));
  return {
    maximumEpsilon: value('maximumEpsilon'),
    maximumRounds: value('maximumRounds'),
    minimumCohort: value('minimumCohort'),
  };
}

/** The two numbers of a plan document that limits are about; the session checks the whole plan by its schema. */
function planNumbers(plan: unknown): { epsilon?: number; minimumCohort?: number } {
  const document = plan as { privacy?: { epsilon?: unknown }; secureAggregation?: { minimumCohort?: unknown } } | null;
  const epsilon = document?.privacy?.epsilon;
  const minimumCohort = document?.secureAggregation?.minimumCohort;
  return {
    ...(typeof epsilon === 'number' ? { epsilon } : {}),
    ...(typeof minimumCohort === 'number' ? { minimumCohort } : {}),
  };
}
