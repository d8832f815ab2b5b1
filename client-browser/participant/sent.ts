import { html, nothing, type TemplateResult } from 'lit';
import type { SentItem } from '../../shared/participant/events.ts';
import { dataTable } from '../components/data-table.ts';
import { formatBytes, formatHex } from '../lib/format.ts';
import type { MyRound, ParticipantState } from './state.ts';

/** 4. What will be sent, before consent. */
export function sentSection(state: ParticipantState): TemplateResult {
  return html`${dataTable<SentItem>({
    caption: 'Everything that leaves this device',
    rows: state.items,
    empty: '',
    columns: [
      { label: 'What', cell: (i) => i.what },
      { label: 'In which form', cell: (i) => i.form },
      { label: 'Size', align: 'end', cell: (i) => formatBytes(i.sizeBytes) },
      { label: 'When', cell: (i) => i.when },
    ],
  })}
    <p>Never sent: your texts and labels, the loss on your data, and any update that is not clipped, noised and masked.</p>`;
}

/** What left in each round, for looking at and comparing with the browser's own network log. */
export function bytesSent(state: ParticipantState): unknown {
  const uploads = state.rounds.filter((r) => r.upload !== null).reverse();
  if (uploads.length === 0) return nothing;
  return html`<details>
    <summary>Show me the bytes</summary>
    <p>The masked update of each round. Without the masks that only the others together can take off, it cannot be told from random bytes.</p>
    ${dataTable<MyRound>({
      caption: 'Masked updates sent, the newest first',
      captionHidden: true,
      rows: uploads,
      empty: '',
      columns: [
        { label: 'Round', cell: (r) => r.round },
        { label: 'Size', align: 'end', cell: (r) => formatBytes(r.upload?.bytes ?? 0) },
        { label: 'First bytes', cell: (r) => html`<span class="hash">${formatHex(r.upload?.firstBytes ?? '')}</span>` },
        { label: 'SHA-256 of all', cell: (r) => html`<span class="hash">${r.upload?.sha256}</span>` },
      ],
    })}
  </details>`;
}
