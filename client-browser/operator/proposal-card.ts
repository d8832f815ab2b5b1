import { html, nothing, type TemplateResult } from 'lit';
import { canonicalBytes, canonicalJson } from '../../shared/core/canonical.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import type { ApproverChange } from '../../shared/ledger/entries.ts';
import { verifyStatement } from '../../shared/ledger/statement.ts';
import type { PolicyView, ProposalView } from '../../shared/protocol/views.ts';
import { badge, notice, type Tone } from '../components/badge.ts';
import { confirmDialog, openDialog } from '../components/confirm.ts';
import { dataTable } from '../components/data-table.ts';
import { formatDate, plural } from '../lib/format.ts';
import { operatorToken, operatorTokenField } from './overview.ts';
import { proposalTitle } from './proposal-words.ts';
import { type SignActions, signPanel } from './sign-panel.ts';

export interface ProposalActions extends SignActions {
  withdraw(proposal: ProposalView, token: string): void;
}

export interface ProposalCard {
  readonly proposal: ProposalView;
  readonly inOffice: PolicyView['approvers'];
  /** What became of the last signature brought to it. */
  readonly message: unknown;
  /** A key is being opened for it. */
  readonly busy: boolean;
}

const STATES: Readonly<Record<ProposalView['state'], readonly [string, Tone]>> = {
  waiting: ['waiting for signatures', 'warn'],
  accepted: ['in force', 'good'],
  outdated: ['outdated: decided otherwise', 'plain'],
  expired: ['expired', 'plain'],
};

/** One proposal: what it is, exactly what is signed, who has signed, and where a signature is made. */
export function proposalCard(card: ProposalCard, actions: ProposalActions): TemplateResult {
  const { proposal: p, inOffice, message, busy } = card;
  const id = `proposal-${p.id.slice(0, 12)}`;
  const hash = sha256Hex(canonicalBytes(p.document));
  const open = p.state === 'waiting';
  return html`<section class="panel stack" aria-labelledby=${id}>
    <div class="row between">
      <h2 id=${id}>${proposalTitle(p)}</h2>
      ${badge(...STATES[p.state])}
    </div>
    ${facts(p, inOffice)}
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
    ${p.state === 'expired' ? notice('plain', 'Nobody completed it in time.', 'It takes no signature any more; propose it anew.') : nothing}
    ${p.state === 'outdated' ? notice('plain', 'It was decided otherwise.', 'What it would change was changed since, so it takes no signature any more; propose it anew for what stands now.') : nothing}
    ${open && hash === p.id ? signPanel(p, id, inOffice.length === 0, busy, actions) : nothing}
    ${open ? withdrawal(p, id, actions) : nothing}
  </section>`;
}

function facts(p: ProposalView, inOffice: PolicyView['approvers']): TemplateResult {
  return html`<dl class="facts">
    ${p.kind === 'budget.open' ? openingFacts(p.document) : changeFacts(p.document, p.state === 'waiting' ? inOffice : null)}
    <dt>Proposed</dt><dd>${formatDate(p.proposedAt)}</dd>
    ${p.state === 'waiting' ? html`<dt>Can be signed until</dt><dd>${formatDate(p.expiresAt)}</dd>` : nothing}
    ${p.state === 'accepted' && p.ledgerIndex !== null ? html`<dt>Ledger entry</dt><dd><a href="./compliance.html#entry=${p.ledgerIndex}">${p.ledgerIndex}</a></dd>` : nothing}
  </dl>`;
}

function openingFacts(opening: Extract<ProposalView, { kind: 'budget.open' }>['document']): TemplateResult {
  const first = opening.revision === 0;
  return html`<dt>What it does</dt>
    <dd>${first ? 'Opens the budget with' : 'Raises the budget to'} ε ${opening.epsilon} at δ ${opening.delta}${first ? '' : ` (${plural(opening.revision, 'earlier decision')} on it)`}</dd>
    <dt>Purpose</dt><dd>${opening.purpose}</dd>
    <dt>Legal basis</dt><dd>${opening.legalBasis}</dd>`;
}

/** Who joins, leaves or changes the key, while that is still to be decided; then who was named. */
function changeFacts({ approvers }: ApproverChange, inOffice: PolicyView['approvers'] | null): TemplateResult {
  const now = new Map((inOffice ?? []).map((a) => [a.name, a.publicKey]));
  const names = (people: ApproverChange['approvers']): string => people.map((a) => a.name).join(', ') || 'nobody';
  const leaving = [...now.keys()].filter((name) => !approvers.some((a) => a.name === name));
  return html`<dt>What it does</dt><dd>Names who may approve budgets: ${names(approvers)}</dd>
    ${
      inOffice === null
        ? nothing
        : html`<dt>Joins</dt><dd>${names(approvers.filter((a) => !now.has(a.name)))}</dd>
            <dt>Leaves</dt><dd>${leaving.join(', ') || 'nobody'}</dd>
            <dt>Gets another key</dt><dd>${names(approvers.filter((a) => now.has(a.name) && now.get(a.name) !== a.publicKey))}</dd>`
    }`;
}

function signedDocument({ kind, document }: ProposalView, hash: string): TemplateResult {
  return html`<div class="stack-tight">
    <h3>What is signed</h3>
    <pre class="code" tabindex="0" role="region" aria-label="The document as RFC 8785 text">${canonicalJson(document)}</pre>
    <p>SHA-256, computed on this device: <span class="hash">${hash}</span></p>
    <p class="soft small">An Ed25519 signature over the text <code>tacit/1/${kind}</code>, a zero byte and this hash. Any change of the document changes the hash, and no earlier signature fits.</p>
  </div>`;
}

function signatures(p: ProposalView): TemplateResult {
  const count = p.approvals.filter((a) => a.counts).length;
  return html`<div class="stack-tight">
    <h3>Signatures: ${Math.min(count, p.needed)} of ${p.needed}</h3>
    ${dataTable<ProposalView['approvals'][number]>({
      caption: `Who has signed ${proposalTitle(p)}`,
      captionHidden: true,
      rows: p.approvals,
      empty: 'Nobody has signed yet.',
      columns: [
        { label: 'Approver', cell: (a) => a.approver },
        { label: 'Public key', cell: (a) => html`<span class="hash">${a.publicKey}</span>` },
        {
          label: 'Signature',
          cell: (a) =>
            verifyStatement(p.kind, p.document, a.publicKey, a.signature)
              ? badge('verified on this device', 'good')
              : badge('does not verify', 'bad'),
        },
        { label: 'Counts', cell: (a) => (a.counts ? 'yes' : 'no: left office') },
      ],
    })}
  </div>`;
}

function withdrawal(p: ProposalView, id: string, actions: ProposalActions): TemplateResult {
  return html`<p><button class="button" @click=${() => openDialog(`${id}-withdraw`)}>Withdraw this proposal</button></p>
    ${confirmDialog({
      id: `${id}-withdraw`,
      title: `Withdraw ${proposalTitle(p)}?`,
      confirm: 'Withdraw',
      cancel: 'Keep it',
      body: html`<p>Its signatures go with it. Everything stays as it is.</p>${operatorTokenField(`${id}-withdraw-token`)}`,
      onConfirm: (form) => actions.withdraw(p, operatorToken(form)),
    })}`;
}
