import { html, nothing, type TemplateResult } from 'lit';
import { notice } from '../components/badge.ts';
import { formatDuration } from '../lib/format.ts';
import { explainCode } from '../lib/words.ts';
import type { Actions } from './actions.ts';
import { currentStep, missedRounds, type ParticipantState } from './state.ts';

/** States that matter more than the step: stopped, coordinator gone, round missed, slow engine, tab was hidden. */
export function notices(
  state: ParticipantState,
  gone: boolean,
  hiddenForMs: number | null,
  actions: Actions,
): TemplateResult {
  return html`${stopped(state, actions)} ${lost(state, gone)} ${lastRound(state)} ${restarted(state)} ${slowEngine(state)} ${hiddenTab(state, hiddenForMs)}`;
}

function stopped(state: ParticipantState, actions: Actions): unknown {
  if (state.stopped === null || state.left) return nothing;
  const { code, message, fix, how } = state.stopped;
  const { title, body } = explainCode(
    code,
    how === 'refused' ? 'This training was refused.' : 'Training stopped on this device.',
  );
  const tone = how === 'refused' || ENDINGS.has(code) ? 'warn' : 'bad';
  return html`${notice(tone, title, html`${body} <span class="small soft">${code}: ${message}. ${fix}</span>`, true)}
    ${RETRY.has(code) || how === 'failed' ? html`<p class="row"><button class="button" @click=${() => actions.resume()}>Try again</button></p>` : nothing}`;
}

/** Ordinary ends, not faults. */
const ENDINGS: ReadonlySet<string> = new Set(['BUDGET_EXCEEDED', 'RUN_CLOSED', 'COHORT_TOO_SMALL', 'CONSENT_REQUIRED']);
const RETRY: ReadonlySet<string> = new Set(['COHORT_TOO_SMALL', 'CONNECTION_LOST']);

function lost(state: ParticipantState, gone: boolean): unknown {
  if (state.stopped !== null || state.left || state.finished !== null) return nothing;
  if (state.connection.state !== 'lost' && !gone) return nothing;
  const training = currentStep(state) === 'live';
  return notice(
    'warn',
    'The coordinator is not reachable.',
    training
      ? 'Your place and your data are kept here. The page keeps trying and goes on where the round is then; nothing is charged twice.'
      : 'The page keeps trying. Nothing has been sent.',
    true,
  );
}

function restarted(state: ParticipantState): unknown {
  if (state.restarted === null || state.stopped !== null || state.left || currentStep(state) === 'done') return nothing;
  const { reason, engine } = state.restarted;
  const was = engine === null ? '' : ` It computed with ${engine}; another engine goes on where there is one.`;
  return notice(
    'warn',
    'The training worker stopped and was started again.',
    html`The round is gone on with, and none of your texts counts twice.${was} <span class="small soft">${reason}</span>`,
    true,
  );
}

function lastRound(state: ParticipantState): unknown {
  if (currentStep(state) !== 'live' || state.stopped !== null) return nothing;
  const last = state.rounds.at(-1);
  if (last?.outcome === 'aborted') {
    const { title, body } = explainCode(
      (last.reason ?? '').split(':')[0] ?? '',
      `Round ${last.round} ended without a result.`,
    );
    return notice(
      'warn',
      title,
      html`${body} <span class="small soft">Round ${last.round}: ${last.reason ?? 'no reason given'}.</span>`,
      true,
    );
  }
  const [missed] = missedRounds(state);
  if (missed === undefined || missed !== last) return nothing;
  return notice(
    'warn',
    `Round ${missed.round} closed without you.`,
    'Your device was not ready in time. Nothing of it is in the sum, and you are in the next round.',
    true,
  );
}

/** Without a GPU the page still trains, slower; the person should know before consenting to the wait. */
function slowEngine(state: ParticipantState): unknown {
  if (state.engine === null || currentStep(state) === 'done' || currentStep(state) === 'live') return nothing;
  if (/webgl|webgpu/i.test(state.engine.name)) return nothing;
  return notice(
    'plain',
    'No graphics processor is used.',
    html`WebGL and WebGPU are missing or gave wrong results here, so the processor computes (${state.engine.name}). It works, but takes longer.`,
  );
}

function hiddenTab(state: ParticipantState, hiddenForMs: number | null): unknown {
  if (hiddenForMs === null || hiddenForMs < 3000 || currentStep(state) !== 'live') return nothing;
  return notice(
    'plain',
    'Welcome back.',
    `This tab was in the background for ${formatDuration(hiddenForMs / 1000)}. Training went on in its worker; browsers may slow it down there, so a visible tab is faster.`,
  );
}
