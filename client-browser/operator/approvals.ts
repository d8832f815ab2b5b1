import { html, nothing, type TemplateResult } from 'lit';
import type { PolicyView, ProposalView } from '../../shared/protocol/views.ts';
import { notice } from '../components/badge.ts';
import { dataTable } from '../components/data-table.ts';
import { PageElement } from '../components/element.ts';
import { api, RequestProblem } from '../lib/api.ts';
import { fragment } from '../lib/location.ts';
import { signApart } from '../signing/sign.ts';
import { readApproval, type SentApproval } from './approval-file.ts';
import './approvers-form.ts';
import type { ApproversProposed } from './approvers-form.ts';
import { operatorToken, operatorTokenField } from './overview.ts';
import { problemNotice } from './problem.ts';
import { type ProposalActions, proposalCard } from './proposal-card.ts';
import { acceptedWords } from './proposal-words.ts';
import type { KeyInForm } from './sign-panel.ts';
import { reasonNotToSend } from './sign-words.ts';

const EVERY_MS = 5_000;

/** The two-person policy: who may approve, what waits for signatures, and a form that proposes. */
export class TacitApprovals extends PageElement {
  static override properties = {
    policy: { state: true },
    problem: { state: true },
    messages: { state: true },
    proposed: { state: true },
    named: { state: true },
    signing: { state: true },
  };
  declare policy: PolicyView | null;
  declare problem: RequestProblem | null;
  /** What became of the last signature brought to each proposal. */
  declare messages: ReadonlyMap<string, TemplateResult>;
  /** What became of the last proposal made here. */
  declare proposed: TemplateResult | null;
  /** What became of the last list of approvers proposed here. */
  declare named: TemplateResult | null;
  /** The proposal that a key is being opened for. */
  declare signing: string | null;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.policy = null;
    this.problem = null;
    this.messages = new Map();
    this.proposed = null;
    this.named = null;
    this.signing = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.timer = setInterval(() => void this.refresh(), EVERY_MS);
    void this.refresh();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  private async refresh(): Promise<void> {
    this.problem = await problemOf(async () => {
      this.policy = await api.policy();
    });
  }

  override render(): TemplateResult {
    const { policy } = this;
    return html`<div class="page-head stack-tight">
        <p class="small"><a href=${fragment({})}>All runs</a></p>
        <h1>Approvals</h1>
        <p class="lede">A budget is opened or raised, and the list of approvers changed, only with the signatures of two different people. Their keys never leave their devices.</p>
      </div>
      ${this.problem === null ? nothing : problemNotice(this.problem)}
      ${policy === null ? html`<p class="soft" role="status">Loading…</p>` : this.parts(policy)}`;
  }

  private parts(policy: PolicyView): TemplateResult {
    const { approvers, proposals } = policy;
    return html`<div class="stack">
      <section class="panel">${dataTable<PolicyView['approvers'][number]>({
        caption: 'Approvers in office',
        rows: approvers,
        empty: 'Nobody is named yet: any two different keys count, with the operator’s token. Name people below.',
        columns: [
          { label: 'Name', cell: (a) => a.name },
          { label: 'Public key', cell: (a) => html`<span class="hash">${a.publicKey}</span>` },
        ],
      })}</section>
      ${proposals.length === 0 ? html`<p class="soft">Nothing is proposed.</p>` : nothing}
      ${proposals.map((proposal) => {
        const message = this.messages.get(proposal.id) ?? nothing;
        const busy = this.signing === proposal.id;
        return proposalCard({ proposal, inOffice: approvers, message, busy }, this.actions);
      })}
      ${this.form()}
      <tacit-approvers-form
        .policy=${policy}
        .answer=${this.named}
        @propose=${(event: CustomEvent<ApproversProposed>) => void this.proposeApprovers(event.detail)}
      ></tacit-approvers-form>
    </div>`;
  }

  private form(): TemplateResult {
    const field = (name: string, label: string, hint: string): TemplateResult => html`<div class="field">
      <label for="propose-${name}">${label}</label>
      <input type="text" id="propose-${name}" name=${name} required autocomplete="off" aria-describedby="propose-${name}-hint" />
      <span class="hint" id="propose-${name}-hint">${hint}</span>
    </div>`;
    return html`<section class="panel stack" aria-labelledby="propose-title">
      <h2 id="propose-title">Propose an opening or a raise</h2>
      <div role="status">${this.proposed ?? nothing}</div>
      <form class="stack" @submit=${(event: SubmitEvent) => void this.propose(event)}>
        <div class="grid-fields">
          ${field('scope', 'Dataset', 'as plans name it, for example mail')}
          <div class="field">
            <label for="propose-unit">Protects one</label>
            <select id="propose-unit" name="unit"><option>record</option><option>person</option><option>client</option></select>
          </div>
          ${field('period', 'Period', 'for example 2026')}
          ${field('epsilon', 'Whole ε', 'a decimal number; a raise names the new whole')}
          ${field('delta', 'Whole δ', 'for example 0.00001')}
          ${field('purpose', 'Purpose', 'becomes part of the ledger')}
          ${field('legalBasis', 'Legal basis', 'becomes part of the ledger')}
          ${operatorTokenField('propose-token')}
        </div>
        <p><button class="button button-main">Propose</button></p>
      </form>
    </section>`;
  }

  private readonly actions: ProposalActions = {
    sign: (proposal, key) => void this.sign(proposal, key),
    bring: (proposal, text, token) => void this.bring(proposal, text, token),
    withdraw: (proposal, token) => void this.act(proposal.id, () => api.withdraw(proposal.id, token)),
  };

  /** Nothing is sent of a key that does not open, is nobody's in office, or has signed already. */
  private async sign(proposal: ProposalView, { file, passphrase, name, token }: KeyInForm): Promise<void> {
    if (this.signing !== null) return;
    this.signing = proposal.id;
    try {
      const keyFile = new Uint8Array(await file.slice(0, KEY_FILE_BYTES).arrayBuffer());
      const { kind, document } = proposal;
      const asked = { kind, document } as Pick<ProposalView, 'kind' | 'document'>;
      const answer = await signApart({ keyFile, passphrase, approver: name, proposal: asked });
      const inOffice = this.policy?.approvers ?? [];
      const not = reasonNotToSend(answer, proposal, inOffice);
      if (not !== undefined) this.say(proposal.id, notice('bad', not.what, `${not.fix} (${not.code})`, true));
      else if (answer.ok) {
        const known = inOffice.find((a) => a.publicKey === answer.approval.publicKey)?.name;
        await this.send(proposal, { ...answer.approval, approver: known ?? name }, token);
      }
    } finally {
      this.signing = null;
    }
  }

  private async bring(proposal: ProposalView, text: string, token?: string): Promise<void> {
    const read = readApproval(text, proposal);
    if (read.ok) await this.send(proposal, read.approval, token);
    else this.say(proposal.id, notice('bad', read.what, `${read.fix} (${read.code})`, true));
  }

  private send(proposal: ProposalView, approval: SentApproval, token?: string): Promise<void> {
    return this.act(proposal.id, async () => {
      const after = await api.approve(proposal.id, approval, token);
      this.say(
        proposal.id,
        after.state === 'accepted'
          ? notice('good', 'The last signature is in.', acceptedWords(after))
          : notice('good', 'The signature counts.', 'A second approver has to sign.'),
      );
    });
  }

  private async act(proposal: string, work: () => Promise<void>): Promise<void> {
    const problem = await problemOf(work);
    if (problem !== null) this.say(proposal, problemNotice(problem));
    await this.refresh();
  }

  private async proposeApprovers({ change, token }: ApproversProposed): Promise<void> {
    let answer: ProposalView | undefined;
    const problem = await problemOf(async () => {
      answer = await api.proposeApprovers(change, token);
    });
    const state = (answer as ProposalView | undefined)?.state;
    if (problem !== null) this.named = problemNotice(problem);
    else if (state === 'accepted')
      this.named = notice('good', 'They are in office.', 'Only they change this list from now on.');
    else this.named = notice('good', 'Proposed.', 'Two approvers in office can sign it now, above.');
    await this.refresh();
  }

  private say(proposal: string, message: TemplateResult): void {
    this.messages = new Map(this.messages).set(proposal, message);
  }

  private async propose(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const text = (name: string): string => String(new FormData(form).get(name) ?? '').trim();
    const [scope, unit, period] = [text('scope'), text('unit'), text('period')];
    const opening = {
      epsilon: text('epsilon'),
      delta: text('delta'),
      purpose: text('purpose'),
      legalBasis: text('legalBasis'),
    };
    const problem = await problemOf(async () => {
      await api.propose({ budget: { scope, unit, period }, ...opening }, text('token'));
      operatorToken(form);
    });
    this.proposed =
      problem === null ? notice('good', 'Proposed.', 'Two approvers can sign it now.') : problemNotice(problem);
    await this.refresh();
  }
}

/** A key file is a few hundred bytes. */
const KEY_FILE_BYTES = 16 << 10;

customElements.define('tacit-approvals', TacitApprovals);

async function problemOf(work: () => Promise<void>): Promise<RequestProblem | null> {
  try {
    await work();
    return null;
  } catch (error) {
    if (!(error instanceof RequestProblem)) throw error;
    return error;
  }
}
