import type { Logger } from 'pino';
import type { ModelFiles } from '../shared/bert/directory.ts';
import type { Clock } from '../shared/core/clock.ts';
import { TacitError } from '../shared/core/errors.ts';
import type { Rng } from '../shared/core/rng.ts';
import type { Signer } from '../shared/core/signing.ts';
import type { Engine } from '../shared/engine/engine.ts';
import type { BudgetBook } from '../shared/ledger/budget-book.ts';
import type { Ledger } from '../shared/ledger/log.ts';
import type { ProtocolErrorCode } from '../shared/protocol/errors.ts';
import { fingerprintOf, formatJoinCode } from '../shared/protocol/join-code.ts';
import { PROTOCOL_VERSION } from '../shared/protocol/messages.ts';
import type { Plan } from '../shared/protocol/plan.ts';
import type {
  AboutView,
  BudgetView,
  CoordinatorEvent,
  ModelView,
  RoundView,
  RunView,
} from '../shared/protocol/views.ts';
import type { Store } from '../shared/store/port.ts';
import { BudgetBoard } from './budgets/budget-board.ts';
import { PolicyDesk } from './budgets/policy-desk.ts';
import { ModelLibrary } from './models/models.ts';
import { Announcements } from './participants/announcements.ts';
import { ParticipantDesk } from './participants/participant-desk.ts';
import { Participants } from './participants/participants.ts';
import type { RoundSession } from './rounds/round-session.ts';
import { commitRun } from './runs/new-run.ts';
import { roundViews } from './runs/run-view.ts';
import { Runs } from './runs/runs.ts';
import type { CoordinatorService, HeldOut, InvitationRequest, Prediction, TestReport } from './service.ts';

export interface CoordinatorOptions {
  readonly store: Store;
  readonly signer: Signer;
  readonly engine: Engine;
  readonly rng: Rng;
  readonly clock: Clock;
  readonly log: Logger;
  readonly name: string;
  readonly version: string;
  /** Signed by `signer`'s key. */
  readonly ledger: Ledger;
  /** Where participants reach this coordinator. */
  readonly publicUrl: string;
  /** Files of a model directory that a plan names. */
  readonly readModel: (from: Plan['model']['from']) => Promise<ModelFiles>;
  /** A plan from its text. @throws PLAN_INVALID, PLAN_CLAIM_FALSE */
  readonly parsePlan: (text: string, where: string) => Plan;
}

/** Opens the coordinator on its store and goes on with every run that had not ended. */
export async function startCoordinatorService(options: CoordinatorOptions): Promise<Coordinator> {
  const { store, clock, engine, rng } = options;
  const participants = await Participants.open(store, options.ledger, clock, rng);
  const models = await ModelLibrary.open(store, clock, engine, rng);
  const coordinator = new Coordinator(options, participants, models);
  await coordinator.resume();
  return coordinator;
}

/** The coordinator's one service: runs, participants, budgets and models over one store. Surfaces call it; it calls no surface. */
export class Coordinator implements CoordinatorService {
  readonly store: Store;
  readonly ledger: Ledger;
  /** What the participants' gateway talks to. */
  readonly desk: ParticipantDesk;
  readonly policy: PolicyDesk;
  readonly #o: CoordinatorOptions;
  readonly #budgets: BudgetBoard;
  readonly #participants: Participants;
  readonly #models: ModelLibrary;
  readonly #runs: Runs;

  constructor(options: CoordinatorOptions, participants: Participants, models: ModelLibrary) {
    const { store, ledger } = options;
    this.store = store;
    this.ledger = ledger;
    this.#o = options;
    this.#participants = participants;
    this.#models = models;
    const announcements = new Announcements(ledger, participants);
    this.#budgets = new BudgetBoard(ledger, () => this.#runs.all().map((r) => r.driver.record.terms));
    this.policy = new PolicyDesk(store, ledger, this.#budgets, options.clock);
    const shared = { ...options, participants, announcements };
    this.#runs = new Runs({ ...shared, models, budgets: this.#budgets });
    const { publicKey } = options.signer;
    this.desk = new ParticipantDesk({ ...shared, about: this.about(), publicKey, runs: this.#runs });
  }

  async resume(): Promise<void> {
    if (this.ledger.repair !== undefined)
      this.#o.log.warn(this.ledger.repair, 'entries without a signed checkpoint were found and signed');
    await this.#runs.resume();
    await this.policy.resume();
    await this.#budgets.refresh();
  }

  about(): AboutView {
    return {
      name: this.#o.name,
      version: this.#o.version,
      protocol: PROTOCOL_VERSION,
      origin: this.ledger.origin,
      vkey: this.ledger.vkey,
      fingerprint: fingerprintOf(this.#o.signer.publicKey),
    };
  }

  runs(): readonly RunView[] {
    return this.#runs.all().map(({ driver }) => this.#runs.view(driver));
  }

  run(id: string): RunView | undefined {
    const run = this.#runs.find(id);
    return run && this.#runs.view(run.driver);
  }

  rounds(runId: string): readonly RoundView[] {
    const { driver } = this.#runs.known(runId);
    return roundViews(driver.record, driver.currentRound());
  }

  models(): readonly ModelView[] {
    return this.#models.views();
  }

  budgets(): readonly BudgetView[] {
    return this.#budgets.views();
  }

  async openBudget(entry: Parameters<BudgetBook['open']>[0]): Promise<{ readonly index: number }> {
    const receipt = await this.#budgets.open(entry);
    await this.ledger.checkpoint();
    return receipt;
  }

  async lowerBudget(entry: Parameters<BudgetBook['lower']>[0]): Promise<{ readonly index: number }> {
    const receipt = await this.#budgets.lower(entry);
    await this.ledger.checkpoint();
    return receipt;
  }

  async createRun(planText: string, where: string, heldOut: HeldOut): Promise<RunView> {
    const plan = this.#o.parsePlan(planText, where);
    const files = await this.#o.readModel(plan.model.from);
    const created = await commitRun({ ...this.#o, budgets: this.#budgets }, plan, files, heldOut);
    await this.#runs.create(created);
    return this.run(created.id) as RunView;
  }

  async invite(runId: string, request: InvitationRequest): Promise<{ readonly code: string }> {
    this.#runs.known(runId);
    const { replaces } = request;
    const token =
      replaces === undefined
        ? await this.#participants.invite(runId, request)
        : await this.#participants.replace(runId, request, replaces);
    return {
      code: formatJoinCode({ url: this.#o.publicUrl, token, fingerprint: fingerprintOf(this.#o.signer.publicKey) }),
    };
  }

  async stopRun(runId: string, reason: string): Promise<RunView> {
    const { driver, done } = this.#runs.known(runId);
    if (driver.record.ended === undefined) {
      driver.stop(reason);
      await done;
    }
    return this.#runs.view(driver);
  }

  promote(modelId: string): Promise<ModelView> {
    return this.#models.promote(modelId);
  }

  modelFile(modelId: string, name: string): Promise<Uint8Array> {
    return this.#models.file(modelId, name);
  }

  predict(modelId: string, texts: readonly string[]): Promise<readonly Prediction[]> {
    return this.#models.predict(modelId, texts);
  }

  async evaluateTest(runId: string): Promise<TestReport> {
    const { driver } = this.#runs.known(runId);
    return driver.testReport(await this.store.getBlob(driver.record.heldOut.test));
  }

  authorise(token: string): { readonly clientId: string; readonly runId: string } | undefined {
    return this.#participants.authorise(token);
  }

  async participantBlob(
    runId: string,
    sha256: string,
  ): Promise<{ readonly sizeBytes: number; read(start: number, end: number): Promise<Uint8Array> }> {
    const { open } = this.#runs.known(runId);
    const sizeBytes = open.has(sha256) ? await this.store.blobSize(sha256) : undefined;
    if (sizeBytes === undefined)
      throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'no such blob in this run', { where: sha256 });
    return { sizeBytes, read: (start, end) => this.store.getBlob(sha256, { start, end }) };
  }

  async acceptChunk(upload: Parameters<CoordinatorService['acceptChunk']>[0]): Promise<{ readonly sha256: string }> {
    return { sha256: await this.#uploading(upload).acceptChunk(upload) };
  }

  heldChunk(place: Parameters<CoordinatorService['heldChunk']>[0]): string | undefined {
    return this.#uploading(place).heldChunk(place);
  }

  #uploading({ runId, round, attempt }: { runId: string; round: number; attempt: number }): RoundSession {
    const { session } = this.#runs.known(runId).driver;
    if (session === undefined)
      throw new TacitError<ProtocolErrorCode>('ROUND_CLOSED', 'no round is open', { where: `${round}.${attempt}` });
    return session;
  }

  subscribe(listener: (event: CoordinatorEvent) => void): () => void {
    return this.#runs.subscribe(listener);
  }

  /** Leaves every run as it stands; the next start goes on with it. */
  async close(): Promise<void> {
    for (const { driver } of this.#runs.all()) driver.suspend();
    await this.#models.dispose();
  }
}
