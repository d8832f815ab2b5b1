import { isoTime } from '../../shared/core/clock.ts';
import { TacitError } from '../../shared/core/errors.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { SecaggFrame, SitOut } from '../../shared/protocol/messages.ts';
import { stageOfRound } from '../../shared/protocol/plan-stage.ts';
import type { RoundView } from '../../shared/protocol/views.ts';
import type { EventLog } from '../../shared/store/log.ts';
import { float32Bytes } from '../../shared/tensor/float32.ts';
import type { EncodedExample } from '../../shared/text/encode.ts';
import { CohortAssembly } from '../rounds/cohort.ts';
import {
  bestEvaluation,
  broughtBy,
  endsEarly,
  evaluateCandidate,
  evaluationDue,
  testReport,
} from '../rounds/evaluation.ts';
import type { GlobalModel } from '../rounds/global-model.ts';
import { optimizerSpec } from '../rounds/merge.ts';
import { freshOptimizer } from '../rounds/optimizer-state.ts';
import { rosterEntries, roundConfig } from '../rounds/round-config.ts';
import { RoundSession } from '../rounds/round-session.ts';
import { roundSummary } from '../rounds/round-summary.ts';
import { abort, close, release } from '../rounds/settle.ts';
import type { TestReport } from '../service.ts';
import { RunJournal } from './run-journal.ts';
import type { RunEvent, RunRecord } from './run-log.ts';
import type { RunPorts } from './run-ports.ts';

/** Drives one run from its plan to its published model, over restarts: everything it decides is an event first. */
export class RunDriver {
  readonly model: GlobalModel;
  readonly #p: RunPorts;
  readonly #journal: RunJournal;
  readonly #assembly: CohortAssembly;
  readonly #validation: readonly EncodedExample[];
  #session: RoundSession | undefined;
  #stopping: string | undefined;
  #suspended = false;

  constructor(options: {
    readonly ports: RunPorts;
    readonly log: EventLog<RunEvent>;
    readonly events: readonly RunEvent[];
    readonly model: GlobalModel;
    readonly validation: readonly EncodedExample[];
  }) {
    this.#p = options.ports;
    this.#journal = new RunJournal(options.ports, options.log, options.events);
    this.#assembly = new CohortAssembly(this.#journal);
    this.model = options.model;
    this.#validation = options.validation;
  }

  get record(): RunRecord {
    return this.#journal.record;
  }

  get session(): RoundSession | undefined {
    return this.#session;
  }

  append(event: RunEvent): Promise<void> {
    return this.#journal.append(event);
  }

  /** Ends the run at the next safe point: the round in progress is aborted. */
  stop(reason: string): void {
    this.#stopping = reason;
    this.#session?.cancel('RUN_STOPPED', reason);
  }

  /** Leaves everything as it is for the next start of the process. */
  suspend(): void {
    this.#suspended = true;
  }

  /** Runs until the run has ended or the process is about to. */
  async drive(): Promise<void> {
    try {
      await this.#loop();
    } catch (error) {
      if (this.#suspended) return;
      const reason =
        error instanceof TacitError ? error.toString() : 'INTERNAL: the coordinator failed; its log says why';
      this.#p.log.error({ err: error, run: this.record.id }, 'the run failed');
      await close(this.#journal, 'failed', reason);
    }
  }

  /** What a participant that just connected, or the round that just opened, has to say to the other. */
  greet(clientId: string): void {
    const frame = this.#session?.frameFor(clientId);
    if (frame !== undefined) this.#p.send(clientId, 'secagg', frame);
  }

  receive(clientId: string, frame: SecaggFrame): Promise<void> {
    if (this.#session === undefined)
      throw new TacitError<ProtocolErrorCode>('ROUND_CLOSED', 'no round is open', { where: frame.name });
    return this.#session.receive(clientId, frame);
  }

  /** A client cannot train in a round: nobody waits for it, and it is not counted on for as long as it says. */
  sitOut(clientId: string, { round, attempt, retryAfterMs }: SitOut): void {
    this.#assembly.rest(clientId, retryAfterMs);
    const config = this.#session?.config;
    if (config?.round === round && config.attempt === attempt) this.#session?.gone(clientId);
  }

  /** What the run waits for between two rounds, in words. */
  get waiting(): string | undefined {
    return this.#assembly.waiting;
  }

  /** The round in progress as it is shown. */
  currentRound(): RoundView | undefined {
    return this.#session && roundSummary(this.#session);
  }

  /** The finished run on JSON Lines that nothing was chosen on. @throws RUN_NOT_FINISHED, DATA_* */
  testReport(test: Uint8Array): Promise<TestReport> {
    return testReport(this.#journal, this.model, this.model.encode(test));
  }

  async #loop(): Promise<void> {
    while (this.record.ended === undefined && !this.#suspended) {
      if (this.#stopping !== undefined) {
        await close(this.#journal, 'stopped', this.#stopping);
        return;
      }
      const stage = stageOfRound(this.record.terms.plan.stages, this.record.roundsCounted);
      if (stage === undefined || endsEarly(this.record)) {
        await this.#finish();
        return;
      }
      if (stage !== this.record.stage) await this.#startStage(stage);
      await this.#round(stage);
    }
  }

  async #startStage(stage: number): Promise<void> {
    const { store, clock } = this.#p;
    const carried = await this.#carriedInto();
    const { flat, overlay } = await this.model.start(stage, await this.#journal.load(carried));
    const overlays = overlay === undefined ? carried : [...carried, await store.putBlob(overlay)];
    const iterate = await store.putBlob(float32Bytes(flat));
    const pointer = {
      iterate,
      candidate: iterate,
      optimizer: await freshOptimizer(store, optimizerSpec(this.#journal.planStage(stage), 0)),
    };
    if (stage === 0) await this.#evaluate({ stage, overlays, candidate: iterate, round: 0 });
    await this.append({ type: 'stageStarted', stage, at: isoTime(clock), overlays, carried, model: pointer });
  }

  /** Overlays that the next stage starts from: what the best evaluated round so far brought. */
  async #carriedInto(): Promise<readonly string[]> {
    const best = bestEvaluation(this.record);
    if (best === undefined || best.round === 0) return [];
    return [await this.#p.store.putBlob(await broughtBy(this.#journal, this.model, best))];
  }

  async #round(stage: number): Promise<void> {
    const { open } = this.record;
    const session = open === undefined ? await this.#openRound(stage) : await this.#reopenRound(open);
    if (session === undefined) return;
    this.#session = session;
    this.#p.changed(this.currentRound());
    for (const clientId of this.#p.connected()) this.greet(clientId);
    const outcome = await session.outcome;
    if (this.#suspended) return;
    if (outcome.kind === 'summed') {
      await release(this.#journal, session, outcome);
      await this.#evaluateWhenDue(stage);
    } else await abort(this.#journal, session, outcome);
    this.#session = undefined;
  }

  async #openRound(stage: number): Promise<RoundSession | undefined> {
    const cohort = await this.#assembly.assemble(() => this.#stopping !== undefined || this.#suspended);
    if (cohort === undefined) return undefined;
    const round = this.record.roundsCounted + 1;
    const attempt = this.record.rounds.filter((r) => r.round === round).length + 1;
    const roster = rosterEntries(this.record);
    const rosterHash = await this.#p.announceRoster();
    const config = await roundConfig(this.#journal, { stage, round, attempt, cohort, roster });
    await this.append({ type: 'roundStarted', at: isoTime(this.#p.clock), round, stage, attempt, cohort, rosterHash });
    return RoundSession.open(this.#roundPorts(), config, roster);
  }

  /** A session that was going on when the process ended: its configuration is in its own stream. */
  async #reopenRound(open: NonNullable<RunRecord['open']>): Promise<RoundSession> {
    const roster = rosterEntries(this.record);
    await this.#p.announceRoster();
    const config = await roundConfig(this.#journal, { ...open, roster });
    this.#p.log.warn({ run: this.record.id, round: open.round }, 'resuming the round that was open');
    return RoundSession.open(this.#roundPorts(), config, roster);
  }

  async #evaluateWhenDue(stage: number): Promise<void> {
    if (!evaluationDue(this.record, stage)) return;
    const { overlays } = this.record.stages[stage] as RunRecord['stages'][number];
    await this.#evaluate({
      stage,
      overlays,
      candidate: this.#journal.model.candidate,
      round: this.record.roundsCounted,
    });
  }

  #evaluate(at: Parameters<typeof evaluateCandidate>[3]): Promise<void> {
    return evaluateCandidate(this.#journal, this.model, this.#validation, at);
  }

  async #finish(): Promise<void> {
    const best = bestEvaluation(this.record);
    if (best === undefined) throw new TacitError('RUN_NOT_EVALUATED', 'no round was evaluated');
    const overlay = await this.#p.store.putBlob(await broughtBy(this.#journal, this.model, best));
    await close(this.#journal, 'finished', null, overlay);
  }

  #roundPorts() {
    const { store, clock, signer, log } = this.#p;
    return {
      store,
      clock,
      signer,
      send: (clientId: string, frame: SecaggFrame) => this.#p.send(clientId, 'secagg', frame),
      ejected: (clientId: string, code: string, reason: string) =>
        log.warn({ clientId, code, reason }, 'a participant lost its seat in this round'),
      changed: () => this.#p.changed(this.currentRound()),
    };
  }
}
