import { html, nothing, type TemplateResult } from 'lit';
import { hex } from '../../shared/core/bytes.ts';
import type { AboutView, BudgetView } from '../../shared/protocol/views.ts';
import { csv, download } from '../lib/download.ts';
import type { Audit } from './audit.ts';
import { entryWords } from './entry-words.ts';

/** Exports. Each names the checkpoint that it was made under. */
export function exportsSection(about: AboutView, budgets: readonly BudgetView[], audit: Audit | null): TemplateResult {
  const under = checkpointName(about, audit);
  return html`<section class="panel stack no-print" aria-labelledby="exports-title">
    <h2 id="exports-title">Take it with you</h2>
    <div class="row">
      <button class="button" @click=${() => download('tacit-budgets.csv', budgetsCsv(budgets, under), 'text/csv')}>Budgets as CSV</button>
      ${
        audit === null
          ? nothing
          : html`<button class="button" @click=${() => download('tacit-ledger.csv', entriesCsv(audit, under), 'text/csv')}>Entries as CSV</button>
              <button class="button" @click=${() => download('checkpoint', audit.note)}>Signed checkpoint</button>`
      }
      <button class="button" @click=${() => print()}>Print or save as PDF</button>
    </div>
    <p class="soft small">The proof file of one entry is on the entry itself, after Verify. A whole bundle for offline checking: <code>tacit ledger export</code>.</p>
    <p class="soft small">Made under checkpoint <span class="hash">${under}</span>.</p>
  </section>`;
}

function checkpointName(about: AboutView, audit: Audit | null): string {
  return audit === null
    ? `${about.origin} (not verified)`
    : `${audit.checkpoint.origin} ${audit.checkpoint.size} ${hex(audit.checkpoint.root)}`;
}

function budgetsCsv(budgets: readonly BudgetView[], under: string): string {
  const head = [
    'scope',
    'unit',
    'period',
    'epsilon',
    'delta',
    'spent',
    'reserved',
    'left',
    'adversary',
    'accountant',
    'odds',
    'checkpoint',
  ];
  const rows = budgets.map((b) => [
    b.scope,
    b.unit,
    b.period,
    b.epsilon,
    b.delta,
    b.spent,
    b.reserved,
    b.left,
    b.guarantee?.adversary ?? '',
    b.guarantee?.accountant ?? '',
    b.guarantee?.odds ?? '',
    under,
  ]);
  return csv([head, ...rows]);
}

function entriesCsv(audit: Audit, under: string): string {
  const head = ['index', 'at', 'kind', 'what', 'leaf hash', 'checkpoint'];
  const rows = audit.entries.map((e) => [
    e.index,
    e.entry?.at ?? '',
    e.entry?.kind ?? 'unknown',
    e.entry === null ? '' : entryWords(e.entry),
    e.leafHash,
    under,
  ]);
  return csv([head, ...rows]);
}
