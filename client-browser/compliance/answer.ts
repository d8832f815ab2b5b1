import { html, nothing, type TemplateResult } from 'lit';
import { hex } from '../../shared/core/bytes.ts';
import type { BudgetView } from '../../shared/protocol/views.ts';
import { iconCheck, iconCross } from '../components/icons.ts';
import { formatDate, plural } from '../lib/format.ts';
import type { Audit } from './audit.ts';
import type { Check } from './page-state.ts';

/** The answer first: inside policy and verified, or the list of what is wrong. */
export function answerSection(
  check: Check,
  budgets: readonly BudgetView[] | null,
  overspent: readonly string[],
  reachable: boolean,
): TemplateResult {
  if (check.state === 'running') return running(check.share);
  const ledgerProblems = check.state === 'failed' ? [failure(check, reachable)] : check.audit.problems;
  const problems = [...ledgerProblems, ...overspent];
  const tone = problems.length > 0 ? 'bad' : (budgets ?? []).some(usedUp) ? 'warn' : 'good';
  return html`<section class="answer answer-${tone} stack" aria-labelledby="answer-title">
    <div role="status"><h2 id="answer-title">${sentence(check, budgets ?? [], problems.length)}</h2></div>
    ${
      problems.length === 0
        ? nothing
        : html`<ul class="checks">${problems.map((p) => html`<li class="wrong">${iconCross()}<span>${p}</span></li>`)}</ul>`
    }
    ${check.state === 'done' ? found(check) : nothing}
  </section>`;
}

function running(share: number): TemplateResult {
  return html`<section class="answer stack" aria-labelledby="answer-title">
    <div role="status"><h2 id="answer-title">Checking the ledger on this device…</h2></div>
    <progress max="1" value=${share} aria-label="Entries checked"></progress>
  </section>`;
}

function failure(check: Extract<Check, { state: 'failed' }>, reachable: boolean): string {
  return reachable
    ? `The ledger cannot be verified: ${check.why}. (${check.code})`
    : 'The coordinator does not answer, so nothing can be checked.';
}

function sentence(check: Check, budgets: readonly BudgetView[], problems: number): string {
  if (problems > 0) return `${plural(problems, 'problem')} found`;
  if (check.state !== 'done') return '';
  const { size } = check.audit.checkpoint;
  const ledger =
    size === 0
      ? 'the ledger is empty, and its signature is good'
      : `the ledger is verified to entry ${size - 1} on this device`;
  if (budgets.length === 0) return `No budget is open; ${ledger}`;
  const used = budgets.filter(usedUp).length;
  if (budgets.length === 1)
    return `The one dataset is inside policy${used === 1 ? ' and its budget is used up' : ''}; ${ledger}`;
  const some = used === 0 ? '' : `, ${used} with the budget used up`;
  return `All ${budgets.length} datasets are inside policy${some}; ${ledger}`;
}

function found(check: Extract<Check, { state: 'done' }>): TemplateResult {
  const { checkpoint, before, entries, problems, notes, unchecked } = check.audit;
  return html`${
    problems.length > 0
      ? nothing
      : html`<ul class="checks">
          <li class="ok">${iconCheck()}<span>The checkpoint of ${plural(checkpoint.size, 'entry', 'entries')} is signed by <span class="mono">${checkpoint.origin}</span>.</span></li>
          <li class="ok">${iconCheck()}<span>All ${plural(entries.length, 'entry', 'entries')} were read and hashed here; together they give the signed root.</span></li>
          <li class="ok">${iconCheck()}<span>${claims(check.audit)}</span></li>
          <li class="ok">${iconCheck()}<span>${before === null ? 'This is the first visit of this browser: it remembers this root, and would notice a rewritten past from now on.' : `It only grew since ${formatDate(before.at)}, when this browser saw ${plural(before.size, 'entry', 'entries')}.`}</span></li>
        </ul>`
  }
  ${notes.length === 0 ? nothing : html`<details><summary>${plural(notes.length, 'thing')} to know</summary><ul>${notes.map((n) => html`<li>${n}</li>`)}</ul></details>`}
  ${unchecked.length === 0 ? nothing : html`<details><summary>${plural(unchecked.length, 'thing')} that could not be checked here</summary><ul>${unchecked.map((u) => html`<li>${u}</li>`)}</ul></details>`}
  <details>
    <summary>Root and key</summary>
    <dl class="facts">
      <dt>Root</dt><dd class="hash">${hex(checkpoint.root)}</dd>
      <dt>Signed by</dt><dd class="hash">${checkpoint.logKey.name}, key id ${hex(checkpoint.logKey.keyId)}</dd>
      <dt>Other signatures</dt><dd>${checkpoint.unknownSignatures + checkpoint.witnesses.length} by participants as witnesses</dd>
    </dl>
    <p class="soft small">The key comes from this coordinator. Compare it with one that you were given another way, or check an export offline with <code>tacit ledger verify --vkey</code>.</p>
  </details>`;
}

function usedUp(b: BudgetView): boolean {
  return b.left <= b.epsilon * 1e-9;
}

/** What was computed again from the entries. */
function claims({ runs, budgets }: Audit): string {
  const epsilons = runs.filter((r) => r.recomputedEpsilon !== null).length;
  return `The signatures in the entries are good, ${plural(budgets.length, 'budget adds up', 'budgets add up')}, and the ε of ${plural(epsilons, 'plan')} follows from the plan’s own parameters.`;
}
