import type { Logger } from 'pino';
import { type Clock, isoTime } from '../../shared/core/clock.ts';
import { TacitError } from '../../shared/core/errors.ts';
import type { Rng } from '../../shared/core/rng.ts';
import type { Signer } from '../../shared/core/signing.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { CoordinatorEvent, RunView } from '../../shared/protocol/views.ts';
import { EventLog } from '../../shared/store/log.ts';
import type { Store } from '../../shared/store/port.ts';
import type { BudgetBoard } from '../budgets/budget-board.ts';
import type { ModelLibrary } from '../models/models.ts';
import type { Announcements } from '../participants/announcements.ts';
import type { Participants } from '../participants/participants.ts';
import { GlobalModel } from '../rounds/global-model.ts';
import { RunDriver } from './run-driver.ts';
import { runEvent } from './run-events.ts';
import type { RunEvent } from './run-log.ts';
import type { RunPorts } from './run-ports.ts';
import { runView } from './run-view.ts';

export interface Run {
  readonly driver: RunDriver;
  /** Resolves when its driver has nothing more to do. */
  done: Promise<void>;
  /** Blobs that its participants may download. */
  readonly open: Set<string>;
}

interface RunsOptions {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly signer: Signer;
  readonly engine: Engine;
  readonly rng: Rng;
  readonly clock: Clock;
  readonly log: Logger;
  readonly participants: Participants;
  readonly models: ModelLibrary;
  readonly announcements: Announcements;
  readonly budgets: BudgetBoard;
}

/** Every run of this coordinator: starts its driver, gives the driver what it asks for, tells listeners what changed. */
export class Runs {
  readonly #o: RunsOptions;
  readonly #runs = new Map<string, Run>();
  readonly #listeners = new Set<(event: CoordinatorEvent) => void>();

  constructor(options: RunsOptions) {
    this.#o = options;
  }

  /** Goes on with every run in the store. */
  async resume(): Promise<void> {
    for (const stream of await this.#o.store.streams('run/')) {
      const { log, events } = await EventLog.open(this.#o.store, stream, runEvent);
      if (events.length > 0) await this.#start(log, events);
    }
  }

  /** A new run's first event, then the run. */
  async create(created: Extract<RunEvent, { type: 'created' }>): Promise<void> {
    const { log } = await EventLog.open(this.#o.store, `run/${created.id}`, runEvent);
    await log.append(created);
    await this.#start(log, [created]);
  }

  all(): readonly Run[] {
    return [...this.#runs.values()];
  }

  find(runId: string): Run | undefined {
    return this.#runs.get(runId);
  }

  /** @throws NOT_FOUND */
  known(runId: string): Run {
    const run = this.#runs.get(runId);
    if (run === undefined)
      throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'no such run', { where: runId.slice(0, 100) });
    return run;
  }

  view(driver: RunDriver): RunView {
    const { participants } = this.#o;
    const { id } = driver.record;
    return runView(driver.record, participants.enrolledIn(id), participants.connectedTo(id), driver);
  }

  subscribe(listener: (event: CoordinatorEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells listeners what a run looks like now. */
  changed(driver: RunDriver): void {
    this.#emit({ kind: 'run', run: this.view(driver) });
  }

  /** A line for those who watch. */
  tell(level: 'info' | 'warn' | 'error', text: string): void {
    this.#emit({ kind: 'log', at: isoTime(this.#o.clock), level, text });
  }

  async #start(log: EventLog<RunEvent>, events: readonly RunEvent[]): Promise<void> {
    const { store, engine, rng } = this.#o;
    const created = events[0] as Extract<RunEvent, { type: 'created' }>;
    const { terms } = created;
    const open = new Set<string>();
    const files = new Map<string, Uint8Array>();
    for (const file of terms.model) {
      open.add(file.sha256);
      files.set(file.name, await store.getBlob(file.sha256));
    }
    const model = new GlobalModel({ plan: terms.plan, files, engine, rng });
    const validation = model.encode(await store.getBlob(created.heldOut.validation));
    const driver = new RunDriver({ ports: this.#ports(created.id, open), log, events, model, validation });
    const run: Run = { driver, done: Promise.resolve(), open };
    this.#runs.set(created.id, run);
    if (driver.record.ended === undefined) run.done = driver.drive();
    if (driver.record.ended?.model) await this.#o.models.add(driver);
  }

  #ports(runId: string, open: Set<string>): RunPorts {
    const { store, ledger, clock, rng, signer, log, participants, announcements, budgets } = this.#o;
    const driver = (): RunDriver => this.known(runId).driver;
    return {
      store,
      ledger,
      charge: budgets.charge,
      clock,
      rng,
      signer,
      log,
      connected: () => participants.connectedTo(runId),
      allowDownload: (sha256) => void open.add(sha256),
      send: (clientId, name, payload) => participants.live(clientId)?.connection.send(name, payload),
      announceRoster: () => announcements.roster(driver().record),
      announceRound: (ended) => announcements.roundEnded(runId, ended),
      announceEnd: (index) => this.#ended(driver(), index),
      changed: (round) => {
        if (!this.#runs.has(runId)) return;
        if (round === undefined) this.changed(driver());
        else this.#emit({ kind: 'round', run: runId, round });
      },
    };
  }

  async #ended(driver: RunDriver, index: number): Promise<void> {
    await this.#o.ledger.checkpoint();
    if (driver.record.ended?.model) await this.#o.models.add(driver);
    const view = this.view(driver);
    await this.#o.announcements.runEnded(view, index);
    this.#emit({ kind: 'run', run: view });
  }

  #emit(event: CoordinatorEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
