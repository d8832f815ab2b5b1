import { html, nothing, type TemplateResult } from 'lit';
import type { ChartSpec } from '../components/chart.ts';
import '../components/chart.ts';
import { gauge } from '../components/gauge.ts';
import { formatDelta, formatDuration, formatEpsilon, formatSeconds, sentence } from '../lib/format.ts';
import { MY_PHASES } from '../lib/words.ts';
import { accountSection } from './account.ts';
import type { Actions } from './actions.ts';
import { bytesSent } from './sent.ts';
import { currentStep, type ParticipantState, secondsLeft } from './state.ts';

/** 6. Live: what this device does right now, its loss, its budget; pause. */
export function liveSection(state: ParticipantState, actions: Actions): TemplateResult {
  const live = currentStep(state) === 'live' && state.stopped === null;
  return html`
    ${live ? progress(state, actions) : nothing}
    ${state.charge === null ? nothing : budget(state)}
    ${lossChart(state)}
    ${bytesSent(state)}
    ${state.finished === null && !state.left ? accountSection(state, actions) : nothing}
  `;
}

function progress(state: ParticipantState, actions: Actions): TemplateResult {
  const { phase } = state;
  const left = secondsLeft(state);
  return html`
    <div class="row between">
      <p class="phase" role="status">${state.paused ? 'Paused: this device sits out' : phase === null ? 'Ready. Waiting for the round to begin' : MY_PHASES[phase.phase]}</p>
      ${
        state.paused
          ? html`<button class="button button-main" @click=${() => actions.resume()}>Go on</button>`
          : html`<button class="button" @click=${() => actions.pause()}>Pause</button>`
      }
    </div>
    ${
      phase === null
        ? nothing
        : html`<div class="stack-tight">
            <progress max=${phase.rounds} value=${phase.round - 1} aria-label="Rounds done"></progress>
            <p class="soft number">Round ${phase.round} of ${phase.rounds}${left === null ? '' : ` · ${formatDuration(left)} left`}</p>
          </div>`
    }
    <p class="soft small">Keep this tab open. You may work in other tabs and windows: training runs in a worker of its own.</p>
  `;
}

function budget(state: ParticipantState): unknown {
  const { charge } = state;
  if (charge === null) return nothing;
  return html`<div class="stack-tight">
    <h3>What this training has cost so far</h3>
    ${gauge({ label: `this training, one ${charge.guarantee.unit}`, total: charge.budgetEpsilon, spent: charge.spentEpsilon, reserved: 0 })}
    <p class="soft">${sentence(charge.guarantee.odds)} That is the whole training: ε ${formatEpsilon(charge.guarantee.epsilon)} at δ ${formatDelta(charge.guarantee.delta)}, against ${charge.guarantee.adversary}.</p>
  </div>`;
}

function lossChart(state: ParticipantState): unknown {
  const trained = state.rounds.filter((r) => r.loss !== null);
  if (trained.length === 0) return html`<p class="soft">The first loss appears after the first round.</p>`;
  const spec: ChartSpec = {
    title: 'Loss on your own texts: it never leaves this device',
    xLabel: 'round',
    x: trained.map((r) => r.round),
    format: (v) => v.toFixed(3),
    series: [{ label: 'mean loss of the texts drawn in the round', style: 1, values: trained.map((r) => r.loss) }],
  };
  const last = trained.at(-1);
  return html`<tacit-chart .spec=${spec}></tacit-chart>
    <p class="soft small number">Last: ${last?.examples} texts in ${formatSeconds(last?.seconds ?? undefined)}.</p>`;
}
