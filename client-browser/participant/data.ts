import { html, nothing, type TemplateResult } from 'lit';
import type { DataReport } from '../../shared/text/report.ts';
import { notice } from '../components/badge.ts';
import { dataTable } from '../components/data-table.ts';
import { formatCount, formatPercent, plural } from '../lib/format.ts';
import { dropReason } from '../lib/words.ts';
import type { PreviewRow, TaskView } from '../worker/messages.ts';
import type { Actions } from './actions.ts';
import { filesOfDrop, filesOfInput } from './files.ts';
import type { DataState, ParticipantState } from './state.ts';

/** 3. The person's data: chosen, read in the worker, shown back. */
export function dataSection(state: ParticipantState, actions: Actions): TemplateResult {
  const { data, task } = state;
  const fixed = state.phase !== null || state.finished !== null || state.left;
  return html`
    ${
      task?.consentedBefore && data.status === 'none' && !fixed
        ? notice(
            'plain',
            'You consented earlier in this browser.',
            'Your texts were not kept. Choose the same data again and training goes on.',
          )
        : nothing
    }
    ${task === null || fixed ? nothing : needed(task)}
    ${fixed ? nothing : dropZone(data, task?.label === null, actions)}
    <div role="status">${data.status === 'reading' ? html`<p>Reading ${plural(data.files, 'file')}…</p>` : nothing}</div>
    ${data.status === 'problem' ? problem(state, data, actions) : nothing}
    ${data.status === 'ready' ? ready(data) : nothing}
    <details>
      <summary>On this device only: how do I know?</summary>
      <ul>
        <li>Your files are read by this page’s worker, in memory. They are not stored, and no code uploads them.</li>
        <li>The page’s security policy lets it talk to this coordinator and to nobody else. Your browser enforces that; the header is <code>Content-Security-Policy</code>.</li>
        <li>What does leave is listed below before you consent. After every round you can look at its first bytes and its hash, and compare them with your browser’s network log.</li>
        <li>You may disconnect from the network while you choose and preview files: it works all the same.</li>
      </ul>
    </details>
  `;
}

function dropZone(data: DataState, unlabelled: boolean, actions: Actions): TemplateResult {
  const over = (event: DragEvent, on: boolean): void => {
    event.preventDefault();
    (event.currentTarget as HTMLElement).classList.toggle('over', on);
  };
  const dropped = (event: DragEvent): void => {
    over(event, false);
    if (event.dataTransfer !== null) void filesOfDrop(event.dataTransfer).then((files) => actions.choose(files));
  };
  const picked = (event: Event): void => actions.choose(filesOfInput(event.target as HTMLInputElement));
  return html`<div
    class="drop"
    @dragover=${(event: DragEvent) => over(event, true)}
    @dragleave=${(event: DragEvent) => over(event, false)}
    @drop=${dropped}
  >
    <p><strong>${data.status === 'ready' ? 'Drop other data to replace it' : 'Drop your data here'}</strong></p>
    <p class="soft">A CSV or JSONL file, or ${unlabelled ? '.txt or .eml files or a folder of them' : 'a folder of .txt or .eml files sorted into one subfolder a label'}.</p>
    <div class="row">
      <label class="button button-main file-button">
        Choose files
        <input type="file" multiple accept=".csv,.tsv,.jsonl,.ndjson,.txt,.eml" aria-label="Choose files" @change=${picked} />
      </label>
      <label class="button file-button">
        Choose a folder
        <input type="file" webkitdirectory multiple aria-label="Choose a folder" @change=${picked} />
      </label>
    </div>
  </div>`;
}

function problem(
  state: ParticipantState,
  data: Extract<DataState, { status: 'problem' }>,
  actions: Actions,
): TemplateResult {
  return html`${notice('bad', 'These files cannot be used as they are.', html`${capital(data.problem.message)}. ${data.problem.fix ?? ''}`, true)}
    ${data.columnsFound.length > 0 ? columnsForm(state, data.columnsFound, actions) : nothing}`;
}

function columnsForm(state: ParticipantState, found: readonly string[], actions: Actions): TemplateResult {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = new FormData(event.target as HTMLFormElement);
    actions.readAgain({ text: String(form.get('text')), label: String(form.get('label') ?? '') });
  };
  const select = (name: 'text' | 'label', label: string): TemplateResult => html`<div class="field">
    <label for="column-${name}">${label}</label>
    <select id="column-${name}" name=${name}>
      ${found.map((column) => html`<option value=${column} ?selected=${column === guess(found, name, state)}>${column}</option>`)}
    </select>
  </div>`;
  return html`<form class="stack" @submit=${submit}>
    <p>Which columns are which?</p>
    <div class="grid-fields">${select('text', 'Column with the text')} ${state.task?.label === null ? nothing : select('label', 'Column with the label')}</div>
    <button class="button button-main">Read again</button>
  </form>`;
}

/** The column whose name is nearest to what the plan calls it. */
function guess(found: readonly string[], name: 'text' | 'label', state: ParticipantState): string | undefined {
  const wanted = state.task?.[name]?.toLowerCase() ?? name;
  const like = name === 'text' ? /text|body|message|content|mail/i : /label|class|category|target|spam/i;
  return found.find((c) => c.toLowerCase() === wanted) ?? found.find((c) => like.test(c)) ?? found[0];
}

function ready(data: Extract<DataState, { status: 'ready' }>): TemplateResult {
  const { report } = data;
  const labelled = Object.keys(report.labels).length > 0;
  return html`<p role="status">
      <strong>${plural(report.kept, 'text')}</strong> ready from ${plural(data.files.length, 'file')}${report.kept === report.read ? '.' : html`; ${formatCount(report.read - report.kept)} of ${formatCount(report.read)} left out.`}
    </p>
    ${labelled ? labelTable(report) : nothing}
    ${report.dropped.length === 0 ? nothing : droppedTable(report)}
    <details>
      <summary>Preview the first rows</summary>
      ${dataTable<PreviewRow>({
        caption: 'First rows, seen on this device only',
        rows: data.preview,
        empty: '',
        columns: [
          { label: 'Where', cell: (r) => html`<span class="small">${r.place}</span>` },
          ...(labelled ? [{ label: 'Label', cell: (r: PreviewRow) => r.label }] : []),
          { label: 'Text', cell: (r) => r.text },
        ],
      })}
      <p class="soft small">Lengths in characters: shortest ${formatCount(report.lengths.min)}, median ${formatCount(report.lengths.median)}, longest ${formatCount(report.lengths.max)}.</p>
    </details>`;
}

function labelTable(report: DataReport): TemplateResult {
  return dataTable<[string, number]>({
    caption: 'Labels',
    rows: Object.entries(report.labels),
    empty: '',
    columns: [
      { label: 'Label', cell: ([label]) => label },
      { label: 'Texts', align: 'end', cell: ([, n]) => formatCount(n) },
      { label: 'Share', align: 'end', cell: ([, n]) => formatPercent(n / report.kept) },
    ],
  });
}

function droppedTable(report: DataReport): TemplateResult {
  return dataTable<DataReport['dropped'][number]>({
    caption: 'Rows left out, and why',
    rows: report.dropped,
    empty: '',
    columns: [
      { label: 'Why', cell: (d) => dropReason(d.reason) },
      { label: 'Rows', align: 'end', cell: (d) => formatCount(d.count) },
      {
        label: 'For example',
        cell: (d) =>
          html`<span class="small">${d.examples
            .slice(0, 3)
            .map((e) => `${e.source} line ${e.line}`)
            .join(', ')}</span>`,
      },
    ],
  });
}

function capital(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

function needed({ kind, labels }: TaskView): TemplateResult {
  if (kind === 'pretraining')
    return html`<p>Texts are enough: no label is needed. Words are hidden on this device, and the model learns to tell them.</p>`;
  return html`<p>${neededOf(kind)} <strong>${labels.join(', ')}</strong>.</p>`;
}

function neededOf(kind: Exclude<TaskView['kind'], 'pretraining'>): string {
  if (kind === 'regression') return 'Each text needs a number in the column';
  return kind === 'multi-label' ? 'Each text may have any of the labels' : 'Each text needs one of the labels';
}
