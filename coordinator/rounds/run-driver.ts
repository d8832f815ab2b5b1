import type { Logger } from 'pino';
import { meanUpdate } from '../../shared/aggregation/fedavg.ts';
import { createIterateAverage } from '../../shared/aggregation/iterate-average.ts';
import { createServerOptimizer, type ServerOptimizerSpec } from '../../shared/aggregation/server-optimizers.ts';
import { base64, fromHex } from '../../shared/core/bytes.ts';
import { type Clock, isoTime } from '../../shared/core/clock.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import { LIMITS } from '../../shared/core/limits.ts';
import { type Rng, shuffle } from '../../shared/core/rng.ts';
import type { Signer } from '../../shared/core/signing.ts';
import type { BudgetBook } from '../../shared/ledger/budget-book.ts';
import { decimal } from '../../shared/ledger/decimal.ts';
import { assertDurable, type Durable } from '../../shared/ledger/durable.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import { checkCohort } from '../../shared/privacy/claims.ts';
import { decode } from '../../shared/privacy/mechanism.ts';
import { epsilonAfter, stageMechanism } from '../../shared/protocol/commitment.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { SecaggFrame } from '../../shared/protocol/messages.ts';
import { type PlanStage, trainInWords } from '../../shared/protocol/plan.ts';
import type { Terms } from '../../shared/protocol/terms.ts';
import type { RoundView } from '../../shared/protocol/views.ts';
import { encodeWeightsManifest } from '../../shared/protocol/weights-manifest.ts';
import {
  rosterHash as pinnedRosterHash,
  type RosterEntry,
  type SecaggConfig,
  survivorsHash,
} from '../../shared/secagg/messages.ts';
import { sharingParameters } from '../../shared/secagg/parameters.ts';
import type { EventLog } from '../../shared/store/log.ts';
import type { Store } from '../../shared/store/port.ts';
import { bytesToFloat32, float32Bytes } from '../../shared/tensor/float32.ts';
import type { EncodedExample } from '../../shared/text/encode.ts';
import type { Metrics } from '../../shared/training/metrics.ts';
import type { TestReport, TestScore } from '../service.ts';
import type { GlobalModel } from './global-model.ts';
import { decodeOptimizerState, encodeOptimizerState } from './optimizer-state.ts';
import { type RoundOutcome, RoundSession } from './round-session.ts';
import {
  type ConsentedClient,
  foldRun,
  type ModelPointer,
  type RunEvent,
  type RunRecord,
  stageOfRound,
} from './run-log.ts';

/** What a run asks of the rest of the coordinator. */
export interface RunPorts {
  readonly store: Store;
  readonly ledger: Ledger;
  /** Appends an entry that spends or settles budget; the budgets shown are those after it. */
  readonly charge: BudgetBook['append'];
  readonly clock: Clock;
  readonly rng: Rng;
  readonly signer: Signer;
  readonly log: Logger;
  /** Participants of this run whose connection is open. */
  connected(): ReadonlySet<string>;
  send(clientId: string, name: string, payload: unknown): void;
  /** Tells everyone connected that a round ended, with the proof of entry `index`. */
  announceRound(ended: {
    readonly round: number;
    readonly attempt: number;
    readonly outcome: 'released' | 'aborted';
    readonly reason: string | null;
    readonly index: number;
  }): Promise<void>;
  /** Makes the roster of everyone who consented an entry when it is news, and sends it to those who have not seen it. Its hash. */
  announceRoster(): Promise<string>;
  /** Tells everyone connected that the run is over, with the proof of its last entry. */
  announceEnd(index: number): Promise<void>;
  /** Participants of this run may download this blob from now on. */
  allowDownload(sha256: string): void;
  changed(round?: RoundView): void;
}

/** A merged model that nobody may see before its ledger entry is durable: {@link RunDriver} has no other way to publish. */
interface Merged {
  readonly pointer: ModelPointer;
  readonly hash: string;
}

const WAIT_MS = 100;

/** Drives one run from its plan to its published model, over restarts: everything it decides is an event first. */
export class RunDriver {
  readonly #p: RunPorts;
  readonly #log: EventLog<RunEvent>;
  readonly #model: GlobalModel;
  readonly #validation: readonly EncodedExample[];
  #record: RunRecord;
  #session: RoundSession | undefined;
  #stopping: string | undefined;
  #suspended = false;
  readonly #blobs = new Map<string, Uint8Array>();

  constructor(options: {
    readonly ports: RunPorts;
    readonly log: EventLog<RunEvent>;
    readonly events: readonly RunEvent[];
    readonly model: GlobalModel;
    readonly validation: readonly EncodedExample[];
  }) {
    this.#p = options.ports;
    this.#log = options.log;
    this.#model = options.model;
    this.#validation = options.validation;
    this.#record = options.events.reduce<RunRecord | undefined>(foldRun, undefined) as RunRecord;
  }

  get record(): RunRecord {
    return this.#record;
  }

  get session(): RoundSession | undefined {
    return this.#session;
  }

  get model(): GlobalModel {
    return this.#model;
  }

  async append(event: RunEvent): Promise<void> {
    await this.#log.append(event);
    this.#record = foldRun(this.#record, event);
    this.#p.changed();
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
      this.#p.log.error({ err: error, run: this.#record.id }, 'the run failed');
      await this.#close('failed', reason);
    }
  }

  async #loop(): Promise<void> {
    while (this.#record.ended === undefined && !this.#suspended) {
      if (this.#stopping !== undefined) {
        await this.#close('stopped', this.#stopping);
        return;
      }
      const stage = stageOfRound(this.#record.terms, this.#record.roundsCounted);
      if (stage === undefined) {
        await this.#finish();
        return;
      }
      if (stage !== this.#record.stage) await this.#startStage(stage);
      await this.#round(stage);
    }
  }

  async #startStage(stage: number): Promise<void> {
    const carried = await this.#carriedInto();
    const carriedBytes = await this.#load(carried);
    const { flat, overlay } = await this.#model.start(stage, carriedBytes);
    const overlays = overlay === undefined ? carried : [...carried, await this.#p.store.putBlob(overlay)];
    const iterate = await this.#p.store.putBlob(float32Bytes(flat));
    const optimizer = createServerOptimizer(optimizerSpec(this.#planStage(stage)));
    const pointer = {
      iterate,
      candidate: iterate,
      optimizer: await this.#p.store.putBlob(encodeOptimizerState(optimizer.state())),
    };
    if (stage === 0) await this.#evaluate(stage, overlays, iterate, 0);
    await this.append({ type: 'stageStarted', stage, at: isoTime(this.#p.clock), overlays, carried, model: pointer });
  }

  /** Overlays that the next stage starts from: what the best evaluated round so far brought. */
  async #carriedInto(): Promise<readonly string[]> {
    const best = bestEvaluation(this.#record);
    if (best === undefined || best.round === 0) return [];
    return [await this.#p.store.putBlob(await this.#broughtBy(best))];
  }

  async #broughtBy(evaluation: RunRecord['evaluations'][number]): Promise<Uint8Array> {
    const { overlays } = this.#record.stages[evaluation.stage] as RunRecord['stages'][number];
    return this.#model.brought(
      evaluation.stage,
      await this.#load(overlays),
      await this.#vector(evaluation.candidate, evaluation.stage),
    );
  }

  async #round(stage: number): Promise<void> {
    const { open } = this.#record;
    const session = open === undefined ? await this.#openRound(stage) : await this.#reopenRound(open);
    if (session === undefined) return;
    this.#session = session;
    this.#p.changed(this.currentRound());
    for (const clientId of this.#p.connected()) this.greet(clientId);
    const outcome = await session.outcome;
    if (this.#suspended) return;
    if (outcome.kind === 'summed') await this.#release(stage, session, outcome);
    else await this.#abort(stage, session, outcome);
    this.#session = undefined;
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

  async #openRound(stage: number): Promise<RoundSession | undefined> {
    const cohort = await this.#assembleCohort();
    if (cohort === undefined) return undefined;
    const round = this.#record.roundsCounted + 1;
    const attempt = this.#record.rounds.filter((r) => r.round === round).length + 1;
    const roster = [...this.#record.consented.values()];
    const rosterHash = await this.#p.announceRoster();
    const config = await this.#config(stage, round, attempt, cohort);
    await this.append({ type: 'roundStarted', at: isoTime(this.#p.clock), round, stage, attempt, cohort, rosterHash });
    return RoundSession.open(this.#roundPorts(), config, rosterEntries(roster));
  }

  /** A session that was going on when the process ended: its configuration is in its own stream. */
  async #reopenRound(open: NonNullable<RunRecord['open']>): Promise<RoundSession> {
    const roster = [...this.#record.consented.values()];
    await this.#p.announceRoster();
    const config = await this.#config(open.stage, open.round, open.attempt, open.cohort);
    this.#p.log.warn({ run: this.#record.id, round: open.round }, 'resuming the round that was open');
    return RoundSession.open(this.#roundPorts(), config, rosterEntries(roster));
  }

  /** Waits for enough participants. Undefined when the run is to stop. @throws COHORT_TOO_SMALL after the plan's join deadline */
  async #assembleCohort(): Promise<readonly string[] | undefined> {
    const { plan } = this.#record.terms;
    const until = this.#p.clock.now() + plan.deadlines.join;
    const first = this.#record.roundsCounted === 0;
    const wanted = first ? plan.clients.minimum : Math.max(5, plan.secureAggregation.minimumCohort);
    for (;;) {
      if (this.#stopping !== undefined || this.#suspended) return undefined;
      const connected = this.#p.connected();
      const ready = [...this.#record.consented.keys()].filter((id) => connected.has(id));
      if (ready.length >= wanted)
        return shuffle(this.#p.rng, ready).slice(0, plan.secureAggregation.maximumCohort).sort();
      if (this.#p.clock.now() > until) {
        throw new TacitError<ProtocolErrorCode>(
          'COHORT_TOO_SMALL',
          `${ready.length} of ${wanted} participants are here after ${plan.deadlines.join / 1000} s`,
          {
            where: `round ${this.#record.roundsCounted + 1}`,
            fix: 'Bring the others back and create the run again, or raise deadlines.join.',
          },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    }
  }

  async #config(stage: number, round: number, attempt: number, cohort: readonly string[]): Promise<SecaggConfig> {
    const { terms, id, stages, model } = this.#record;
    const { plan } = terms;
    const { colluders, minimumCohort, ringBits } = plan.secureAggregation;
    const threshold = Math.floor((cohort.length + colluders) / 2) + 1;
    const needed = Math.max(minimumCohort, threshold);
    const sharing = sharingParameters({ cohortSize: cohort.length, colluders, minimumCohort: needed });
    const stageTerms = terms.stages[stage] as Terms['stages'][number];
    const overlays = (stages[stage] as RunRecord['stages'][number]).overlays;
    const trainable = (model as ModelPointer).iterate;
    const weightsSha256 = await this.#p.store.putBlob(encodeWeightsManifest({ overlays: [...overlays], trainable }));
    for (const sha256 of [weightsSha256, trainable, ...overlays]) this.#p.allowDownload(sha256);
    const { phase, training } = plan.deadlines;
    return {
      protocol: 'secagg/1',
      run: id,
      round,
      attempt,
      stage,
      rosterHash: pinnedRosterHash(rosterEntries([...this.#record.consented.values()])),
      cohort: [...cohort],
      weightsSha256,
      layoutSha256: stageTerms.layoutSha256,
      ledger: await this.#planProof(),
      dimension: stageTerms.dimension,
      ringBits: ringBits as 32,
      scale: stageTerms.scale,
      l2Clip: this.#planStage(stage).l2Clip,
      localSigma: stageTerms.localSigma,
      minimumCohort: needed,
      colluders,
      threshold: sharing.threshold,
      degree: sharing.degree,
      deadlines: {
        advertiseMs: training + phase,
        sharesMs: phase,
        maskedMs: phase,
        consistentMs: phase,
        unmaskMs: phase,
      },
      chunkBytes: LIMITS.chunkBytes,
    };
  }

  async #planProof(): Promise<SecaggConfig['ledger']> {
    const { ledger } = this.#p;
    const checkpoint = await ledger.checkpoint();
    const index = this.#record.planLedgerIndex;
    return { index, checkpoint, inclusion: ledger.inclusionProof(index, ledger.signedSize).map(base64) };
  }

  /** Sum → mean → server step → entry → publication, in that order only. */
  async #release(
    stage: number,
    session: RoundSession,
    outcome: Extract<RoundOutcome, { kind: 'summed' }>,
  ): Promise<void> {
    const started = this.#p.clock.now();
    const { terms, id, reservation } = this.#record;
    const { config } = session;
    const mechanism = stageMechanism(terms, stage);
    checkCohort(outcome.survivors.length, mechanism);
    const merged = await this.#merge(stage, outcome);
    const receipt = await this.#p.charge(
      {
        kind: 'round.release',
        run: id,
        round: config.round,
        stage,
        attempt: config.attempt,
        reservation,
        sid: outcome.sid,
        survivors: outcome.survivors.length,
        survivorsHash: survivorsHash(outcome.sid, outcome.survivors),
        rosterHash: (this.#record.open as NonNullable<RunRecord['open']>).rosterHash,
        aggregateHash: sha256Hex(new Uint8Array(outcome.sum.buffer)),
        previousModelHash: (this.#record.model as ModelPointer).iterate,
        modelHash: merged.hash,
        epsilonSoFar: decimal(epsilonAfter(terms, this.#record.roundsCounted + 1)),
      },
      `release/${id}/${config.round}`,
    );
    const summary = this.#summaryOf(
      session,
      'done',
      null,
      receipt.index,
      (this.#p.clock.now() - started) / 1000,
      merged.hash,
    );
    await this.#publish(merged, receipt, summary);
    await session.deleteUploads();
    await this.#p.announceRound({
      round: config.round,
      attempt: config.attempt,
      outcome: 'released',
      reason: null,
      index: receipt.index,
    });
    await this.#evaluateWhenDue(stage);
  }

  async #merge(stage: number, outcome: Extract<RoundOutcome, { kind: 'summed' }>): Promise<Merged> {
    const { terms, consented, iterates } = this.#record;
    const plan = this.#planStage(stage);
    const pointer = this.#record.model as ModelPointer;
    const records = outcome.survivors.reduce((n, id) => n + (consented.get(id) as ConsentedClient).records, 0);
    const mean = meanUpdate(
      decode(outcome.sum, stageMechanism(terms, stage)),
      plan.samplingProbability * records,
      plan.l2Clip,
    );
    const optimizer = createServerOptimizer(
      optimizerSpec(plan),
      decodeOptimizerState(await this.#p.store.getBlob(pointer.optimizer)),
    );
    const weights = optimizer.step(await this.#vector(pointer.iterate, stage), mean);
    const window: Float32Array[] = [];
    for (const sha256 of iterates.slice(-(plan.server.average - 1)).slice(0, plan.server.average - 1))
      window.push(await this.#vector(sha256, stage));
    const average = createIterateAverage(plan.server.average, window);
    average.push(weights);
    const iterate = await this.#p.store.putBlob(float32Bytes(weights));
    const candidate = await this.#p.store.putBlob(float32Bytes(average.mean()));
    return {
      hash: iterate,
      pointer: { iterate, candidate, optimizer: await this.#p.store.putBlob(encodeOptimizerState(optimizer.state())) },
    };
  }

  /** The only place where a merged model becomes the one that participants are sent. */
  async #publish(merged: Merged, receipt: Durable<'round.release'>, summary: RoundView): Promise<void> {
    assertDurable(receipt, 'round.release');
    if (receipt.entry.modelHash !== merged.hash) throw new Error('the receipt is of another model');
    await this.append({ type: 'released', at: isoTime(this.#p.clock), summary, model: merged.pointer });
    this.#p.changed(summary);
  }

  async #abort(
    stage: number,
    session: RoundSession,
    outcome: Extract<RoundOutcome, { kind: 'aborted' }>,
  ): Promise<void> {
    const { id, reservation } = this.#record;
    const { round, attempt } = session.config;
    const reason = `${outcome.code}: ${outcome.reason}`;
    const receipt = await this.#p.charge(
      {
        kind: 'round.abort',
        run: id,
        round,
        stage,
        attempt,
        reservation,
        sid: outcome.sid,
        code: outcome.code,
        reason: outcome.reason,
        revealed: outcome.revealed,
      },
      `abort/${id}/${round}.${attempt}`,
    );
    const summary = this.#summaryOf(session, 'aborted', reason, receipt.index, 0, null);
    await this.append({ type: 'roundAborted', at: isoTime(this.#p.clock), summary, counted: outcome.revealed });
    this.#p.changed(summary);
    await session.deleteUploads();
    await this.#p.announceRound({ round, attempt, outcome: 'aborted', reason, index: receipt.index });
  }

  async #evaluateWhenDue(stage: number): Promise<void> {
    const { terms, roundsCounted, model, stages } = this.#record;
    const last = stageOfRound(terms, roundsCounted) !== stage;
    if (!last && roundsCounted % terms.plan.evaluation.every !== 0) return;
    await this.#evaluate(
      stage,
      (stages[stage] as RunRecord['stages'][number]).overlays,
      (model as ModelPointer).candidate,
      roundsCounted,
    );
  }

  async #evaluate(stage: number, overlays: readonly string[], candidate: string, round: number): Promise<void> {
    const flat = await this.#vector(candidate, stage);
    const metrics = await this.#model.evaluate(stage, await this.#load(overlays), flat, this.#validation);
    const { loss, accuracy, f1, examples } = metrics;
    await this.append({ type: 'evaluated', candidate, evaluation: { round, stage, loss, accuracy, f1, examples } });
  }

  /** An evaluated model on other text. */
  async scoreOn(evaluation: RunRecord['evaluations'][number], examples: readonly EncodedExample[]): Promise<Metrics> {
    const { overlays } = this.#record.stages[evaluation.stage] as RunRecord['stages'][number];
    const flat = await this.#vector(evaluation.candidate, evaluation.stage);
    return this.#model.evaluate(evaluation.stage, await this.#load(overlays), flat, examples);
  }

  async #finish(): Promise<void> {
    const best = bestEvaluation(this.#record);
    if (best === undefined) throw new TacitError('RUN_NOT_EVALUATED', 'no round was evaluated');
    const overlay = await this.#p.store.putBlob(await this.#broughtBy(best));
    await this.#close('finished', null, overlay);
  }

  /** The budget is settled in the ledger before the end of the run is an event, and before a model is offered. */
  async #close(outcome: 'finished' | 'stopped' | 'failed', reason: string | null, overlay?: string): Promise<void> {
    const { id, reservation, terms, rounds } = this.#record;
    const released = rounds.filter((r) => r.phase === 'done').length;
    const revealed = this.#record.roundsCounted > 0 || this.#record.open !== undefined;
    const { index } = await this.#p.charge(
      {
        kind: 'plan.close',
        run: id,
        reservation,
        outcome,
        reason,
        revealed,
        epsilon: revealed ? decimal(terms.plan.privacy.epsilon) : '0',
        delta: revealed ? decimal(terms.plan.privacy.delta) : '0',
        roundsReleased: released,
        modelHash: overlay ?? null,
      },
      `plan.close/${id}`,
    );
    const at = isoTime(this.#p.clock);
    if (outcome === 'finished') await this.append({ type: 'finished', at, model: overlay as string });
    else await this.append({ type: outcome, at, reason: reason ?? outcome });
    await this.#p.announceEnd(index);
  }

  /** The round in progress as it is shown. */
  currentRound(): RoundView | undefined {
    const session = this.#session;
    if (session === undefined) return undefined;
    const { phase } = session.summary();
    return this.#summaryOf(session, phase, null, null, 0, null);
  }

  #summaryOf(
    session: RoundSession,
    phase: RoundView['phase'],
    reason: string | null,
    ledgerIndex: number | null,
    mergeSeconds: number,
    modelHash: string | null,
  ): RoundView {
    const { funnel, seconds, bytesUpPerClient } = session.summary();
    const { round, stage, attempt, dimension } = session.config;
    return {
      round,
      stage,
      attempt,
      phase,
      reason,
      funnel,
      seconds: mergeSeconds === 0 ? seconds : { ...seconds, merge: mergeSeconds },
      bytesUpPerClient,
      bytesDownPerClient: dimension * 4,
      modelHash,
      ledgerIndex,
    };
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

  #planStage(stage: number): PlanStage {
    return this.#record.terms.plan.stages[stage] as PlanStage;
  }

  async #vector(sha256: string, stage: number): Promise<Float32Array> {
    const { dimension } = this.#record.terms.stages[stage] as Terms['stages'][number];
    return bytesToFloat32(await this.#p.store.getBlob(sha256), dimension);
  }

  async #load(hashes: readonly string[]): Promise<Uint8Array[]> {
    const out: Uint8Array[] = [];
    for (const sha256 of hashes) {
      const bytes = this.#blobs.get(sha256) ?? (await this.#p.store.getBlob(sha256));
      this.#blobs.set(sha256, bytes);
      out.push(bytes);
    }
    return out;
  }
}

/** The best on validation: accuracy, then loss. The round before training counts, so that "nothing helped" can be the answer. */
export function bestEvaluation(record: RunRecord, stage?: number): RunRecord['evaluations'][number] | undefined {
  const of = record.evaluations.filter((e) => stage === undefined || (e.stage === stage && e.round > 0));
  return of.reduce<RunRecord['evaluations'][number] | undefined>((best, e) => {
    if (best === undefined || e.accuracy > best.accuracy || (e.accuracy === best.accuracy && e.loss < best.loss))
      return e;
    return best;
  }, undefined);
}

function rosterEntries(clients: readonly ConsentedClient[]): RosterEntry[] {
  return clients.map(({ clientId, publicKey }) => ({ clientId, publicKey: fromHex(publicKey) }));
}

function optimizerSpec({ server }: PlanStage): ServerOptimizerSpec {
  const { optimizer, learningRate, momentum } = server;
  return { optimizer, learningRate, momentum };
}

/** The run on held-out test text that nothing was chosen on. @throws RUN_NOT_FINISHED */
export async function testReport(driver: RunDriver, test: readonly EncodedExample[]): Promise<TestReport> {
  const { record, model } = driver;
  if (record.ended?.model == null) {
    throw new TacitError('RUN_NOT_FINISHED', 'the run has published no model', {
      where: record.id,
      fix: 'Wait for its end.',
    });
  }
  const score = async (evaluation: RunRecord['evaluations'][number]): Promise<TestScore> => {
    const { accuracy, f1, loss } = await driver.scoreOn(evaluation, test);
    return { accuracy, f1, loss };
  };
  const first = record.evaluations[0] as RunRecord['evaluations'][number];
  const stages: TestReport['stages'][number][] = [];
  for (const [stage, { train }] of model.plan.stages.entries()) {
    const best = bestEvaluation(record, stage);
    if (best !== undefined)
      stages.push({ stage, train: trainInWords(train), round: best.round, ...(await score(best)) });
  }
  const before = await score(first);
  return { examples: test.length, before, stages, after: await score(bestEvaluation(record) ?? first) };
}
