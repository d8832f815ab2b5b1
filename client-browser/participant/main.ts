import { html, nothing, type TemplateResult } from 'lit';
import { fingerprintOf } from '../../shared/protocol/join-code.ts';
import { confirmDialog, openDialog } from '../components/confirm.ts';
import { PageElement } from '../components/element.ts';
import { shell } from '../components/shell.ts';
import { stepRail } from '../components/steps.ts';
import { api, RequestProblem } from '../lib/api.ts';
import { download } from '../lib/download.ts';
import type { ChosenColumns, DroppedFile, FromWorker, Limits, ToWorker } from '../worker/messages.ts';
import type { Actions } from './actions.ts';
import { consentSection } from './consent.ts';
import { dataSection } from './data.ts';
import { doneSection } from './done.ts';
import { liveSection } from './live.ts';
import { notices } from './notices.ts';
import { sentSection } from './sent.ts';
import {
  afterMessage,
  canWithdraw,
  currentStep,
  type ParticipantState,
  START,
  STEP_IDS,
  type StepId,
} from './state.ts';
import { taskSection } from './task.ts';
import { TrainingWorker } from './training-worker.ts';
import { whoSection } from './who.ts';

const LABELS: Readonly<Record<StepId, string>> = {
  who: 'Who is asking',
  task: 'The task',
  data: 'Your data',
  sent: 'What will be sent',
  consent: 'Your consent',
  live: 'Training',
  done: 'Done',
};

/** How often the coordinator is asked who it is while it does not answer. */
const ABOUT_EVERY_MS = 4_000;

/** The participant's page. It draws; everything that touches data or keys runs in the worker. */
export class TacitParticipant extends PageElement implements Actions {
  static override properties = { state: { state: true }, hiddenForMs: { state: true }, gone: { state: true } };
  declare state: ParticipantState;
  /** How long the tab was last in the background while training, once it is back. */
  declare hiddenForMs: number | null;
  /** The coordinator does not answer over HTTP. */
  declare gone: boolean;
  private worker: TrainingWorker | null = null;
  private files: readonly DroppedFile[] = [];
  private organisation = '';
  private hiddenSince: number | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    this.state = START;
    this.hiddenForMs = null;
    this.gone = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener('hashchange', this.readLink);
    document.addEventListener('visibilitychange', this.visibility);
    addEventListener('beforeunload', this.beforeUnload);
    this.readLink();
    void this.ask();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('hashchange', this.readLink);
    document.removeEventListener('visibilitychange', this.visibility);
    removeEventListener('beforeunload', this.beforeUnload);
    clearTimeout(this.timer);
    this.worker?.terminate();
  }

  private readonly readLink = (): void => {
    if (/^#join=/.test(location.hash)) this.state = { ...this.state, link: `${location.origin}/${location.hash}` };
  };

  /** Asks who the coordinator is and what it trains, until it answers. Shown as its own claim until the worker has checked it. */
  private async ask(): Promise<void> {
    try {
      const [about, runs] = await Promise.all([api.about(), api.runs()]);
      this.gone = false;
      const open = runs.filter((r) => r.state === 'running' || r.state === 'waiting');
      const newest = [...open].sort((a, b) => b.createdAt.localeCompare(a.createdAt))[0] ?? null;
      this.state = { ...this.state, about: this.state.about ?? about, run: this.state.run ?? newest };
    } catch (error) {
      if (!(error instanceof RequestProblem)) throw error;
      this.gone = true;
      this.timer = setTimeout(() => void this.ask(), ABOUT_EVERY_MS);
    }
  }

  private send(message: ToWorker): void {
    this.worker ??= new TrainingWorker((from) => this.receive(from));
    this.worker.send(message);
  }

  private receive(message: FromWorker): void {
    if (message.kind === 'accountFile')
      download('tacit-own-ledger.zip', new Uint8Array(message.zip), 'application/zip');
    const step = currentStep(this.state);
    const running = this.state.stopped === null;
    this.state = afterMessage(this.state, message, performance.now());
    const now = currentStep(this.state);
    if (running && this.state.stopped !== null)
      void this.updateComplete.then(() => this.querySelector('.notice')?.scrollIntoView({ block: 'center' }));
    else if (now !== step) void this.updateComplete.then(() => this.arrive(now));
    const { phase } = this.state;
    document.title =
      phase === null || now !== 'live' ? 'Take part · Tacit' : `Round ${phase.round} of ${phase.rounds} · Tacit`;
  }

  /** A new step takes the focus, so that a keyboard or a screen reader lands where there is something to do. */
  private arrive(step: StepId): void {
    const section = this.querySelector<HTMLElement>(`#${step}`);
    section?.focus({ preventScroll: true });
    section?.scrollIntoView({ block: 'start' });
  }

  private readonly visibility = (): void => {
    if (currentStep(this.state) !== 'live') return;
    if (document.hidden) this.hiddenSince = performance.now();
    else if (this.hiddenSince !== null) {
      this.hiddenForMs = performance.now() - this.hiddenSince;
      this.hiddenSince = null;
    }
  };

  /** Closing the tab in a round drops this participant out of it: worth a question. */
  private readonly beforeUnload = (event: BeforeUnloadEvent): void => {
    if (currentStep(this.state) === 'live' && this.state.stopped === null && !this.state.paused) event.preventDefault();
  };

  useLink(link: string): void {
    const hash = link.slice(link.indexOf('#'));
    if (link.startsWith(`${location.origin}/`)) location.hash = hash;
    else location.href = link;
  }

  connect(organisation: string): void {
    const { link } = this.state;
    if (link === null) return;
    this.organisation = organisation;
    this.state = { ...this.state, stopped: null, paused: false, connection: { state: 'connecting', detail: '' } };
    this.send({ kind: 'connect', link, organisation });
  }

  choose(files: readonly DroppedFile[]): void {
    if (files.length === 0) return;
    this.files = files;
    this.send({ kind: 'files', files, columns: null });
  }

  readAgain(columns: ChosenColumns): void {
    this.send({ kind: 'files', files: this.files, columns });
  }

  consent(limits: Limits): void {
    this.state = { ...this.state, consent: 'sending', objection: null };
    this.send({ kind: 'consent', limits });
  }

  decline(): void {
    this.send({ kind: 'decline' });
  }

  pause(): void {
    this.send({ kind: 'pause' });
  }

  resume(): void {
    this.connect(this.organisation);
  }

  withdraw(): void {
    const { link } = this.state;
    if (link === null) return;
    this.state = { ...this.state, withdrawal: 'sending' };
    this.send({ kind: 'withdraw', link });
  }

  changeKey(): void {
    this.state = { ...this.state, keyChange: 'sending' };
    this.send({ kind: 'changeKey' });
  }

  forget(): void {
    this.send({ kind: 'forget' });
  }

  receipt(): void {
    download('tacit-consent-receipt.json', `${JSON.stringify(this.state.receipt, null, 2)}\n`, 'application/json');
  }

  exportAccount(): void {
    this.send({ kind: 'exportAccount' });
  }

  private leave(form: HTMLFormElement): void {
    if (new FormData(form).has('withdraw')) this.withdraw();
    else this.send({ kind: 'leave' });
    this.state = { ...this.state, left: true };
    void this.updateComplete.then(() => this.arrive('done'));
  }

  override render(): TemplateResult {
    const { state } = this;
    const joined = this.worker !== null && !state.left && state.finished === null;
    return shell({
      current: 'participant',
      about: state.about,
      twin: '/api/v1/about',
      end: html`<button class="button button-small button-bad" ?disabled=${!joined} @click=${() => openDialog('leave')}>Leave</button>`,
      main: html`
        <div class="page-head stack-tight">
          <h1>Train together, keep your data</h1>
          <p class="lede">Your texts stay on this device. What leaves it is a noisy, masked sum that means nothing on its own.</p>
        </div>
        <div class="with-rail">
          ${stepRail(this.steps())}
          <div>
            ${notices(state, this.gone, this.hiddenForMs, this)}
            ${this.sections()}
          </div>
        </div>
        ${confirmDialog({
          id: 'leave',
          title: 'Leave this training?',
          confirm: 'Leave',
          cancel: 'Stay',
          dangerous: true,
          body: html`<p>Nothing more is computed or sent from this device. What earlier rounds released cannot be called back: it is part of a noisy sum, and its privacy cost stays charged.</p>
            ${
              canWithdraw(state)
                ? html`<label class="check">
                    <input type="checkbox" name="withdraw" />
                    <span>Withdraw my consent as well. That is for good in this training: it is signed, and stands in the ledger.</span>
                  </label>`
                : nothing
            }`,
          onConfirm: (form) => this.leave(form),
        })}
      `,
    });
  }

  private steps(): { id: string; label: string; state: 'done' | 'current' | 'ahead' }[] {
    const at = STEP_IDS.indexOf(currentStep(this.state));
    return STEP_IDS.map((id, i) => ({
      id,
      label: LABELS[id],
      state: i < at ? ('done' as const) : i === at ? ('current' as const) : ('ahead' as const),
    }));
  }

  private sections(): TemplateResult {
    const { state } = this;
    const at = STEP_IDS.indexOf(currentStep(state));
    const reached = (id: StepId): boolean => STEP_IDS.indexOf(id) <= at;
    return html`
      ${this.section('who', whoSection(state, keyFingerprint(state), this))}
      ${reached('data') && state.run !== null ? this.section('task', taskSection(state)) : nothing}
      ${reached('data') && !(state.left && state.task === null) ? this.section('data', dataSection(state, this)) : nothing}
      ${reached('consent') && state.items.length > 0 ? this.section('sent', sentSection(state)) : nothing}
      ${reached('consent') && state.items.length > 0 ? this.section('consent', consentSection(state, this)) : nothing}
      ${reached('live') && (state.phase !== null || state.consent === 'given') ? this.section('live', liveSection(state, this)) : nothing}
      ${reached('done') ? this.section('done', doneSection(state, this)) : nothing}
    `;
  }

  /** From training on, the steps before fold away, so that what happens now is what is seen. */
  private section(id: StepId, body: unknown): TemplateResult {
    const at = STEP_IDS.indexOf(currentStep(this.state));
    const folded = at >= STEP_IDS.indexOf('live') && STEP_IDS.indexOf(id) < STEP_IDS.indexOf('live');
    const title = html`<h2 id="${id}-title">${LABELS[id]}</h2>`;
    return html`<section class="panel" id=${id} tabindex="-1" aria-labelledby="${id}-title">
      ${
        folded
          ? html`<details class="fold"><summary>${title}</summary><div class="stack">${body}</div></details>`
          : html`<div class="stack">${title} ${body}</div>`
      }
    </section>`;
  }
}

customElements.define('tacit-participant', TacitParticipant);

/** The fingerprint of the key that the coordinator shows, computed here rather than believed. */
function keyFingerprint(state: ParticipantState): string | null {
  const encoded = state.about?.vkey.split('+')[2];
  if (encoded === undefined) return null;
  const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
  return bytes.length === 33 ? fingerprintOf(bytes.subarray(1)) : null;
}
