import { html, nothing, type TemplateResult } from 'lit';

export interface Column<Row> {
  readonly label: string;
  readonly cell: (row: Row) => unknown;
  /** Numbers end-align; sentences stay wide enough to be read on a narrow screen. The first column of a row is its heading. */
  readonly align?: 'end' | 'sentence';
}

export interface DataTable<Row> {
  readonly caption: string;
  readonly captionHidden?: boolean;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  /** Shown instead of rows when there are none. */
  readonly empty: string;
  readonly current?: (row: Row) => boolean;
}

/** A table that scrolls inside itself on a narrow screen and can be scrolled from the keyboard. */
export function dataTable<Row>(table: DataTable<Row>): TemplateResult {
  const { caption, captionHidden = false, columns, rows, empty, current } = table;
  return html`<div class="table-wrap" role="region" aria-label=${caption} tabindex="0">
    <table class="data">
      <caption><span class=${captionHidden ? 'visually-hidden' : ''}>${caption}</span></caption>
      <thead>
        <tr>${columns.map(({ label, align }) => html`<th scope="col" class=${align ?? nothing}>${label}</th>`)}</tr>
      </thead>
      <tbody>
        ${
          rows.length === 0
            ? html`<tr><td colspan=${columns.length} class="soft">${empty}</td></tr>`
            : rows.map((row) => html`<tr aria-current=${current?.(row) ? 'true' : nothing}>${cells(columns, row)}</tr>`)
        }
      </tbody>
    </table>
  </div>`;
}

function cells<Row>(columns: readonly Column<Row>[], row: Row): TemplateResult[] {
  return columns.map(({ cell, align }, i) =>
    i === 0
      ? html`<th scope="row" class=${align ?? nothing}>${cell(row)}</th>`
      : html`<td class=${align ?? nothing}>${cell(row)}</td>`,
  );
}
