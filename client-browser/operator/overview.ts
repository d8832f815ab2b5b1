import { html, nothing, type TemplateResult } from 'lit';
import type { ParticipantView, RunView, StageView } from '../../shared/protocol/views.ts';
import { badge, notice, type Tone } from '../components/badge.ts';
import { confirmDialog, openDialog } from '../components/confirm.ts';
import { dataTable } from '../components/data-table.ts';
import { guaranteeTable } from '../components/guarantees.ts';
import { formatBytes, formatCount, formatDate, sentence } from '../lib/format.ts';
import { fragment } from '../lib/location.ts';
import { bestOf, qualityOf } from '../lib/quality.ts';
import { explainCode, PHASES } from '../lib/words.ts';
import { stateBadge } from './run-list.ts';

/** Name, state, progress and the Stop button: above every tab. */
export function runHead(run: RunView): TemplateResult {
  const stoppable = run.state === 'running' || run.state === 'waiting';
  return html`<div class="stack">
    <p class="small"><a href=${fragment({})}>All runs</a></p>
    <div class="row between">
      <h1>${run.name}</h1>
      <div class="row">
        ${stateBadge(run)}
        ${
          stoppable
            ? html`<button class="button button-bad" @click=${() => openDialog('stop-run')}>Stop this run</button>`
            : nothing
        }
      </div>
    </div>
    <p class="lede">${run.purpose}</p>
    ${run.reason === null ? nothing : reasonNotice(run)}
    <div class="stack-tight">
      <progress max=${Math.max(run.rounds, 1)} value=${doneRounds(run)} aria-label="Rounds done"></progress>
      <p class="soft" role="status">
        Round ${run.round} of ${run.rounds}${run.phase === null ? '' : `: ${PHASES[run.phase]}`}
      </p>
    </div>
  </div>`;
}

function doneRounds(run: RunView): number {
  return run.stages.reduce((n, s) => n + s.roundsDone, 0);
}

/** A reason that begins with a code is explained; one in words says everything by itself. */
function reasonNotice(run: RunView): TemplateResult {
  const [code = '', ...rest] = (run.reason ?? '').split(': ');
  if (!/^[A-Z_]+$/.test(code))
    return notice(run.state === 'failed' ? 'bad' : 'plain', sentence(run.reason ?? ''), nothing);
  const { title, body } = explainCode(code, rest.join(': ') || code);
  return notice(
    run.state === 'failed' ? 'bad' : 'warn',
    title,
    html`${body} <span class="small mono">${run.reason}</span>`,
  );
}

/** Overview: the figures, stages, who takes part, what is promised. @param invite - how more can be asked, while that makes sense */
export function overviewTab(run: RunView, invite: TemplateResult | typeof nothing): TemplateResult {
  const [first] = run.evaluations;
  const quality = qualityOf(run.evaluations);
  return html`<div class="stack">
    <section class="panel">
      <h2 class="visually-hidden">Figures</h2>
      <dl class="figures">
        <div><dt>${quality.name}, held-out data</dt><dd>${quality.of(bestOf(run.evaluations))} <small>from ${quality.of(first)}</small></dd></div>
        <div><dt>Participants in</dt><dd>${run.participants.filter((p) => p.state === 'consented').length} <small>of ${run.participants.length} invited</small></dd></div>
        <div><dt>Update of one client</dt><dd>${formatBytes(Math.max(0, ...run.stages.map((s) => s.updateBytes)))} <small>masked</small></dd></div>
        <div><dt>Labels</dt><dd><small>${run.labels.length === 0 ? 'none: fills in hidden words' : run.labels.join(', ')}</small></dd></div>
      </dl>
    </section>
    <section class="panel">${guaranteeTable(run.guarantees)}</section>
    <section class="panel">${stageTable(run.stages)}</section>
    <section class="panel">${participantTable(run.participants)}</section>
    ${invite}
    <section class="panel stack">
      <h2>The plan</h2>
      <dl class="facts">
        <dt>SHA-256</dt><dd class="hash">${run.planHash}</dd>
        <dt>Created</dt><dd>${formatDate(run.createdAt)}</dd>
        <dt>Model published</dt><dd>${run.model === null ? 'none yet' : html`<a href=${fragment({ run: run.id, tab: 'models' })}>${run.model}</a>`}</dd>
      </dl>
      <details>
        <summary>The plan as committed to the ledger</summary>
        <pre class="code" tabindex="0" role="region" aria-label="The plan as JSON">${JSON.stringify(run.plan, null, 2)}</pre>
      </details>
    </section>
  </div>`;
}

function stageTable(stages: readonly StageView[]): TemplateResult {
  return dataTable<StageView>({
    caption: 'Stages',
    rows: stages,
    empty: 'No stage.',
    columns: [
      { label: 'Stage', cell: (s) => s.index + 1 },
      { label: 'Algorithm', cell: (s) => s.algorithm },
      { label: 'Trains', cell: (s) => s.train },
      { label: 'Rounds', align: 'end', cell: (s) => `${s.roundsDone} of ${s.rounds}` },
      { label: 'Sampling probability', align: 'end', cell: (s) => s.samplingProbability },
      { label: 'Noise multiplier', align: 'end', cell: (s) => s.noiseMultiplier.toFixed(2) },
      { label: 'L2 clip', align: 'end', cell: (s) => s.l2Clip },
      { label: 'Numbers in an update', align: 'end', cell: (s) => formatCount(s.updateElements) },
    ],
  });
}

const STATES: Readonly<Record<ParticipantView['state'], readonly [string, Tone]>> = {
  invited: ['invited', 'plain'],
  consented: ['consented', 'good'],
  refused: ['refused', 'bad'],
  withdrawn: ['took consent back', 'warn'],
  left: ['left', 'warn'],
};

function participantTable(participants: readonly ParticipantView[]): TemplateResult {
  return dataTable<ParticipantView>({
    caption: 'Participants',
    rows: participants,
    empty: 'Nobody has joined yet.',
    columns: [
      {
        label: 'Organisation',
        cell: (p) => html`${p.organisation}<br /><span class="soft small mono">${p.clientId.slice(0, 12)}</span>`,
      },
      { label: 'Answer', cell: (p) => badge(...STATES[p.state]) },
      { label: 'Connection', cell: (p) => (p.connected ? 'connected' : 'not connected') },
      { label: 'Engine', cell: (p) => p.engine || '–' },
      { label: 'Records declared', align: 'end', cell: (p) => (p.records === null ? '–' : formatCount(p.records)) },
    ],
  });
}

export function stopDialog(run: RunView, stop: (operatorToken: string) => void): TemplateResult {
  return confirmDialog({
    id: 'stop-run',
    title: `Stop ${run.name}?`,
    dangerous: true,
    confirm: 'Stop the run',
    cancel: 'Let it run',
    body: html`<p>The round in progress ends without a result. What was spent of the budget stays spent, and the models published so far stay.</p>
      ${operatorTokenField('stop-token')}`,
    onConfirm: (form) => stop(operatorToken(form)),
  });
}

/** The token lies in the coordinator's data directory. It stays in this form: it is never stored. */
export function operatorTokenField(id: string): TemplateResult {
  return html`<div class="field">
    <label for=${id}>Operator token</label>
    <input type="password" id=${id} name="token" required autocomplete="off" aria-describedby="${id}-hint" />
    <span class="hint" id="${id}-hint">It is in the file operator-token of the coordinator’s data directory. This page does not keep it.</span>
  </div>`;
}

export function operatorToken(form: HTMLFormElement): string {
  const token = String(new FormData(form).get('token') ?? '');
  form.reset();
  return token;
}
