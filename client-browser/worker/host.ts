import type { Clock } from '../../shared/core/clock.ts';
import { TacitError } from '../../shared/core/errors.ts';
import type { Rng } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { ParticipantEvent } from '../../shared/participant/events.ts';
import { ParticipantMemory } from '../../shared/participant/memory.ts';
import { enforcePolicy, type Policy } from '../../shared/participant/policy.ts';
import type { ParticipantOptions } from '../../shared/participant/session.ts';
import type { TrainerFactory } from '../../shared/participant/trainer.ts';
import type { ParticipantTransport } from '../../shared/participant/transport.ts';
import { clientIdOf, type Welcome } from '../../shared/protocol/messages.ts';
import type { Plan } from '../../shared/protocol/plan.ts';
import type { Store } from '../../shared/store/port.ts';
import type { TextRecord } from '../../shared/text/records.ts';
import type { ChosenEngine } from './engines.ts';
import type { Identity } from './identity.ts';
import type { ChosenColumns, DroppedFile, FromWorker, Limits, Problem, ToWorker } from './messages.ts';
import { columnsFound, readFiles } from './read-files.ts';

/** Everything outside the worker's own decisions. */
export interface HostPorts {
  post(message: FromWorker): void;
  /** shared/participant/session.ts */
  runParticipant(options: ParticipantOptions): AsyncIterable<ParticipantEvent>;
  /** Trains on these records with this engine. */
  trainerOf(records: readonly TextRecord[], engine: Engine): TrainerFactory;
  /** The engine to train with; `onSwitch` when it failed and another one went on. @throws ENGINE_NONE */
  chooseEngine(onSwitch: (name: string, reason: string) => void): Promise<ChosenEngine>;
  openStore(): Promise<Store>;
  openIdentity(): Promise<Identity>;
  openTransport(url: string): ParticipantTransport;
  /** Holds this browser's one seat until `release`, or returns undefined when another tab has it. */
  takeSeat(): Promise<(() => void) | undefined>;
  deleteEverything(): Promise<void>;
  readonly rng: Rng;
  readonly clock: Clock;
}

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
        if (this.#abort === null) this.#start(message.link, message.organisation);
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
      case 'forget':
        await this.#end();
        await this.#ports.deleteEverything();
        return this.#ports.post({ kind: 'forgotten' });
    }
  }

  #start(link: string, organisation: string): void {
    const abort = new AbortController();
    this.#abort = abort;
    this.#ended = this.#session(link, organisation, abort.signal)
      .catch((error: unknown) => this.#ports.post({ kind: 'workerFailed', problem: problemOf(error) }))
      .finally(() => {
        if (this.#abort === abort) this.#abort = null;
      });
  }

  async #end(): Promise<void> {
    this.#abort?.abort();
    this.#answer.resolve(null);
    await this.#ended;
    this.#answer.reset();
  }

  async #session(link: string, organisation: string, signal: AbortSignal): Promise<void> {
    const release = await this.#ports.takeSeat();
    if (release === undefined) throw new TacitError('TAB_OPEN', 'another tab of this browser takes part already');
    const store = await this.#ports.openStore();
    try {
      await this.#converse(link, organisation, signal, store);
    } finally {
      await store.close();
      release();
    }
  }

  async #converse(link: string, organisation: string, signal: AbortSignal, store: Store): Promise<void> {
    const { post, rng, clock } = this.#ports;
    const identity = await this.#ports.openIdentity();
    post({ kind: 'identity', clientId: clientIdOf(identity.signer.publicKey), sealed: identity.sealed });
    const engine = await this.#chooseEngine();
    const records = (): readonly TextRecord[] => this.#records ?? [];
    const policy = (): Policy | undefined => (this.#plan === null ? undefined : askablePolicy(this.#plan));
    const events = this.#ports.runParticipant({
      link,
      organisation,
      get policy() {
        return policy();
      },
      get records() {
        return records().length;
      },
      engineName: engine.name,
      createTrainer: (...args) => this.#ports.trainerOf(records(), engine)(...args),
      decide: () => this.#decide(store, signal),
      transport: (url) => this.#wire(this.#ports.openTransport(url), store, signal),
      signer: identity.signer,
      store,
      rng,
      clock,
      signal,
    });
    for await (const event of events) post({ kind: 'session', event });
  }

  async #chooseEngine(): Promise<Engine> {
    const { post } = this.#ports;
    const told = (name: string, reason: string, secondsPerExample: number): void =>
      post({ kind: 'session', event: { kind: 'engine', name, reason, secondsPerExample } });
    this.#engine ??= await this.#ports.chooseEngine((name, reason) =>
      told(name, reason, this.#engine?.secondsPerExample ?? 0),
    );
    const { engine, report, secondsPerExample } = this.#engine;
    post({ kind: 'engines', tried: report });
    told(engine.name, report.find((row) => row.state === 'used')?.reason ?? '', secondsPerExample);
    return engine;
  }

  /** The same wire; a welcome to a run that was consented to before waits here for the data, which was not kept. */
  #wire(transport: ParticipantTransport, store: Store, signal: AbortSignal): ParticipantTransport {
    return {
      ...transport,
      request: async (name, payload) => {
        const answer = await transport.request(name, payload);
        if (name === 'hello') await this.#welcomed(answer as Welcome, store, signal);
        return answer;
      },
    };
  }

  async #welcomed({ run, terms }: Welcome, store: Store, signal: AbortSignal): Promise<void> {
    this.#plan = terms.plan;
    const memory = await ParticipantMemory.open(store);
    const consentedBefore = memory.consent(run.id) !== undefined;
    const { text, label, labels } = terms.plan.task;
    this.#ports.post({ kind: 'task', task: { run: run.id, text, label, labels, consentedBefore } });
    if (consentedBefore && this.#records === null) await this.#data.value(signal);
  }

  /** Waits for the person's answer, and holds their limits against the plan. */
  async #decide(store: Store, signal: AbortSignal): Promise<boolean> {
    const plan = this.#plan as Plan;
    for (;;) {
      this.#answer.reset();
      const answer = await this.#answer.value(signal);
      if (answer === null) return false;
      const objection = this.#records === null ? NO_DATA : await this.#objection(plan, answer.limits, store);
      if (objection === undefined) return true;
      this.#ports.post({ kind: 'objection', problem: objection });
    }
  }

  async #objection(plan: Plan, limits: Limits, store: Store): Promise<Problem | undefined> {
    const { scope, period } = plan.privacy;
    const spent = (await ParticipantMemory.open(store)).agreedEpsilon(scope, period);
    try {
      enforcePolicy(ownPolicy(limits, plan), plan, spent);
      return undefined;
    } catch (error) {
      return problemOf(error);
    }
  }

  async #read(files: readonly DroppedFile[], chosen: ChosenColumns | null): Promise<void> {
    const task = this.#plan?.task;
    if (task === undefined) return;
    this.#ports.post({ kind: 'reading', files: files.length });
    const { text, label } = chosen ?? task;
    try {
      const { records, report } = await readFiles(files, { text, label, labels: task.labels });
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

/**
 * What the session may ask the person about: this plan, whatever it says. On a page nothing is decided before the
 * person has read the plan, so their own limits are enforced in `decide`, by the same rules.
 */
function askablePolicy(plan: Plan): Policy {
  return {
    maximumEpsilon: 1000,
    maximumDelta: 0.0099,
    maximumEpsilonPerPeriod: 10_000,
    minimumCohort: 3,
    minimumColluders: 0,
    maximumRounds: 1_000_000,
    scopes: [plan.privacy.scope],
  };
}

/** The person's limits as a policy for this plan's data; what the form does not ask is fixed at what the plan says. */
function ownPolicy(limits: Limits, plan: Plan): Policy {
  return {
    maximumEpsilon: limits.maximumEpsilon,
    maximumDelta: plan.privacy.delta,
    maximumEpsilonPerPeriod: limits.maximumEpsilon,
    minimumCohort: limits.minimumCohort,
    minimumColluders: plan.secureAggregation.colluders,
    maximumRounds: limits.maximumRounds,
    labels: [[...plan.task.labels]],
    scopes: [plan.privacy.scope],
  };
}

function problemOf(error: unknown): Problem {
  if (error instanceof TacitError) {
    return { code: error.code, message: error.message, ...(error.fix === undefined ? {} : { fix: error.fix }) };
  }
  return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) };
}
