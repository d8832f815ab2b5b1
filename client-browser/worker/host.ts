import type { Clock } from '../../shared/core/clock.ts';
import { TacitError } from '../../shared/core/errors.ts';
import type { Rng } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { ParticipantEvent } from '../../shared/participant/events.ts';
import type { AnswerContext, Invitation, ParticipantOptions, SiteAnswer } from '../../shared/participant/options.ts';
import { enforcePolicy, type Policy } from '../../shared/participant/policy.ts';
import type { TrainerFactory } from '../../shared/participant/trainer.ts';
import type { ParticipantTransport } from '../../shared/participant/transport.ts';
import type { withdrawFrom } from '../../shared/participant/withdrawal.ts';
import { labelsOf, type Plan } from '../../shared/protocol/plan.ts';
import { recordColumns } from '../../shared/protocol/plan-columns.ts';
import type { Store } from '../../shared/store/port.ts';
import type { TextRecord } from '../../shared/text/record.ts';
import type { RecordColumns } from '../../shared/text/records.ts';
import { accountOf, accountZip } from './account.ts';
import type { ChosenEngine } from './engines.ts';
import type { ChosenColumns, DroppedFile, FromWorker, Limits, Problem, ToWorker } from './messages.ts';
import { columnsFound, readFiles } from './read-files.ts';
import type { Site } from './site.ts';

/** Everything outside the worker's own decisions. */
export interface HostPorts {
  post(message: FromWorker): void;
  /** shared/participant/session.ts */
  runParticipant(options: ParticipantOptions): AsyncIterable<ParticipantEvent>;
  /** Trains with this engine. */
  trainerOf(engine: Engine): TrainerFactory;
  /** The engine to train with; `onSwitch` when it failed and another one went on. @throws ENGINE_NONE */
  chooseEngine(onSwitch: (name: string, reason: string) => void, avoid: readonly string[]): Promise<ChosenEngine>;
  openStore(): Promise<Store>;
  openSite(store: Store): Promise<Site>;
  /** @returns index of the change in this browser's own ledger */
  changeKey(store: Store, reason: string): Promise<number>;
  /** shared/participant/withdrawal.ts */
  readonly withdrawFrom: typeof withdrawFrom;
  openTransport(url: string): ParticipantTransport;
  /** Holds this browser's one seat until `release`, or returns undefined when another tab has it. */
  takeSeat(): Promise<(() => void) | undefined>;
  deleteEverything(): Promise<void>;
  readonly rng: Rng;
  readonly clock: Clock;
}

type Connect = Extract<ToWorker, { kind: 'connect' }>;

interface Consent {
  readonly limits: Limits;
}

/** The worker's side of the page: one session at a time, the person's records, and the answers that the session waits for. */
export class WorkerHost {
  readonly #ports: HostPorts;
  #records: readonly TextRecord[] | null = null;
  #plan: Plan | null = null;
  #engine: ChosenEngine | null = null;
  #abort: AbortController | null = null;
  #ended: Promise<void> = Promise.resolve();
  readonly #data = new Waiting<readonly TextRecord[]>();
  readonly #answer = new Waiting<Consent | null>();

  constructor(ports: HostPorts) {
    this.#ports = ports;
  }

  /** A message of the page. Failures become messages to the page. */
  async receive(message: ToWorker): Promise<void> {
    try {
      await this.#act(message);
    } catch (error) {
      this.#ports.post({ kind: 'workerFailed', problem: problemOf(error) });
    }
  }

  async #act(message: ToWorker): Promise<void> {
    switch (message.kind) {
      case 'connect':
        if (this.#abort === null) void this.#talk(message);
        return;
      case 'files':
        return this.#read(message.files, message.columns);
      case 'consent':
        return this.#answer.resolve({ limits: message.limits });
      case 'decline':
        return this.#answer.resolve(null);
      case 'pause':
        await this.#end();
        return this.#ports.post({ kind: 'paused' });
      case 'leave':
        return this.#end();
      case 'exportAccount':
        return this.#withOwnStore(async (store) => {
          this.#ports.post({ kind: 'accountFile', zip: await accountZip(store) });
        });
      case 'withdraw':
        return this.#asked('withdrawal', () => this.#withdraw(message.link));
      case 'changeKey':
        return this.#asked('keyChange', () => this.#changeKey());
      case 'forget':
        await this.#end();
        await this.#ports.deleteEverything();
        return this.#ports.post({ kind: 'forgotten' });
    }
  }

  async #talk(connect: Connect): Promise<void> {
    try {
      await this.#begin((signal) => this.#session(connect, signal));
    } catch (error) {
      this.#ports.post({ kind: 'workerFailed', problem: problemOf(error) });
    }
  }

  /** What speaks with a coordinator, one at a time: {@link #end} ends it. */
  #begin(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    const done = work(abort.signal).finally(() => {
      if (this.#abort === abort) this.#abort = null;
    });
    this.#ended = done.catch(() => undefined);
    return done;
  }

  async #end(): Promise<void> {
    this.#abort?.abort();
    this.#answer.resolve(null);
    await this.#ended;
    this.#answer.reset();
  }

  async #session(connect: Connect, signal: AbortSignal): Promise<void> {
    await this.#alone((store) => this.#converse(connect, signal, store));
  }

  async #converse({ link, organisation, avoid = [] }: Connect, signal: AbortSignal, store: Store): Promise<void> {
    const { post, rng, clock } = this.#ports;
    const { signer, sealed, clientId } = await this.#ports.openSite(store);
    post({ kind: 'identity', clientId, sealed });
    await this.#tellAccount(store);
    const engine = await this.#chooseEngine(avoid);
    const events = this.#ports.runParticipant({
      link,
      organisation,
      engineName: engine.name,
      createTrainer: this.#ports.trainerOf(engine),
      answer: (invitation, context) => this.#site(invitation, context, signal),
      transport: (url) => this.#ports.openTransport(url),
      signer,
      store,
      rng,
      clock,
      signal,
    });
    for await (const event of events) {
      post({ kind: 'session', event });
      if (ACCOUNT_CHANGES.includes(event.kind)) await this.#tellAccount(store);
    }
  }

  async #tellAccount(store: Store): Promise<void> {
    const account = await accountOf(store);
    if (account !== undefined) this.#ports.post({ kind: 'account', account });
  }

  /** Ends taking part, then says so, signed. Waits for a coordinator that cannot be reached, until something else is asked for. */
  async #withdraw(link: string): Promise<void> {
    await this.#end();
    const { rng, clock, openTransport } = this.#ports;
    const reason = 'withdrawn in the browser by the participant';
    await this.#begin((signal) =>
      this.#alone(async (store) => {
        const { signer } = await this.#ports.openSite(store);
        await this.#ports.withdrawFrom({ link, reason, store, signer, rng, clock, signal, transport: openTransport });
        await this.#tellAccount(store);
      }),
    );
  }

  async #changeKey(): Promise<void> {
    await this.#end();
    await this.#alone(async (store) => {
      await this.#ports.changeKey(store, 'changed in the browser by the participant');
      await this.#tellAccount(store);
    });
  }

  /** Tells the page how something that it asked for went. */
  async #asked(kind: 'withdrawal' | 'keyChange', act: () => Promise<void>): Promise<void> {
    const { post } = this.#ports;
    try {
      await act();
      post({ kind, state: 'done' });
    } catch (error) {
      post({ kind, state: problemOf(error) });
    }
  }

  /** With this browser's one seat, so that no session of another tab is under way. */
  async #alone(use: (store: Store) => Promise<void>): Promise<void> {
    const release = await this.#ports.takeSeat();
    if (release === undefined) throw new TacitError('TAB_OPEN', 'another tab of this browser takes part already');
    try {
      await this.#withOwnStore(use);
    } finally {
      release();
    }
  }

  /** Beside a session, or after it. */
  async #withOwnStore(use: (store: Store) => Promise<void>): Promise<void> {
    const store = await this.#ports.openStore();
    try {
      await use(store);
    } finally {
      await store.close();
    }
  }

  async #chooseEngine(avoid: readonly string[]): Promise<Engine> {
    const { post } = this.#ports;
    const told = (name: string, reason: string, secondsPerExample: number): void =>
      post({ kind: 'session', event: { kind: 'engine', name, reason, secondsPerExample } });
    this.#engine ??= await this.#ports.chooseEngine(
      (name, reason) => told(name, reason, this.#engine?.secondsPerExample ?? 0),
      avoid,
    );
    const { engine, report, secondsPerExample } = this.#engine;
    post({ kind: 'engines', tried: report });
    told(engine.name, report.find((row) => row.state === 'used')?.reason ?? '', secondsPerExample);
    return engine;
  }

  /** Tells the page what is asked, then waits for the data, which is never kept, and for the person's answer. */
  async #site({ run }: Invitation, context: AnswerContext, signal: AbortSignal): Promise<SiteAnswer | null> {
    const { terms, consentedBefore } = context;
    const { task } = terms.plan;
    const { kind, text } = task;
    const label = 'label' in task ? task.label : null;
    const labels = labelsOf(terms.plan);
    this.#plan = terms.plan;
    const column = typeof text === 'string' ? text : text.join(', ');
    this.#ports.post({ kind: 'task', task: { run: run.id, text: column, kind, label, labels, consentedBefore } });
    if (!consentedBefore) return this.#decide(context, signal);
    return { policy: undefined, records: this.#records ?? (await this.#data.value(signal)) };
  }

  /** Waits for the person's answer, and holds their limits against the plan. */
  async #decide({ terms, spentEpsilon }: AnswerContext, signal: AbortSignal): Promise<SiteAnswer | null> {
    for (;;) {
      this.#answer.reset();
      const answer = await this.#answer.value(signal);
      if (answer === null) return null;
      const policy = ownPolicy(answer.limits, terms.plan);
      const objection = this.#records === null ? NO_DATA : objectionOf(policy, terms.plan, spentEpsilon);
      if (objection === undefined) return { policy, records: this.#records as readonly TextRecord[] };
      this.#ports.post({ kind: 'objection', problem: objection });
    }
  }

  async #read(files: readonly DroppedFile[], chosen: ChosenColumns | null): Promise<void> {
    const plan = this.#plan;
    if (plan === null) return;
    this.#ports.post({ kind: 'reading', files: files.length });
    const wanted = recordColumns(plan);
    const columns = chosen === null ? wanted : { ...wanted, ...chosenOf(wanted, chosen) };
    try {
      const { records, report } = await readFiles(files, columns);
      this.#records = records;
      const preview = records
        .slice(0, PREVIEW_ROWS)
        .map((r) => ({ place: r.id, label: r.label, text: r.text.slice(0, PREVIEW_CHARS) }));
      this.#ports.post({ kind: 'data', report, preview, files: files.map((f) => f.path) });
      this.#data.resolve(records);
    } catch (error) {
      this.#ports.post({ kind: 'dataProblem', problem: problemOf(error), columnsFound: await columnsFound(files) });
    }
  }
}

/** What was chosen for the columns that the plan has. */
function chosenOf({ label }: RecordColumns, chosen: ChosenColumns): Partial<ChosenColumns> {
  return label === undefined ? { text: chosen.text } : chosen;
}

/** After these the site's own ledger says something new. */
const ACCOUNT_CHANGES: readonly ParticipantEvent['kind'][] = ['consented', 'finished', 'refused'];
const PREVIEW_ROWS = 8;
const PREVIEW_CHARS = 240;

/** A value that somebody else will bring; the last one brought counts. */
class Waiting<T> {
  #resolve: (value: T) => void = () => {};
  #promise!: Promise<T>;

  constructor() {
    this.reset();
  }

  reset(): void {
    this.#promise = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  resolve(value: T): void {
    this.#resolve(value);
  }

  /** @throws the signal's reason when the session ends first */
  value(signal: AbortSignal): Promise<T> {
    const ended = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    return Promise.race([this.#promise, ended]);
  }
}

const NO_DATA: Problem = { code: 'DATA_EMPTY', message: 'no data is chosen yet' };

function objectionOf(policy: Policy, plan: Plan, spentEpsilon: number): Problem | undefined {
  try {
    enforcePolicy(policy, plan, spentEpsilon);
    return undefined;
  } catch (error) {
    return problemOf(error);
  }
}

/** The person's limits as a policy for this plan's data; what the form does not ask is fixed at what the plan says. */
function ownPolicy(limits: Limits, plan: Plan): Policy {
  return {
    maximumEpsilon: limits.maximumEpsilon,
    maximumDelta: plan.privacy.unit === 'none' ? 1e-9 : plan.privacy.delta,
    maximumEpsilonPerPeriod: limits.maximumEpsilon,
    minimumCohort: limits.minimumCohort,
    minimumColluders: plan.secureAggregation.colluders,
    maximumRounds: limits.maximumRounds,
    labels: [[...labelsOf(plan)]],
    scopes: [plan.privacy.scope],
  };
}

function problemOf(error: unknown): Problem {
  if (error instanceof TacitError) {
    return { code: error.code, message: error.message, ...(error.fix === undefined ? {} : { fix: error.fix }) };
  }
  return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) };
}
