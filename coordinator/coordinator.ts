import type { Logger } from 'pino';
import type { ModelFiles } from '../shared/bert/directory.ts';
import { base64, fromHex, hex } from '../shared/core/bytes.ts';
import { canonicalBytes } from '../shared/core/canonical.ts';
import { type Clock, isoTime } from '../shared/core/clock.ts';
import { TacitError } from '../shared/core/errors.ts';
import { sha256Hex } from '../shared/core/hash.ts';
import type { Rng } from '../shared/core/rng.ts';
import type { Signer } from '../shared/core/signing.ts';
import type { Engine } from '../shared/engine/engine.ts';
import { BudgetBook } from '../shared/ledger/budget-book.ts';
import { decimal } from '../shared/ledger/decimal.ts';
import { rosterHash } from '../shared/ledger/entries.ts';
import type { Ledger } from '../shared/ledger/log.ts';
import { verifyStatement } from '../shared/ledger/statement.ts';
import { checkTerms, commitTerms } from '../shared/protocol/commitment.ts';
import type { ProtocolErrorCode } from '../shared/protocol/errors.ts';
import { fingerprintOf, formatJoinCode } from '../shared/protocol/join-code.ts';
import type {
  Challenge,
  Consent,
  Cosign,
  Countersign,
  Hello,
  LedgerProof,
  Refusal,
  SecaggFrame,
  Welcome,
} from '../shared/protocol/messages.ts';
import { PROTOCOL_VERSION } from '../shared/protocol/messages.ts';
import type { Plan } from '../shared/protocol/plan.ts';
import type { Terms } from '../shared/protocol/terms.ts';
import type {
  AboutView,
  BudgetView,
  CoordinatorEvent,
  ModelView,
  RoundView,
  RunView,
} from '../shared/protocol/views.ts';
import { EventLog } from '../shared/store/log.ts';
import type { Store } from '../shared/store/port.ts';
import { ModelLibrary } from './models.ts';
import { Participants } from './participants.ts';
import type { Connection, ParticipantHub } from './realtime/gateway.ts';
import { GlobalModel } from './rounds/global-model.ts';
import { ledgerProof } from './rounds/ledger-proofs.ts';
import { RunDriver, type RunPorts, testReport } from './rounds/run-driver.ts';
import type { ConsentedClient, RunEvent, RunRecord } from './rounds/run-log.ts';
import { roundViews, runView } from './rounds/run-view.ts';
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

interface Run {
  readonly driver: RunDriver;
  /** Resolves when its driver has nothing more to do. */
  done: Promise<void>;
  /** Blobs that its participants may download. */
  readonly open: Set<string>;
}

/** Opens the coordinator on its store and goes on with every run that had not ended. */
export async function startCoordinatorService(options: CoordinatorOptions): Promise<Coordinator> {
  const { store, clock, engine, rng } = options;
  const participants = await Participants.open(store, clock, rng);
  const models = await ModelLibrary.open(store, clock, engine, rng);
  const coordinator = new Coordinator(options, participants, models);
  await coordinator.resume();
  return coordinator;
}

/** The coordinator's one service: runs, participants, budgets and models over one store. Surfaces call it; it calls no surface. */
export class Coordinator implements CoordinatorService, ParticipantHub {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly #o: CoordinatorOptions;
  readonly #budgetBook: BudgetBook;
  readonly #participants: Participants;
  readonly #models: ModelLibrary;
  readonly #runs = new Map<string, Run>();
  readonly #listeners = new Set<(event: CoordinatorEvent) => void>();
  #budgets: readonly BudgetView[] = [];

  constructor(options: CoordinatorOptions, participants: Participants, models: ModelLibrary) {
    this.store = options.store;
    this.ledger = options.ledger;
    this.#o = options;
    this.#budgetBook = new BudgetBook(options.ledger);
    this.#participants = participants;
    this.#models = models;
  }

  get publicKey(): Uint8Array {
    return this.#o.signer.publicKey;
  }

  async resume(): Promise<void> {
    if (this.ledger.repair !== undefined)
      this.#o.log.warn(this.ledger.repair, 'entries without a signed checkpoint were found and signed');
    for (const stream of await this.store.streams('run/')) {
      const { log, events } = await EventLog.open<RunEvent>(this.store, stream);
      if (events.length > 0) await this.#startDriver(log, events);
    }
    await this.#refreshBudgets();
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
    return [...this.#runs.values()].map(({ driver }) => this.#view(driver));
  }

  run(id: string): RunView | undefined {
    const run = this.#runs.get(id);
    return run && this.#view(run.driver);
  }

  rounds(runId: string): readonly RoundView[] {
    const { driver } = this.#known(runId);
    return roundViews(driver.record, driver.currentRound());
  }

  models(): readonly ModelView[] {
    return this.#models.views();
  }

  budgets(): readonly BudgetView[] {
    return this.#budgets;
  }

  async openBudget(entry: Parameters<BudgetBook['open']>[0]): Promise<void> {
    await this.#budgetBook.open(entry);
    await this.#refreshBudgets();
  }

  async createRun(planText: string, where: string, heldOut: HeldOut): Promise<RunView> {
    const plan = this.#o.parsePlan(planText, where);
    const files = await this.#o.readModel(plan.model.from);
    const model = new GlobalModel({ plan, files, engine: this.#o.engine, rng: this.#o.rng });
    for (const data of [heldOut.validation, heldOut.test]) model.encode(data);
    const listed = await Promise.all(
      [...files].map(async ([name, bytes]) => ({
        name,
        sha256: await this.store.putBlob(bytes),
        sizeBytes: bytes.length,
      })),
    );
    const terms = commitTerms(
      plan,
      listed.sort((a, b) => (a.name < b.name ? -1 : 1)),
      await model.layouts(),
    );
    await model.dispose();
    checkTerms(terms);
    const id = `${plan.name}-${hex(this.#o.rng.bytes(4))}`;
    const committed = await this.ledger.append(planEntry(id, terms, this.#o.version), `plan/${id}`);
    const reservation = `run/${id}`;
    const { epsilon, delta, scope, unit, period } = plan.privacy;
    let reserved: { readonly index: number };
    try {
      reserved = await this.#budgetBook.reserve({
        kind: 'reserve',
        reservation,
        run: id,
        planHash: terms.planHash,
        budgets: [{ scope, unit, period }],
        epsilon: decimal(epsilon),
        delta: decimal(delta),
      });
    } finally {
      await this.ledger.checkpoint();
      await this.#refreshBudgets();
    }
    const created: RunEvent = {
      type: 'created',
      id,
      at: isoTime(this.#o.clock),
      terms,
      ledgerIndex: committed.index,
      reserveIndex: reserved.index,
      reservation,
      heldOut: {
        validation: await this.store.putBlob(heldOut.validation),
        test: await this.store.putBlob(heldOut.test),
      },
    };
    const { log } = await EventLog.open<RunEvent>(this.store, `run/${id}`);
    await log.append(created);
    await this.#startDriver(log, [created]);
    return this.run(id) as RunView;
  }

  async invite(runId: string, request: InvitationRequest): Promise<{ readonly code: string }> {
    this.#known(runId);
    const token = await this.#participants.invite(runId, request);
    return {
      code: formatJoinCode({ url: this.#o.publicUrl, token, fingerprint: fingerprintOf(this.#o.signer.publicKey) }),
    };
  }

  async stopRun(runId: string, reason: string): Promise<RunView> {
    const { driver, done } = this.#known(runId);
    if (driver.record.ended === undefined) {
      driver.stop(reason);
      await done;
    }
    return this.#view(driver);
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
    const { driver } = this.#known(runId);
    const test = await this.store.getBlob(driver.record.heldOut.test);
    return testReport(driver, driver.model.encode(test));
  }

  authorise(token: string): { readonly clientId: string; readonly runId: string } | undefined {
    return this.#participants.authorise(token);
  }

  async participantBlob(
    runId: string,
    sha256: string,
  ): Promise<{ readonly sizeBytes: number; read(start: number, end: number): Promise<Uint8Array> }> {
    const { open } = this.#known(runId);
    const sizeBytes = open.has(sha256) ? await this.store.blobSize(sha256) : undefined;
    if (sizeBytes === undefined)
      throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'no such blob in this run', { where: sha256 });
    return { sizeBytes, read: (start, end) => this.store.getBlob(sha256, { start, end }) };
  }

  async acceptChunk(upload: Parameters<CoordinatorService['acceptChunk']>[0]): Promise<{ readonly sha256: string }> {
    const { session } = this.#known(upload.runId).driver;
    if (session === undefined)
      throw new TacitError<ProtocolErrorCode>('ROUND_CLOSED', 'no round is open', {
        where: `${upload.round}.${upload.attempt}`,
      });
    return { sha256: await session.acceptChunk(upload) };
  }

  subscribe(listener: (event: CoordinatorEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Leaves every run as it stands; the next start goes on with it. */
  async close(): Promise<void> {
    for (const { driver } of this.#runs.values()) driver.suspend();
    await this.#models.dispose();
  }

  // --- participants ---------------------------------------------------------------------------------------------

  async hello(hello: Hello, challenge: Challenge, connection: Connection): Promise<Welcome> {
    const client = await this.#participants.admit(hello, challenge);
    const { driver } = this.#known(client.run);
    const { record } = driver;
    const session = this.#participants.connect(client, connection, hello.seen);
    return {
      clientId: client.clientId,
      session,
      about: this.about(),
      run: this.#view(driver),
      terms: record.terms,
      proof: await ledgerProof(this.ledger, record.planLedgerIndex, hello.seen),
      reservation: await ledgerProof(this.ledger, record.reserveIndex, hello.seen),
    };
  }

  /** Agreement to exactly this plan, in the ledger before it counts. Saying it again changes nothing. */
  async consent(clientId: string, consent: Consent): Promise<unknown> {
    const { client, driver } = this.#clientOf(clientId);
    const { signature, ...document } = consent;
    this.#checkStatement('consent', document, signature, client.publicKey, consent.planHash, driver);
    const before = driver.record.consented.get(clientId);
    const { index } =
      before === undefined
        ? await this.ledger.append(
            {
              kind: 'consent',
              run: consent.run,
              planHash: consent.planHash,
              clientId,
              publicKey: base64(fromHex(client.publicKey)),
              document,
              signature,
            },
            `consent/${consent.run}/${clientId}`,
          )
        : { index: before.ledgerIndex };
    if (before === undefined) {
      const { publicKey, organisation } = client;
      await driver.append({
        type: 'consented',
        at: isoTime(this.#o.clock),
        clientId,
        publicKey,
        organisation,
        records: consent.records,
        engine: consent.engine,
        ledgerIndex: index,
      });
    }
    await this.#sendRoster(clientId, driver);
    driver.greet(clientId);
    return { ...document, signature, ledgerIndex: index };
  }

  async refuse(clientId: string, refusal: Refusal): Promise<void> {
    const { client, driver } = this.#clientOf(clientId);
    const { signature, ...document } = refusal;
    this.#checkStatement('refusal', document, signature, client.publicKey, refusal.planHash, driver);
    const { run, planHash, code, reason } = refusal;
    await this.ledger.append(
      {
        kind: 'refusal',
        run,
        planHash,
        by: clientId,
        code,
        reason,
        request: null,
        statement: { publicKey: base64(fromHex(client.publicKey)), document, signature },
      },
      `refusal/${run}/${clientId}/${refusal.at}`,
    );
    await driver.append({
      type: 'refused',
      at: isoTime(this.#o.clock),
      clientId,
      organisation: client.organisation,
      code,
      reason,
    });
  }

  /** A participant's word that it saw the reservation; an entry of its own, once a run. */
  async countersign(clientId: string, statement: Countersign): Promise<void> {
    const { client, driver } = this.#clientOf(clientId);
    const { document, signature } = statement;
    const publicKey = base64(fromHex(client.publicKey));
    const right =
      statement.clientId === clientId &&
      statement.publicKey === publicKey &&
      document.clientId === clientId &&
      document.origin === this.ledger.origin &&
      document.index === driver.record.reserveIndex &&
      document.leafHash === hex(this.ledger.leafHash(document.index));
    if (!right) {
      throw new TacitError<ProtocolErrorCode>(
        'MESSAGE_INVALID',
        'the countersignature is not of this run’s reservation',
        {
          where: 'countersign',
        },
      );
    }
    if (!verifyStatement('countersignature', document, publicKey, signature)) {
      throw new TacitError<ProtocolErrorCode>('SIGNATURE_INVALID', 'the statement is not signed by the enrolled key', {
        where: 'countersign',
      });
    }
    await this.ledger.append(
      { kind: 'countersignature', ...statement },
      `countersignature/${driver.record.id}/${clientId}`,
    );
  }

  async secagg(clientId: string, frame: SecaggFrame): Promise<void> {
    const { driver } = this.#clientOf(clientId);
    if (!driver.record.consented.has(clientId))
      throw new TacitError<ProtocolErrorCode>('CONSENT_REQUIRED', 'consent comes first');
    await driver.receive(clientId, frame);
  }

  async seen(clientId: string, size: number, index: number): Promise<LedgerProof> {
    this.#clientOf(clientId);
    return ledgerProof(this.ledger, index, size);
  }

  async cosign(clientId: string, cosign: Cosign): Promise<void> {
    this.#clientOf(clientId);
    await this.ledger.cosign(cosign);
    const live = this.#participants.live(clientId);
    if (live !== undefined) live.seen = Math.max(live.seen, cosign.checkpointSize);
  }

  gone(clientId: string, connection: Connection): void {
    if (!this.#participants.disconnect(clientId, connection)) return;
    const client = this.#participants.enrolled(clientId);
    const run = client && this.#runs.get(client.run);
    run?.driver.session?.gone(clientId);
    if (run !== undefined) this.#emit({ kind: 'run', run: this.#view(run.driver) });
  }

  // --- inside ---------------------------------------------------------------------------------------------------

  async #startDriver(log: EventLog<RunEvent>, events: readonly RunEvent[]): Promise<void> {
    const created = events[0] as Extract<RunEvent, { type: 'created' }>;
    const { terms } = created;
    const open = new Set<string>();
    const files = new Map<string, Uint8Array>();
    for (const file of terms.model) {
      open.add(file.sha256);
      files.set(file.name, await this.store.getBlob(file.sha256));
    }
    const model = new GlobalModel({ plan: terms.plan, files, engine: this.#o.engine, rng: this.#o.rng });
    const validation = model.encode(await this.store.getBlob(created.heldOut.validation));
    const driver = new RunDriver({ ports: this.#ports(created.id, open), log, events, model, validation });
    const run: Run = { driver, done: Promise.resolve(), open };
    this.#runs.set(created.id, run);
    if (driver.record.ended === undefined) run.done = driver.drive();
    if (driver.record.ended?.model) await this.#models.add(driver);
  }

  #ports(runId: string, open: Set<string>): RunPorts {
    const { store, ledger, clock, rng, signer, log } = this.#o;
    const driver = (): RunDriver => this.#known(runId).driver;
    return {
      store,
      ledger,
      charge: async (entry, opId) => {
        const receipt = await this.#budgetBook.append(entry, opId);
        await this.#refreshBudgets();
        return receipt;
      },
      clock,
      rng,
      signer,
      log,
      connected: () => this.#participants.connectedTo(runId),
      allowDownload: (sha256) => void open.add(sha256),
      send: (clientId, name, payload) => this.#participants.live(clientId)?.connection.send(name, payload),
      announceRoster: () => this.#announceRoster(driver()),
      announceRound: async ({ index, ...ended }) => {
        for (const clientId of this.#participants.connectedTo(runId)) {
          const live = this.#participants.live(clientId);
          if (live !== undefined)
            live.connection.send('roundEnded', { ...ended, proof: await ledgerProof(this.ledger, index, live.seen) });
        }
      },
      announceEnd: async (index) => {
        await this.ledger.checkpoint();
        if (driver().record.ended?.model) await this.#models.add(driver());
        const view = this.#view(driver());
        for (const clientId of this.#participants.connectedTo(runId)) {
          const live = this.#participants.live(clientId);
          const proof = live && (await ledgerProof(this.ledger, index, live.seen));
          live?.connection.send('runEnded', { run: view, proof });
        }
        this.#emit({ kind: 'run', run: view });
      },
      changed: (round) => {
        if (!this.#runs.has(runId)) return;
        if (round === undefined) this.#emit({ kind: 'run', run: this.#view(driver()) });
        else this.#emit({ kind: 'round', run: runId, round });
      },
    };
  }

  /** The whole membership as an entry, when it is not the last one already; then to everyone connected. */
  async #announceRoster(driver: RunDriver): Promise<string> {
    const members = rosterMembers(driver.record);
    const hash = rosterHash(members);
    if ((await this.#lastRoster())?.rosterHash !== hash) {
      const approvers = (await this.#lastRoster())?.approvers ?? [];
      await this.ledger.append(
        { kind: 'roster.update', rosterHash: hash, members, approvers: [...approvers] },
        `roster/${driver.record.id}/${this.ledger.size}/${hash}`,
      );
    }
    for (const clientId of this.#participants.connectedTo(driver.record.id)) await this.#sendRoster(clientId, driver);
    return hash;
  }

  async #sendRoster(clientId: string, driver: RunDriver): Promise<void> {
    const live = this.#participants.live(clientId);
    const roster = await this.#lastRoster();
    const members = rosterMembers(driver.record);
    if (
      live === undefined ||
      roster === undefined ||
      live.roster === roster.rosterHash ||
      roster.rosterHash !== rosterHash(members)
    )
      return;
    if (!members.some((m) => m.clientId === clientId)) return;
    live.roster = roster.rosterHash;
    live.connection.send('roster', {
      clients: members,
      proof: await ledgerProof(this.ledger, roster.index, live.seen),
    });
  }

  async #lastRoster() {
    for (const { entry, index } of [...(await this.ledger.entries(0))].reverse())
      if (entry.kind === 'roster.update') return { ...entry, index };
    return undefined;
  }

  #checkStatement(
    kind: 'consent' | 'refusal',
    document: object,
    signature: string,
    publicKey: string,
    planHash: string,
    { record }: RunDriver,
  ): void {
    if (planHash !== record.terms.planHash || (document as { run?: string }).run !== record.id) {
      throw new TacitError<ProtocolErrorCode>('MESSAGE_INVALID', 'the statement is about another run or plan', {
        where: kind,
      });
    }
    if (!verifyStatement(kind, document, base64(fromHex(publicKey)), signature)) {
      throw new TacitError<ProtocolErrorCode>('SIGNATURE_INVALID', 'the statement is not signed by the enrolled key', {
        where: kind,
      });
    }
  }

  #clientOf(clientId: string) {
    const client = this.#participants.enrolled(clientId);
    if (client === undefined) throw new TacitError<ProtocolErrorCode>('NOT_AUTHORISED', 'say hello first');
    return { client, driver: this.#known(client.run).driver };
  }

  #known(runId: string): Run {
    const run = this.#runs.get(runId);
    if (run === undefined)
      throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'no such run', { where: runId.slice(0, 100) });
    return run;
  }

  #view(driver: RunDriver): RunView {
    const { id } = driver.record;
    return runView(
      driver.record,
      this.#participants.enrolledIn(id),
      this.#participants.connectedTo(id),
      driver.currentRound(),
    );
  }

  #emit(event: CoordinatorEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  async #refreshBudgets(): Promise<void> {
    const statuses = await this.#budgetBook.status();
    this.#budgets = statuses.map(({ budget, epsilon, delta, spent, reserved, left, timeline }) => ({
      ...budget,
      epsilon,
      delta,
      spent,
      reserved,
      left,
      guarantee: this.#guaranteeFor(budget) ?? null,
      timeline,
    }));
  }

  /** The certificate of the last run on a budget, against the coordinator with the assumed colluders. */
  #guaranteeFor(budget: { readonly scope: string; readonly period: string }) {
    const runs = [...this.#runs.values()].map((r) => r.driver.record.terms);
    const last = runs
      .filter(({ plan }) => plan.privacy.scope === budget.scope && plan.privacy.period === budget.period)
      .at(-1);
    return last?.guarantees[1];
  }
}

function rosterMembers(record: RunRecord) {
  return [...record.consented.values()]
    .map(({ clientId, organisation, publicKey }: ConsentedClient) => ({
      clientId,
      organisation,
      publicKey: base64(fromHex(publicKey)),
    }))
    .sort((a, b) => (a.clientId < b.clientId ? -1 : 1));
}

function planEntry(
  run: string,
  terms: Terms,
  version: string,
): Parameters<Ledger['append']>[0] & { kind: 'plan.commit' } {
  const { plan, stages, guarantees } = terms;
  const { scope, unit, period } = plan.privacy;
  const { minimumCohort, colluders, maximumCohort, ringBits } = plan.secureAggregation;
  const certificate = guarantees[1] as Terms['guarantees'][number];
  return {
    kind: 'plan.commit',
    run,
    planHash: terms.planHash,
    plan: plan as unknown as Record<string, never>,
    purpose: plan.purpose,
    unit,
    neighbouringRelation: certificate.neighbouringRelation,
    certificate: {
      epsilon: decimal(plan.privacy.epsilon),
      delta: decimal(plan.privacy.delta),
      accountant: certificate.accountant,
      adversary: certificate.adversary,
      assumptions: [...certificate.assumptions],
    },
    minimumCohort,
    colluders,
    stages: plan.stages.map((stage, index) => {
      const { dimension, noiseMultiplier, scale, localSigma } = stages[index] as Terms['stages'][number];
      return {
        index,
        algorithm: stage.algorithm,
        samplingProbability: decimal(stage.samplingProbability),
        rounds: stage.rounds,
        l2Clip: decimal(stage.l2Clip),
        noiseMultiplier: decimal(noiseMultiplier),
        mechanism: {
          name: 'distributed-discrete-gaussian',
          dimension,
          scale: decimal(scale),
          localSigma: decimal(localSigma),
          ringBits,
          cohortMax: maximumCohort,
        },
      };
    }),
    budgets: [{ scope, unit, period }],
    modelHash: modelHash(terms),
    library: `tacit ${version}`,
  };
}

/** What training starts from: every file of the directory. */
function modelHash({ model }: Terms): string {
  return sha256Hex(canonicalBytes(model.map(({ name, sha256 }) => [name, sha256])));
}
