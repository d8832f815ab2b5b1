import { html, nothing, type TemplateResult } from 'lit';
import type { ModelView } from '../../shared/protocol/views.ts';
import { badge, notice } from '../components/badge.ts';
import { confirmDialog, openDialog } from '../components/confirm.ts';
import { dataTable } from '../components/data-table.ts';
import { api, type PredictView } from '../lib/api.ts';
import { formatBytes, formatDate, formatPercent } from '../lib/format.ts';
import { operatorToken, operatorTokenField } from './overview.ts';

/** "Try a prediction". */
export type Trial =
  | { readonly state: 'idle' }
  | { readonly state: 'asking'; readonly text: string }
  | { readonly state: 'answered'; readonly text: string; readonly prediction: PredictView['predictions'][number] }
  | { readonly state: 'failed'; readonly text: string; readonly why: string };

export interface ModelActions {
  promote(model: string, operatorToken: string): void;
  predict(model: string, text: string): void;
}

/** Models: every published one with its hashes and files; promote one, ask one. */
export function modelsTab(models: readonly ModelView[], trial: Trial, actions: ModelActions): TemplateResult {
  const newest = [...models].sort((a, b) => b.round - a.round);
  const asked = newest.find((m) => m.promoted) ?? newest[0];
  return html`<div class="stack">
    <section class="panel">${modelTable(newest)}</section>
    ${newest.map((m) => promoteDialog(m, actions))}
    ${asked === undefined ? nothing : trialPanel(asked, trial, actions)}
    ${newest.map(filesPanel)}
  </div>`;
}

function modelTable(models: readonly ModelView[]): TemplateResult {
  return dataTable<ModelView>({
    caption: 'Published models, the newest first',
    rows: models,
    empty: 'No model is published yet.',
    columns: [
      {
        label: 'Model',
        cell: (m) => html`<span class="mono">${m.id}</span>${m.promoted ? html` ${badge('in use', 'good')}` : nothing}`,
      },
      { label: 'Round', align: 'end', cell: (m) => m.round },
      { label: 'Accuracy', align: 'end', cell: (m) => formatPercent(m.accuracy) },
      { label: 'F1', align: 'end', cell: (m) => formatPercent(m.f1) },
      { label: 'Published', cell: (m) => formatDate(m.createdAt) },
      {
        label: 'Ledger entry',
        align: 'end',
        cell: (m) => html`<a href="./compliance.html#entry=${m.ledgerIndex}">${m.ledgerIndex}</a>`,
      },
      {
        label: 'Use',
        cell: (m) =>
          m.promoted
            ? 'answers predictions'
            : html`<button class="button button-small" @click=${() => openDialog(dialogId(m))}>Promote<span class="visually-hidden"> ${m.id}</span></button>`,
      },
    ],
  });
}

function dialogId(model: ModelView): string {
  return `promote-${model.id}`;
}

function promoteDialog(model: ModelView, actions: ModelActions): TemplateResult {
  return confirmDialog({
    id: dialogId(model),
    title: `Put ${model.id} into use?`,
    confirm: 'Promote',
    body: html`<p>Predictions are then answered by this model. You can go back to any earlier one the same way.</p>
      ${operatorTokenField(`${dialogId(model)}-token`)}`,
    onConfirm: (form) => actions.promote(model.id, operatorToken(form)),
  });
}

function trialPanel(model: ModelView, trial: Trial, actions: ModelActions): TemplateResult {
  const ask = (event: SubmitEvent): void => {
    event.preventDefault();
    const text = String(new FormData(event.target as HTMLFormElement).get('text') ?? '').trim();
    if (text !== '') actions.predict(model.id, text);
  };
  return html`<section class="panel stack" aria-labelledby="trial-title">
    <h2 id="trial-title">Try a prediction</h2>
    <form class="stack" @submit=${ask}>
      <div class="field">
        <label for="trial-text">A text for ${model.id}</label>
        <textarea id="trial-text" name="text" required aria-describedby="trial-hint"></textarea>
        <span class="hint" id="trial-hint">It is sent to this coordinator and not kept.</span>
      </div>
      <button class="button button-main" ?disabled=${trial.state === 'asking'}>Predict</button>
    </form>
    <div role="status">${trialResult(trial)}</div>
  </section>`;
}

function trialResult(trial: Trial): unknown {
  if (trial.state === 'asking') return html`<p class="soft">Asking the model…</p>`;
  if (trial.state === 'failed') return notice('bad', 'No prediction.', trial.why);
  if (trial.state === 'idle') return nothing;
  const scores = Object.entries(trial.prediction.scores).sort((a, b) => b[1] - a[1]);
  return html`<p class="phase">${trial.prediction.label}</p>
    ${dataTable<[string, number]>({
      caption: trial.prediction.masks === undefined ? 'Scores of the labels' : 'What may stand for the first [MASK]',
      captionHidden: true,
      rows: scores,
      empty: '',
      columns: [
        { label: trial.prediction.masks === undefined ? 'Label' : 'Piece', cell: ([label]) => label },
        { label: 'Probability', align: 'end', cell: ([, p]) => formatPercent(p) },
      ],
    })}`;
}

function filesPanel(model: ModelView): TemplateResult {
  return html`<section class="panel">
    <details>
      <summary>Files of ${model.id} (a Hugging Face directory)</summary>
      ${dataTable<ModelView['files'][number]>({
        caption: `Files of ${model.id}`,
        captionHidden: true,
        rows: model.files,
        empty: 'No files.',
        columns: [
          { label: 'File', cell: (f) => html`<a href=${api.modelFile(model.id, f.name)} download>${f.name}</a>` },
          { label: 'Size', align: 'end', cell: (f) => formatBytes(f.sizeBytes) },
          { label: 'SHA-256', cell: (f) => html`<span class="hash">${f.sha256}</span>` },
        ],
      })}
    </details>
  </section>`;
}
