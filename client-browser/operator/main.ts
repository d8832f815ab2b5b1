import { html, nothing, type TemplateResult } from 'lit';
import type { AboutView, CoordinatorEvent, ModelView, RoundView, RunView } from '../../shared/protocol/views.ts';
import '../lib/zod-jitless.ts';
import { notice } from '../components/badge.ts';
import { PageElement } from '../components/element.ts';
import { shell } from '../components/shell.ts';
import { api, followRun, RequestProblem } from '../lib/api.ts';
import { fragment, readFragment } from '../lib/location.ts';
import './approvals.ts';
import { eventsTab, type LogLine } from './events.ts';
import { type InvitationRequest, invitations } from './invite.ts';
import { metricsTab } from './metrics.ts';
import { modelsTab, type Trial } from './models.ts';
import { overviewTab, runHead, stopDialog } from './overview.ts';
import { problemNotice } from './problem.ts';
import { roundsTab } from './rounds.ts';
import { runList } from './run-list.ts';
import { type NewRun, startRunForm } from './start-run.ts';
import { systemTab } from './system.ts';

const TABS = [
  ['overview', 'Overview'],
  ['rounds', 'Rounds'],
  ['metrics', 'Metrics'],
  ['system', 'System'],
  ['models', 'Models'],
  ['events', 'Events'],
] as const;
type Tab = (typeof TABS)[number][0];

/** How often the list of runs is read again. One run is followed by events instead. */
const LIST_EVERY_MS = 5_000;
const LOG_LINES = 500;

/** The operator's page: the list of runs, and each run under one URL, `#run=ID&tab=…`. */
export class TacitOperator extends PageElement {
  static override properties = {
    about: { state: true },
    runs: { state: true },
    rounds: { state: true },
    models: { state: true },
    log: { state: true },
    view: { state: true },
    runId: { state: true },
    tab: { state: true },
    roundShown: { state: true },
    problem: { state: true },
    connected: { state: true },
    trial: { state: true },
    done: { state: true },
    invitation: { state: true },
  };
  declare about: AboutView | null;
  declare runs: readonly RunView[] | null;
  declare rounds: readonly RoundView[];
  declare models: readonly ModelView[];
  declare log: readonly LogLine[];
  declare view: 'runs' | 'approvals';
  declare runId: string | null;
  declare tab: Tab;
  declare roundShown: number | null;
  declare problem: RequestProblem | null;
  declare connected: boolean;
  declare trial: Trial;
  /** What the last action of the operator brought, for the live region. */
  declare done: string;
  /** The last link that was made for the run that is shown. */
  declare invitation: string | null;
  private unfollow: (() => void) | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.about = null;
    this.runs = null;
    this.rounds = [];
    this.models = [];
    this.log = [];
    this.view = 'runs';
    this.runId = null;
    this.tab = 'overview';
    this.roundShown = null;
    this.problem = null;
    this.connected = true;
    this.trial = { state: 'idle' };
    this.done = '';
    this.invitation = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener('hashchange', this.route);
    this.timer = setInterval(() => void this.refresh(), LIST_EVERY_MS);
    void this.load(async () => {
      this.about = await api.about();
    });
    this.route();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('hashchange', this.route);
    clearInterval(this.timer);
    this.unfollow?.();
  }

  private readonly route = (): void => {
    const parameters = readFragment();
    this.view = parameters.get('view') === 'approvals' ? 'approvals' : 'runs';
    const runId = this.view === 'approvals' ? null : parameters.get('run');
    const tab = TABS.find(([key]) => key === parameters.get('tab'))?.[0];
    this.tab = tab ?? 'overview';
    if (runId !== this.runId) {
      this.runId = runId;
      this.rounds = [];
      this.log = [];
      this.roundShown = null;
      this.trial = { state: 'idle' };
      this.invitation = null;
      this.unfollow?.();
      this.unfollow = runId === null ? null : followRun(runId, this.receive, this.line);
    }
    void this.refresh();
  };

  private async refresh(): Promise<void> {
    await this.load(async () => {
      this.about ??= await api.about();
      const { runId } = this;
      if (this.view === 'approvals') return;
      if (runId === null) {
        this.runs = await api.runs();
        return;
      }
      const [run, rounds, models] = await Promise.all([api.run(runId), api.rounds(runId), api.models()]);
      if (runId !== this.runId) return;
      this.put(run);
      this.rounds = rounds;
      this.models = models.filter((m) => m.run === runId);
    });
  }

  private async load(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.problem = null;
    } catch (error) {
      if (!(error instanceof RequestProblem)) throw error;
      this.problem = error;
    }
  }

  private put(run: RunView): void {
    const others = (this.runs ?? []).filter((r) => r.id !== run.id);
    this.runs = [run, ...others];
  }

  private readonly receive = (event: CoordinatorEvent): void => {
    if (event.kind === 'run') {
      this.put(event.run);
    } else if (event.kind === 'round') {
      const same = (r: RoundView): boolean => r.round === event.round.round && r.attempt === event.round.attempt;
      this.rounds = [...this.rounds.filter((r) => !same(r)), event.round].sort(
        (a, b) => a.round - b.round || a.attempt - b.attempt,
      );
    } else {
      this.log = [...this.log, event].slice(-LOG_LINES);
    }
  };

  private readonly line = (connected: boolean): void => {
    this.connected = connected;
  };

  override render(): TemplateResult {
    const { about } = this;
    const twin =
      this.view === 'approvals'
        ? '/api/v1/budgets/proposals'
        : this.runId === null
          ? '/api/v1/runs'
          : `/api/v1/runs/${encodeURIComponent(this.runId)}`;
    return shell({ current: 'operator', about, twin, main: this.main() });
  }

  private main(): TemplateResult {
    if (this.view === 'approvals') return html`<tacit-approvals></tacit-approvals>`;
    const run = this.runs?.find((r) => r.id === this.runId);
    return html`
      ${this.problem === null ? nothing : problemNotice(this.problem)}
      ${
        this.runId !== null && !this.connected && this.problem === null
          ? notice('warn', 'The live line is down.', 'What you see may be old; the page reconnects by itself.', true)
          : nothing
      }
      <p class="visually-hidden" role="status">${this.done}</p>
      ${this.runId === null ? this.list() : run === undefined ? this.missing() : this.run(run)}
    `;
  }

  private list(): TemplateResult {
    return html`<div class="page-head stack-tight">
        <h1>Runs</h1>
        <p class="lede">Every training that this coordinator leads, newest first. Only sums over whole cohorts are shown here; no participant’s own update or loss exists on this side.</p>
        <p><a href=${fragment({ view: 'approvals' })}>Approvals of budgets and approvers</a></p>
      </div>
      ${this.runs === null ? html`<p class="soft" role="status">Loading…</p>` : runList(this.runs)}
      ${startRunForm((run, token) => void this.start(run, token))}`;
  }

  private missing(): TemplateResult {
    return this.problem?.status === 404 || this.problem === null
      ? html`<h1>Run ${this.runId}</h1><p class="soft" role="status">${this.problem === null ? 'Loading…' : 'There is no such run.'} <a href=${fragment({})}>All runs</a></p>`
      : html`<h1>Run ${this.runId}</h1>`;
  }

  private run(run: RunView): TemplateResult {
    return html`${runHead(run)}
      <div class="tabs" role="tablist" aria-label="Parts of this run" @keydown=${this.arrow}>
        ${TABS.map(
          ([key, label]) => html`<button
            role="tab"
            id="tab-${key}"
            aria-selected=${key === this.tab}
            aria-controls="panel"
            tabindex=${key === this.tab ? 0 : -1}
            @click=${() => this.show(key)}
          >${label}</button>`,
        )}
      </div>
      <div id="panel" role="tabpanel" aria-labelledby="tab-${this.tab}" tabindex="0">${this.panel(run)}</div>
      ${stopDialog(run, (token) => void this.act('Stopping the run.', () => api.stop(run.id, token)))}`;
  }

  private panel(run: RunView): TemplateResult {
    switch (this.tab) {
      case 'overview':
        return overviewTab(
          run,
          open(run)
            ? invitations(this.invitation, (request, token) => void this.invite(run.id, request, token))
            : nothing,
        );
      case 'rounds':
        return roundsTab(this.rounds, this.roundShown, (round) => {
          this.roundShown = round;
        });
      case 'metrics':
        return metricsTab(run);
      case 'system':
        return systemTab(this.rounds);
      case 'models':
        return modelsTab(this.models, this.trial, {
          promote: (model, token) => void this.act(`Promoting ${model}.`, () => api.promote(model, token)),
          predict: (model, text) => void this.predict(model, text),
        });
      case 'events':
        return eventsTab(this.log);
    }
  }

  private show(tab: Tab): void {
    location.hash = fragment({ run: this.runId ?? undefined, tab });
  }

  /** Arrow keys, Home and End move between tabs (WAI-ARIA Authoring Practices, tabs with automatic activation). */
  private readonly arrow = (event: KeyboardEvent): void => {
    const at = TABS.findIndex(([key]) => key === this.tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: TABS.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const [key] = TABS[(to + TABS.length) % TABS.length] as (typeof TABS)[number];
    this.show(key);
    this.querySelector<HTMLElement>(`#tab-${key}`)?.focus();
  };

  private async act(what: string, work: () => Promise<unknown>): Promise<void> {
    this.done = what;
    await this.load(async () => {
      await work();
      this.done = `${what} Done.`;
    });
    if (this.problem === null) await this.refresh();
  }

  private async start(run: NewRun, token: string): Promise<void> {
    await this.act('Starting the run.', async () => {
      location.hash = fragment({ run: (await api.createRun(run, token)).id });
    });
  }

  private async invite(run: string, request: InvitationRequest, token: string): Promise<void> {
    await this.act('Making a link.', async () => {
      const { code } = await api.invite(run, request, token);
      if (this.runId === run) this.invitation = code;
    });
  }

  private async predict(model: string, text: string): Promise<void> {
    this.trial = { state: 'asking', text };
    try {
      const { predictions } = await api.predict(model, [text]);
      const [prediction] = predictions;
      this.trial = prediction === undefined ? { state: 'idle' } : { state: 'answered', text, prediction };
    } catch (error) {
      if (!(error instanceof RequestProblem)) throw error;
      this.trial = { state: 'failed', text, why: error.message };
    }
  }
}

function open(run: RunView): boolean {
  return run.state === 'waiting' || run.state === 'running';
}

customElements.define('tacit-operator', TacitOperator);
