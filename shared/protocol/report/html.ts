import { budgetInWords } from '../../ledger/budget.ts';
import type { RunAccount } from './account.ts';
import type { Fact } from './records.ts';
import type { LedgerReport } from './report.ts';

type Scope = LedgerReport['scopes'][number];

const VERDICTS = {
  verified: 'Verified: signed by a key that was given from outside, and everything that could be checked holds.',
  consistent: 'Internally consistent; who signed it was not established.',
  failed: 'FAILED: do not rely on this ledger.',
} as const;

const STYLE = `
:root { color-scheme: light; }
body { font: 10.5pt/1.5 system-ui, sans-serif; color: #1b1f24; max-width: 46rem; margin: 3rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-top: 1px solid #d5d9de; padding-top: 1.25rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #e4e7eb; overflow-wrap: anywhere; }
th { font-weight: 600; overflow-wrap: normal; } td.v { white-space: nowrap; } thead th { border-bottom-color: #1b1f24; }
td.n, th.n { text-align: right; } .soft { color: #57606a; } .small { font-size: .88em; }
.hash { font: .85em/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.bar { height: .7rem; border: 1px solid #1b1f24; margin: .4rem 0; } .bar div { height: 100%; background: #2f5d50; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.missing { color: #8a4b00; } .failed { border-left: 4px solid #a4262c; padding-left: .75rem; }
@page { size: A4; margin: 18mm 16mm; } @media print { body { margin: 0; max-width: none; padding: 0; } h2 { break-before: auto; } h2, h3 { break-after: avoid; } tr, .bar { break-inside: avoid; } }
`;

/** The report as one HTML page without scripts or links, for the screen and for paper. */
export function reportHtml(report: LedgerReport): string {
  const { ledger } = report;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Privacy account of ${text(ledger.origin)}</title><style>${STYLE}</style></head><body><main>
<h1>Privacy account of ${text(ledger.origin)}</h1>
<p class="soft">${ledger.size} entries; made ${text(report.madeAt)}</p>
<p class="${ledger.verdict === 'failed' ? 'failed' : ''}"><strong>${VERDICTS[ledger.verdict]}</strong></p>
<p class="small">Checkpoint: root <span class="hash">${text(ledger.root)}</span>, key <span class="hash">${text(ledger.logKey ?? 'none')}</span>; ${ledger.witnesses.length} witnesses. Amounts are rounded to six digits; the entries hold all of them.</p>
${list(
  'What does not hold',
  ledger.failures.map(
    (f) =>
      `${f.index === null ? '' : `entry ${f.index}: `}${f.code}: ${f.what} (expected ${f.expected}, found ${f.actual})`,
  ),
)}
${report.scopes.map(scopeSection).join('\n')}
${report.unprotected.length === 0 ? '' : `<h2>Runs without privacy</h2><ul>${report.unprotected.map((r) => `<li>${text(r.run)}: ${text(r.purpose)}</li>`).join('')}</ul>`}
${list('What could not be checked', ledger.unchecked)}
${list('What is not covered', report.notCovered)}
</main></body></html>
`;
}

function scopeSection(scope: Scope): string {
  const share = scope.epsilon === 0 ? 1 : Math.min(1, (scope.spent + scope.reserved) / scope.epsilon);
  return `<section><h2>${text(budgetInWords(scope.budget))}</h2>
<p>${text(scope.purpose)} <span class="soft">Legal basis: ${text(scope.legalBasis)}.</span></p>
<div class="bar" role="img" aria-label="${percent(share)} of the budget spent or reserved"><div style="width:${percent(share)}"></div></div>
<table><thead><tr><th class="n">budget ε</th><th class="n">spent</th><th class="n">reserved</th><th class="n">left</th><th class="n">budget δ</th><th class="n">spent δ</th></tr></thead>
<tbody><tr>${[scope.epsilon, scope.spent, scope.reserved, scope.left, scope.delta, scope.spentDelta].map((n) => `<td class="n">${amount(n)}</td>`).join('')}</tr></tbody></table>
${scope.odds === null ? '<p>Nothing has been spent.</p>' : `<p>In odds: ${text(scope.odds)}.</p>`}
<h3>Decisions</h3>
${table(
  ['entry', 'when', 'what', 'approved by'],
  scope.decisions.map((d) => [d.index, d.at, d.what, d.approvers.join(', ') || 'no approval needed']),
)}
<h3>Spent on</h3>
${scope.runs.length === 0 ? '<p>No run yet.</p>' : table(['run', 'purpose', 'state', 'rounds', 'ε', 'δ', 'sites'], scope.runs.map(runRow))}
${
  scope.refusals.length === 0
    ? ''
    : `<h3>Refused</h3>${table(
        ['entry', 'when', 'why'],
        scope.refusals.map((r) => [r.index, r.at, r.reason]),
      )}`
}
${scope.pyramids.map((p) => `<h3>What the number of run ${text(p.run)} rests on (NIST SP 800-226)</h3>${facts(p.layers, 'layer')}`).join('')}
<h3>Record of processing (GDPR Art. 30)</h3>${facts(scope.article30, 'item')}
<h3>Objection, withdrawal, erasure (GDPR)</h3>${facts(scope.rights, 'request')}
<h3>For an impact assessment (GDPR Art. 35)</h3>${facts(scope.impactAssessment, 'part')}
<h3>Notes for the CCPA</h3>${facts(scope.ccpa, 'topic')}</section>`;
}

function runRow(run: RunAccount): readonly (string | number)[] {
  return [
    run.run,
    run.purpose,
    run.state,
    run.roundsReleased,
    run.epsilon === null ? 'none promised' : amount(run.epsilon),
    run.delta ?? '',
    run.participants.length,
  ];
}

/** Six digits; the entries hold all of them. */
function amount(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function facts(rows: readonly Fact[], head: string): string {
  const body = rows.map(
    ({ item, asked, value, source }) =>
      `<tr><th scope="row">${text(item)}<br><span class="soft small">${text(asked)}</span></th><td>${value === null ? '<span class="missing">to be filled in by the controller</span>' : text(value)}<br><span class="soft small">Source: ${text(source)}</span></td></tr>`,
  );
  return `<table><thead><tr><th>${head}</th><th>statement and source</th></tr></thead><tbody>${body.join('')}</tbody></table>`;
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = (row: readonly (string | number)[]): string => row.map(cell).join('');
  return `<table><thead><tr>${head.map((h) => `<th>${h}</th>`).join('')}</tr></thead><tbody>${rows.map((r) => `<tr>${cells(r)}</tr>`).join('')}</tbody></table>`;
}

/** Numbers stay on one line; words and hashes may break. */
function cell(value: string | number): string {
  const number = /^[\d.e-]{1,24}$/.test(String(value));
  return `<td${number ? ' class="v"' : ''}>${text(String(value))}</td>`;
}

function list(title: string, items: readonly string[]): string {
  return items.length === 0 ? '' : `<h2>${title}</h2><ul>${items.map((i) => `<li>${text(i)}</li>`).join('')}</ul>`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}

function text(value: string): string {
  return value.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
