import { html, nothing, type TemplateResult } from 'lit';
import type { EngineRow } from '../../shared/engine/select.ts';
import { dataTable } from '../components/data-table.ts';
import { formatBytes, formatCount, formatDuration, plural } from '../lib/format.ts';
import type { ParticipantState } from './state.ts';

/** 2. What is trained, how long it takes here, and what this device computes with. */
export function taskSection(state: ParticipantState): TemplateResult {
  const { run, engine } = state;
  if (run === null) return html``;
  const modelBytes = state.items.find((i) => /^model/i.test(i.what))?.sizeBytes;
  return html`<p class="lede">${run.purpose}</p>
    <dl class="facts">
      <dt>Training</dt><dd>${run.name}</dd>
      <dt>Says of each text</dt><dd>${run.labels.length === 0 ? 'the words that are hidden in it' : run.labels.join(', ')}</dd>
      <dt>Trains</dt><dd>${run.stages.map((s) => `${s.train} (${formatCount(s.updateElements)} numbers, ${plural(s.rounds, 'round')})`).join('; then ')}</dd>
      ${modelBytes === undefined ? nothing : html`<dt>Model</dt><dd>${formatBytes(modelBytes)}, downloaded once</dd>`}
      <dt>Time on this device</dt><dd><span role="status">${timeWords(state)}</span></dd>
      <dt>Computes with</dt>
      <dd>${engine === null ? 'chosen when you connect: the fastest that gives right results here' : `${engine.name}: ${engine.reason}`}</dd>
    </dl>
    ${state.engines.length === 0 ? nothing : enginesTable(state.engines)}`;
}

/** From the benchmark, once the data is known; the waiting for others is not in it. */
function timeWords(state: ParticipantState): string {
  const { run, engine, data } = state;
  if (run === null || engine === null) return 'measured when you connect';
  if (data.status !== 'ready')
    return `${formatDuration(engine.secondsPerExample * 1000)} for a thousand texts, each time they are read`;
  const { kept } = data.report;
  // Under a head with labels a text always reads the same, and is read once.
  const readOnce = (train: string): boolean => train === 'head' && run.labels.length > 0;
  const readings = run.stages.reduce((n, s) => n + (readOnce(s.train) ? 1 : s.rounds * s.samplingProbability), 0);
  return `${formatDuration(engine.secondsPerExample * kept * readings)} of computing for your ${plural(kept, 'text')}, besides waiting for the others`;
}

const STATES: Readonly<Record<EngineRow['state'], string>> = {
  used: 'used',
  slower: 'right, but slower',
  refused: 'refused',
  missing: 'not here',
  untried: 'not tried',
};

function enginesTable(tried: readonly EngineRow[]): TemplateResult {
  return html`<details>
    <summary>What was tried on this device</summary>
    ${dataTable<EngineRow>({
      caption: 'Engines tried',
      captionHidden: true,
      rows: tried,
      empty: '',
      columns: [
        { label: 'Engine', cell: (e) => e.name },
        { label: 'Result', cell: (e) => STATES[e.state] },
        { label: 'Why', cell: (e) => e.reason },
        {
          label: 'Benchmark',
          align: 'end',
          cell: (e) =>
            e.milliseconds === undefined || Number.isNaN(e.milliseconds) ? '–' : `${e.milliseconds.toFixed(0)} ms`,
        },
      ],
    })}
  </details>`;
}
