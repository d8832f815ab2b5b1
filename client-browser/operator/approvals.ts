import { html, nothing, type TemplateResult } from 'lit';
import type { PolicyView, ProposalView } from '../../shared/protocol/views.ts';
import { notice } from '../components/badge.ts';
import { dataTable } from '../components/data-table.ts';
import { PageElement } from '../components/element.ts';
import { api, RequestProblem } from '../lib/api.ts';
import { fragment } from '../lib/location.ts';
import { readApproval } from './approval-file.ts';
import { operatorToken, operatorTokenField } from './overview.ts';
import { problemNotice } from './problem.ts';
import { type ProposalActions, proposalCard } from './proposal-card.ts';

const EVERY_MS = 5_000;

/** The two-person policy: who may approve, what waits for signatures, and a form that proposes. */
export class TacitApprovals extends PageElement {
  static override properties = {
    policy: { state: true },
    problem: { state: true },
    messages: { state: true },
    proposed: { state: true },
  };
  declare policy: PolicyView | null;
  declare problem: RequestProblem | null;
  /** What became of the last signature brought to each proposal. */
  declare messages: ReadonlyMap<string, TemplateResult>;
  /** What became of the last proposal made here. */
  declare proposed: TemplateResult | null;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.policy = null;
    this.problem = null;
    this.messages = new Map();
    this.proposed = null;
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
        <h1>Approvals of privacy budgets</h1>
        <p class="lede">A budget is opened or raised only with the signatures of two different people. Their keys never leave their machines.</p>
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
        empty:
          'Nobody is named yet: any two different keys count, with the operator’s token. Name people with: tacit approver set',
        columns: [
          { label: 'Name', cell: (a) => a.name },
          { label: 'Public key', cell: (a) => html`<span class="hash">${a.publicKey}</span>` },
        ],
      })}</section>
      ${proposals.length === 0 ? html`<p class="soft">No opening or raise is proposed.</p>` : nothing}
      ${proposals.map((p) => proposalCard(p, this.messages.get(p.id) ?? nothing, approvers.length === 0, this.actions))}
      ${this.form()}
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
    bring: (proposal, text, token) => void this.bring(proposal, text, token),
    withdraw: (proposal, token) => void this.act(proposal.id, () => api.withdraw(proposal.id, token)),
  };

  private async bring(proposal: ProposalView, text: string, token?: string): Promise<void> {
    const read = readApproval(text, proposal.opening);
    if (!read.ok) {
      this.say(proposal.id, notice('bad', read.what, `${read.fix} (${read.code})`, true));
      return;
    }
    await this.act(proposal.id, async () => {
      const { state, ledgerIndex } = await api.approve(proposal.id, read.approval, token);
      this.say(
        proposal.id,
        state === 'opened'
          ? notice('good', 'Both signatures are in.', `The budget is open: ledger entry ${ledgerIndex}.`)
          : notice('good', 'The signature counts.', 'A second approver has to sign.'),
      );
    });
  }

  private async act(proposal: string, work: () => Promise<void>): Promise<void> {
    const problem = await problemOf(work);
    if (problem !== null) this.say(proposal, problemNotice(problem));
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
