import { html, nothing, type TemplateResult } from 'lit';
import { canonicalBytes, canonicalJson } from '../../shared/core/canonical.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import { budgetInWords } from '../../shared/ledger/budget.ts';
import { verifyStatement } from '../../shared/ledger/statement.ts';
import type { ProposalView } from '../../shared/protocol/views.ts';
import { badge, notice, type Tone } from '../components/badge.ts';
import { confirmDialog, openDialog } from '../components/confirm.ts';
import { dataTable } from '../components/data-table.ts';
import { download } from '../lib/download.ts';
import { formatDate, plural } from '../lib/format.ts';
import { operatorToken, operatorTokenField } from './overview.ts';

export interface ProposalActions {
  /** An approval file's text, with the operator's token where nobody is in office. */
  bring(proposal: ProposalView, text: string, token?: string): void;
  withdraw(proposal: ProposalView, token: string): void;
}

const STATES: Readonly<Record<ProposalView['state'], readonly [string, Tone]>> = {
  waiting: ['waiting for signatures', 'warn'],
  opened: ['open', 'good'],
  outdated: ['outdated: the budget was decided otherwise', 'plain'],
};

/** One proposal: what it is, exactly what is signed, who has signed, and where a signature is brought. */
export function proposalCard(
  p: ProposalView,
  message: unknown,
  needsToken: boolean,
  actions: ProposalActions,
): TemplateResult {
  const title = `proposal-${p.id.slice(0, 12)}`;
  const hash = sha256Hex(canonicalBytes(p.opening));
  return html`<section class="panel stack" aria-labelledby=${title}>
    <div class="row between">
      <h2 id=${title}>${budgetInWords(p.opening.budget)}: ε ${p.opening.epsilon}</h2>
      ${badge(...STATES[p.state])}
    </div>
    ${facts(p)}
    ${
      hash === p.id
        ? nothing
        : notice(
            'bad',
            'Do not sign this.',
            'The coordinator names another SHA-256 than that of the document it shows.',
          )
    }
    ${signedDocument(p, hash)}
    ${signatures(p)}
    <div role="status">${message}</div>
    ${p.state === 'waiting' && hash === p.id ? bringPanel(p, title, needsToken, actions) : nothing}
    ${p.state === 'waiting' ? withdrawal(p, title, actions) : nothing}
  </section>`;
}

function facts({ opening, proposedAt, state, ledgerIndex }: ProposalView): TemplateResult {
  return html`<dl class="facts">
    <dt>What it does</dt>
    <dd>${opening.revision === 0 ? 'Opens the budget with' : 'Raises the budget to'} ε ${opening.epsilon} at δ ${opening.delta}${opening.revision === 0 ? '' : ` (${plural(opening.revision, 'earlier decision')} on it)`}</dd>
    <dt>Purpose</dt><dd>${opening.purpose}</dd>
    <dt>Legal basis</dt><dd>${opening.legalBasis}</dd>
    <dt>Proposed</dt><dd>${formatDate(proposedAt)}</dd>
    ${state === 'opened' && ledgerIndex !== null ? html`<dt>Ledger entry</dt><dd><a href="./compliance.html#entry=${ledgerIndex}">${ledgerIndex}</a></dd>` : nothing}
  </dl>`;
}

function signedDocument({ opening }: ProposalView, hash: string): TemplateResult {
  return html`<div class="stack-tight">
    <h3>What is signed</h3>
    <pre class="code" tabindex="0" role="region" aria-label="The document as RFC 8785 text">${canonicalJson(opening)}</pre>
    <p>SHA-256, computed on this device: <span class="hash">${hash}</span></p>
    <p class="soft small">An Ed25519 signature over the text <code>tacit/1/budget.open</code>, a zero byte and this hash. Any change of the document changes the hash, and no earlier signature fits.</p>
  </div>`;
}

function signatures(p: ProposalView): TemplateResult {
  const count = p.approvals.filter((a) => a.counts).length;
  return html`<div class="stack-tight">
    <h3>Signatures: ${Math.min(count, p.needed)} of ${p.needed}</h3>
    ${dataTable<ProposalView['approvals'][number]>({
      caption: `Who has signed ${budgetInWords(p.opening.budget)}, ε ${p.opening.epsilon}`,
      captionHidden: true,
      rows: p.approvals,
      empty: 'Nobody has signed yet.',
      columns: [
        { label: 'Approver', cell: (a) => a.approver },
        { label: 'Public key', cell: (a) => html`<span class="hash">${a.publicKey}</span>` },
        {
          label: 'Signature',
          cell: (a) =>
            verifyStatement('budget.open', p.opening, a.publicKey, a.signature)
              ? badge('verified on this device', 'good')
              : badge('does not verify', 'bad'),
        },
        { label: 'Counts', cell: (a) => (a.counts ? 'yes' : 'no: left office') },
      ],
    })}
  </div>`;
}

function bringPanel(p: ProposalView, id: string, needsToken: boolean, actions: ProposalActions): TemplateResult {
  const over = (event: DragEvent, on: boolean): void => {
    event.preventDefault();
    (event.currentTarget as HTMLElement).classList.toggle('over', on);
  };
  const token = (from: Element): string | undefined => {
    const field = from.closest('.sign')?.querySelector<HTMLInputElement>('input[type=password]');
    const value = field?.value;
    if (field != null) field.value = '';
    return value;
  };
  const bring = async (from: Element, file: Blob | undefined): Promise<void> => {
    if (file !== undefined) actions.bring(p, await file.text(), token(from));
  };
  const dropped = (event: DragEvent): void => {
    over(event, false);
    void bring(event.currentTarget as Element, event.dataTransfer?.files[0]);
  };
  const chosen = (event: Event): void => {
    const input = event.target as HTMLInputElement;
    void bring(input, input.files?.[0]).then(() => {
      input.value = '';
    });
  };
  const pasted = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    actions.bring(p, String(new FormData(form).get('approval') ?? ''), token(form));
    form.reset();
  };
  return html`<div class="stack sign">
    <h3>Sign it</h3>
    <ol class="stack-tight">
      <li>
        <button class="button" @click=${() => download('opening.json', `${canonicalJson(p.opening)}\n`, 'application/json')}>
          Download the document
        </button>
      </li>
      <li>On your own machine, with your own key, which stays there:
        <pre class="code" tabindex="0" role="region" aria-label="Command that signs">tacit budget approve opening.json --name "Your name" --key your-key.json > approval.json</pre>
      </li>
      <li>Bring <code>approval.json</code> here. It is checked on this device first; a key file is never sent.</li>
    </ol>
    ${needsToken ? operatorTokenField(`${id}-token`) : nothing}
    <div class="drop" @dragover=${(e: DragEvent) => over(e, true)} @dragleave=${(e: DragEvent) => over(e, false)} @drop=${dropped}>
      <p><strong>Drop the approval here</strong></p>
      <div class="row">
        <label class="button button-main file-button">
          Choose the approval file
          <input type="file" accept=".json,application/json" aria-label="Choose the approval file for ${title(p)}" @change=${chosen} />
        </label>
      </div>
    </div>
    <details>
      <summary>Paste it instead</summary>
      <form class="stack" @submit=${pasted}>
        <div class="field">
          <label for="${id}-text">The approval</label>
          <textarea id="${id}-text" name="approval" rows="4" required autocomplete="off" spellcheck="false"></textarea>
        </div>
        <button class="button">Add this signature</button>
      </form>
    </details>
  </div>`;
}

function title(p: ProposalView): string {
  return `${budgetInWords(p.opening.budget)}, ε ${p.opening.epsilon}`;
}

function withdrawal(p: ProposalView, id: string, actions: ProposalActions): TemplateResult {
  return html`<p><button class="button" @click=${() => openDialog(`${id}-withdraw`)}>Withdraw this proposal</button></p>
    ${confirmDialog({
      id: `${id}-withdraw`,
      title: `Withdraw ${title(p)}?`,
      confirm: 'Withdraw',
      cancel: 'Keep it',
      body: html`<p>Its signatures go with it. The budget stays as it is.</p>${operatorTokenField(`${id}-withdraw-token`)}`,
      onConfirm: (form) => actions.withdraw(p, operatorToken(form)),
    })}`;
}
