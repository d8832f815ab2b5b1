import { html, nothing, type TemplateResult } from 'lit';
import { entryWords, KINDS } from '../../shared/ledger/entry-words.ts';
import { badge } from '../components/badge.ts';
import { iconCheck, iconCross } from '../components/icons.ts';
import { download } from '../lib/download.ts';
import { formatDate } from '../lib/format.ts';
import type { Audit, AuditedEntry } from './audit.ts';
import type { Verifying } from './page-state.ts';
import type { VerifyStep } from './verify.ts';

/** One entry under its own link, with Verify. */
export function entrySection(
  index: number,
  audit: Audit | null,
  verifying: Verifying | null,
  verify: () => void,
): TemplateResult {
  const entry = audit?.entries[index];
  return html`<section class="panel stack" id="entry" tabindex="-1" aria-labelledby="entry-title">
    <h2 id="entry-title">Entry ${index}</h2>
    ${
      entry === undefined
        ? html`<p class="soft" role="status">${audit === null ? 'Not read yet: the ledger is being checked, or cannot be.' : `The ledger has ${audit.entries.length} entries; this is not one of them.`}</p>`
        : facts(entry)
    }
    ${entry === undefined && audit !== null ? nothing : verification(index, verifying, verify, entry)}
    <p class="no-print"><a href="#">Close this entry</a></p>
  </section>`;
}

function facts(e: AuditedEntry): TemplateResult {
  return html`<dl class="facts">
      <dt>Kind</dt><dd>${e.entry === null ? 'unknown' : `${KINDS[e.entry.kind]} (${e.entry.kind}, version ${e.entry.version})`}</dd>
      ${e.entry === null ? nothing : html`<dt>What</dt><dd>${entryWords(e.entry)}</dd><dt>When</dt><dd>${formatDate(e.entry.at)}, by the coordinator’s clock</dd>`}
      <dt>Leaf hash</dt><dd class="hash">${e.leafHash}</dd>
    </dl>
    <details>
      <summary>The entry’s bytes</summary>
      <pre class="code" tabindex="0" role="region" aria-label="The entry as JSON">${pretty(e.text)}</pre>
    </details>`;
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function verification(
  index: number,
  verifying: Verifying | null,
  verify: () => void,
  entry: AuditedEntry | undefined,
): TemplateResult {
  const result = verifying?.result ?? null;
  const running = verifying !== null && result === null;
  const proof = result?.proof ?? null;
  return html`<div class="row no-print">
      <button class="button button-main" ?disabled=${running} @click=${verify}>Verify</button>
      ${proof === null ? nothing : html`<button class="button" @click=${() => download(`${index}.tlog-proof`, proof)}>Download the proof</button>`}
      ${proof === null || entry === undefined ? nothing : html`<button class="button" @click=${() => download(`${index}.entry`, entry.text, 'application/json')}>Download the entry</button>`}
    </div>
    <div role="status">${running ? 'Verifying…' : result === null ? nothing : result.proof === null ? badge('not verified', 'bad') : badge('verified on this device', 'good')}</div>
    ${verifying === null || verifying.steps.length === 0 ? nothing : html`<ol class="checks" aria-label="Steps of the verification">${verifying.steps.map(step)}</ol>`}`;
}

function step(s: VerifyStep): TemplateResult {
  return html`<li class=${s.ok ? 'ok' : 'wrong'}>
    ${s.ok ? iconCheck() : iconCross()}
    <div>
      <strong>${s.title}${s.ok ? '' : ': does not hold'}</strong>
      <p>${s.text}</p>
      ${
        s.values.length === 0
          ? nothing
          : html`<details><summary>The values</summary><dl class="facts">${s.values.map((v) => html`<dt>${v.label}</dt><dd class="hash">${v.value}</dd>`)}</dl></details>`
      }
    </div>
  </li>`;
}
