import { html, nothing, type TemplateResult } from 'lit';
import { hex } from '../../shared/core/bytes.ts';
import { entryWords } from '../../shared/ledger/entry-words.ts';
import { reportHtml } from '../../shared/protocol/report/html.ts';
import type { AboutView, BudgetView } from '../../shared/protocol/views.ts';
import { csv, download } from '../lib/download.ts';
import { accountOf, bundleZip, registryOf } from './account-files.ts';
import type { Audit } from './audit.ts';

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
              <button class="button" @click=${() => download('checkpoint', audit.note)}>Signed checkpoint</button>
              <button class="button" @click=${() => download('tacit-ledger.zip', bundleZip(audit), 'application/zip')}>Whole ledger as .zip</button>
              <button class="button" @click=${() => download('tacit-account.html', reportHtml(accountOf(audit)), 'text/html')}>Report with Art. 30 record</button>
              <button class="button" @click=${() => download('tacit-account.json', json(accountOf(audit)), 'application/json')}>The same as JSON</button>
              <button class="button" @click=${() => download('tacit-registry.json', json(registryOf(audit)), 'application/json')}>Registry draft</button>`
      }
      <button class="button" @click=${() => print()}>Print or save as PDF</button>
    </div>
    <p class="soft small">The proof file of one entry is on the entry itself, after Verify. The .zip is checked offline by <code>tacit ledger verify</code>; with a proof for each entry: <code>tacit ledger export</code>. The registry draft has the fields of the OpenDP deployments registry; what no ledger knows is marked in it.</p>
    <p class="soft small">Made under checkpoint <span class="hash">${under}</span>.</p>
  </section>`;
}

function checkpointName(about: AboutView, audit: Audit | null): string {
  return audit === null
    ? `${about.origin} (not verified)`
    : `${audit.checkpoint.origin} ${audit.checkpoint.size} ${hex(audit.checkpoint.root)}`;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
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
