import { html, type TemplateResult } from 'lit';
import type { GuaranteeView } from '../../shared/protocol/views.ts';
import { formatDelta, formatEpsilon, sentence } from '../lib/format.ts';
import { dataTable } from './data-table.ts';

/** ε is shown with everything that gives it meaning: against whom, for what unit, and in odds. */
export function guaranteeTable(
  guarantees: readonly GuaranteeView[],
  caption = 'What is promised, and against whom',
): TemplateResult {
  return dataTable<GuaranteeView>({
    caption,
    columns: [
      { label: 'Against', cell: (g) => g.adversary },
      { label: 'ε', align: 'end', cell: (g) => formatEpsilon(g.epsilon) },
      { label: 'δ', align: 'end', cell: (g) => formatDelta(g.delta) },
      { label: 'Unit', cell: (g) => `one ${g.unit}` },
      { label: 'In odds', align: 'sentence', cell: (g) => sentence(g.odds) },
    ],
    rows: guarantees,
    empty: 'No guarantee: this run trains without differential privacy.',
  });
}

/** The conditions under which the numbers hold. */
export function guaranteeConditions(guarantee: GuaranteeView): TemplateResult {
  return html`<dl class="facts">
    <dt>Unit</dt>
    <dd>one ${guarantee.unit}; neighbouring data sets differ by ${guarantee.neighbouringRelation}</dd>
    <dt>Mechanism</dt>
    <dd>${guarantee.mechanism}</dd>
    <dt>Accountant</dt>
    <dd>${guarantee.accountant}</dd>
    <dt>Adversary</dt>
    <dd>${guarantee.adversary}</dd>
    <dt>Assumes</dt>
    <dd><ul>${guarantee.assumptions.map((a) => html`<li>${a}</li>`)}</ul></dd>
  </dl>`;
}

/** The guarantee that a budget is charged for: against the coordinator together with the colluders that the plan assumes. */
export function chargedGuarantee(guarantees: readonly GuaranteeView[]): GuaranteeView | undefined {
  return guarantees[1] ?? guarantees[0];
}
