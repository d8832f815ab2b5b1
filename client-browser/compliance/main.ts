import '../lib/zod-jitless.ts';
import { html, nothing, type TemplateResult } from 'lit';
import { TacitError } from '../../shared/core/errors.ts';
import type { AboutView, BudgetView } from '../../shared/protocol/views.ts';
import { notice } from '../components/badge.ts';
import { PageElement } from '../components/element.ts';
import { shell } from '../components/shell.ts';
import { api, RequestProblem } from '../lib/api.ts';
import { readFragment } from '../lib/location.ts';
import { answerSection } from './answer.ts';
import { type Audit, auditLog, budgetProblems } from './audit.ts';
import { budgetsSection } from './budgets.ts';
import { entriesSection, PAGE_ENTRIES } from './entries.ts';
import { entrySection } from './entry.ts';
import { exportsSection } from './exports.ts';
import { LogClient } from './log-client.ts';
import type { Check, Verifying } from './page-state.ts';
import { restsOnSection } from './rests-on.ts';
import { verifyEntry } from './verify.ts';

/** The officer's page: the answer first, and everything that it rests on below. Loads without TensorFlow.js. */
export class TacitCompliance extends PageElement {
  static override properties = {
    about: { state: true },
    budgets: { state: true },
    check: { state: true },
    problem: { state: true },
    entryIndex: { state: true },
    verifying: { state: true },
    page: { state: true },
  };
  declare about: AboutView | null;
  declare budgets: readonly BudgetView[] | null;
  declare check: Check;
  declare problem: RequestProblem | null;
  declare entryIndex: number | null;
  declare verifying: Verifying | null;
  declare page: number;

  constructor() {
    super();
    this.about = null;
    this.budgets = null;
    this.check = { state: 'running', share: 0 };
    this.problem = null;
    this.entryIndex = null;
    this.verifying = null;
    this.page = 0;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener('hashchange', this.route);
    this.route();
    void this.load();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('hashchange', this.route);
  }

  private readonly route = (): void => {
    const text = readFragment().get('entry');
    const index = text === null ? Number.NaN : Number(text);
    const entryIndex = Number.isSafeInteger(index) && index >= 0 ? index : null;
    if (entryIndex !== this.entryIndex) {
      this.verifying = null;
      // Arriving at an entry moves the focus there, as following a link would.
      if (entryIndex !== null) void this.updateComplete.then(() => this.arrive());
    }
    this.entryIndex = entryIndex;
  };

  private arrive(): void {
    const section = this.querySelector<HTMLElement>('#entry');
    section?.focus({ preventScroll: true });
    section?.scrollIntoView({ block: 'start' });
  }

  private async load(): Promise<void> {
    this.check = { state: 'running', share: 0 };
    try {
      const [about, budgets] = await Promise.all([api.about(), api.budgets()]);
      this.about = about;
      this.budgets = budgets;
      this.problem = null;
      const audit = await auditLog(about, new LogClient(), (share) => {
        this.check = { state: 'running', share };
      });
      this.check = { state: 'done', audit };
      if (this.entryIndex !== null) void this.updateComplete.then(() => this.arrive());
    } catch (error) {
      if (error instanceof RequestProblem) this.problem = error;
      const code = error instanceof TacitError || error instanceof RequestProblem ? error.code : 'LOG_UNREADABLE';
      this.check = { state: 'failed', code, why: error instanceof Error ? error.message : String(error) };
    }
  }

  override render(): TemplateResult {
    return shell({
      current: 'compliance',
      about: this.about,
      twin: '/api/v1/budgets',
      end: html`<button class="button button-small" @click=${() => print()}>Print or save as PDF</button>`,
      main: this.main(),
    });
  }

  private main(): TemplateResult {
    const { about, budgets, check } = this;
    const audit = check.state === 'done' ? check.audit : null;
    return html`
      <div class="page-head stack-tight">
        <h1>The privacy account</h1>
        <p class="lede">How much of each dataset’s privacy budget is spent, on what, and the proof. Checked by this browser, not taken on trust.</p>
      </div>
      ${this.problem === null ? nothing : notice('bad', this.problem.message, html`<button class="button button-small no-print" @click=${() => void this.load()}>Try again</button>`, true)}
      ${answerSection(check, budgets, budgetProblems(budgets ?? [], audit?.budgets ?? null), this.problem === null)}
      ${budgets === null ? nothing : budgetsSection(budgets, audit !== null && audit.problems.length === 0)}
      ${this.entryIndex === null || about === null ? nothing : entrySection(this.entryIndex, audit, this.verifying, () => void this.verify(about))}
      ${audit === null ? nothing : entriesSection(audit, this.page, this.entryIndex, (page) => this.turn(page, audit))}
      ${restsOnSection(budgets ?? [])}
      ${about === null || budgets === null ? nothing : exportsSection(about, budgets, audit)}
    `;
  }

  private turn(page: number, audit: Audit): void {
    this.page = Math.max(0, Math.min(page, Math.ceil(audit.entries.length / PAGE_ENTRIES) - 1));
  }

  private async verify(about: AboutView): Promise<void> {
    const index = this.entryIndex;
    if (index === null) return;
    this.verifying = { index, steps: [], result: null };
    const result = await verifyEntry(index, about, (step) => {
      if (this.verifying?.index === index)
        this.verifying = { ...this.verifying, steps: [...this.verifying.steps, step] };
    });
    if (this.verifying?.index === index) this.verifying = { index, steps: result.steps, result };
  }
}

customElements.define('tacit-compliance', TacitCompliance);
