import { html, type TemplateResult } from 'lit';
import type { BudgetView } from '../../shared/protocol/views.ts';
import { sentence } from '../lib/format.ts';

/** What the numbers rest on, layer by layer as in NIST SP 800-226, the top resting on all below; and what they do not cover. */
export function restsOnSection(budgets: readonly BudgetView[]): TemplateResult {
  return html`<section class="panel stack" aria-labelledby="rests-title">
      <h2 id="rests-title">What these numbers rest on</h2>
      <p>The layers of NIST SP 800-226, “Guidelines for Evaluating Differential Privacy Guarantees”. Each holds only if every one below it does.</p>
      <ol class="pyramid">${layers(budgets).map(([title, text]) => html`<li><strong>${title}</strong><span>${text}</span></li>`)}</ol>
    </section>
    <section class="panel stack" aria-labelledby="not-covered-title">
      <h2 id="not-covered-title">What is not covered</h2>
      <ul>
        <li>That participants’ texts are true, lawful to use, or what they say they are. Consent is recorded; it is not judged.</li>
        <li>Poisoning: an enrolled participant can send a harmful update. It is clipped, and models are evaluated before they are published; that bounds the harm and does not exclude it.</li>
        <li>More colluding participants than the plan assumes. The guarantee against “everyone but you” says what is left then.</li>
        <li>The machines of the participants: whoever controls one sees its texts. Side channels of a browser are not closed.</li>
        <li>What the model may be used for afterwards. Differential privacy limits what it reveals about one unit, not about a group or a trend.</li>
        <li>A coordinator that showed another ledger to somebody else. Participants’ cosignatures and this browser’s memory make that visible, once they are compared.</li>
      </ul>
    </section>`;
}

function layers(budgets: readonly BudgetView[]): readonly (readonly [string, string])[] {
  const guarantee = budgets.find((b) => b.guarantee !== null)?.guarantee ?? null;
  const or = (value: string | undefined, otherwise: string): string => value ?? otherwise;
  return [
    [
      'Parameters ε, δ',
      'The least that the gauges show: a bound on how much one unit can change what is released. Smaller is stronger; odds say what it means.',
    ],
    [
      'Unit',
      guarantee === null
        ? 'One record, unless a plan says person or client.'
        : `One ${guarantee.unit}; neighbouring data sets differ by ${guarantee.neighbouringRelation}.${guarantee.unit === 'record' ? ' Somebody with several records has several times the loss.' : ''}`,
    ],
    [
      'Mechanism',
      `${sentence(or(guarantee?.mechanism, 'clipping of every unit’s gradient, then discrete Gaussian noise added by the participants in shares'))} Accounting: ${or(guarantee?.accountant, 'privacy-loss distributions, rounded to the safe side')}.`,
    ],
    [
      'Trust model',
      'No trusted aggregator. The coordinator sees masked vectors and their noisy sum; it is assumed that no more participants collude with it than the plan names.',
    ],
    [
      'Implementation',
      'Noise is drawn as whole numbers by an exact sampler from the system’s random generator, never as floating point. Open source; its tests recompute every published number by another route.',
    ],
    [
      'Security and access',
      'Messages are signed, identities pinned in the ledger, keys kept encrypted. Whoever can read a participant’s disk needs no model to learn its data.',
    ],
    [
      'Data collection',
      'Outside this system. Data that was collected wrongly is not made right by privacy in training.',
    ],
  ];
}
