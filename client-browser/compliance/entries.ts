import { html, type TemplateResult } from 'lit';
import { entryWords, KINDS } from '../../shared/ledger/entry-words.ts';
import { dataTable } from '../components/data-table.ts';
import { formatDate, plural } from '../lib/format.ts';
import type { Audit, AuditedEntry } from './audit.ts';

export const PAGE_ENTRIES = 50;

/** Every entry, the newest first, each with its own link. */
export function entriesSection(
  audit: Audit,
  page: number,
  current: number | null,
  turn: (page: number) => void,
): TemplateResult {
  const newest = [...audit.entries].reverse();
  const shown = newest.slice(page * PAGE_ENTRIES, (page + 1) * PAGE_ENTRIES);
  const pages = Math.ceil(newest.length / PAGE_ENTRIES);
  return html`<section class="panel stack" aria-labelledby="entries-title">
    <h2 id="entries-title">The ledger</h2>
    ${dataTable<AuditedEntry>({
      caption: `${plural(newest.length, 'entry', 'entries')}, the newest first`,
      rows: shown,
      empty: 'The ledger is empty.',
      current: (e) => e.index === current,
      columns: [
        { label: 'Entry', cell: (e) => html`<a href="#entry=${e.index}">${e.index}</a>` },
        { label: 'When', cell: (e) => (e.entry === null ? '–' : formatDate(e.entry.at)) },
        { label: 'Kind', cell: (e) => (e.entry === null ? 'unknown' : KINDS[e.entry.kind]) },
        {
          label: 'What',
          align: 'sentence',
          cell: (e) => (e.entry === null ? 'not of a kind that this page knows' : entryWords(e.entry)),
        },
      ],
    })}
    ${
      pages < 2
        ? ''
        : html`<nav class="row no-print" aria-label="Pages of the ledger">
            <button class="button button-small" ?disabled=${page === 0} @click=${() => turn(page - 1)}>Newer</button>
            <span class="soft">Page ${page + 1} of ${pages}</span>
            <button class="button button-small" ?disabled=${page === pages - 1} @click=${() => turn(page + 1)}>Older</button>
          </nav>`
    }
  </section>`;
}
