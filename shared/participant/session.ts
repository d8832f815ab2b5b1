import { base64, fromBase64, hex } from '../core/bytes.ts';
import { type Clock, isoTime } from '../core/clock.ts';
import { errorCode, TacitError } from '../core/errors.ts';
import { AsyncQueue } from '../core/queue.ts';
import type { Rng } from '../core/rng.ts';
import type { Signer } from '../core/signing.ts';
import { rosterHash } from '../ledger/entries.ts';
import { signStatement } from '../ledger/statement.ts';
import { checkTerms } from '../protocol/commitment.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import { fingerprintOf, type JoinCode, parseJoinCode } from '../protocol/join-code.ts';
import {
  type Challenge,
  type Consent,
  challengeSchema,
  clientIdOf,
  helloContext,
  PROTOCOL_VERSION,
  parseMessage,
  rosterSchema,
  roundEndedSchema,
  runEndedSchema,
  type SecaggFrame,
  secaggSchema,
  type Welcome,
  welcomeSchema,
  withSignature,
} from '../protocol/messages.ts';
import { parsePlan } from '../protocol/plan.ts';
import type { Terms } from '../protocol/terms.ts';
import type { RunView } from '../protocol/views.ts';
import { type MaskedVector, maskedBytes } from '../secagg/mask.ts';
import type { RosterEntry, SecaggConfig } from '../secagg/messages.ts';
import type { Store } from '../store/port.ts';
import type { TextRecord } from '../text/records.ts';
import type { ParticipantEvent } from './events.ts';
import { sentItems } from './items.ts';
import { LedgerWitness, type SeenEntry } from './ledger-witness.ts';
import { ParticipantMemory } from './memory.ts';
import { OwnLedger } from './own-ledger.ts';
import { enforcePolicy, type Policy, policyHash } from './policy.ts';
import { RoundParticipant } from './round.ts';
import type { Trainer, TrainerFactory } from './trainer.ts';
import { type Incoming, openTransport, type ParticipantTransport } from './transport.ts';

/** What a site says to a plan. */
export interface SiteAnswer {
  /** Its own rules; undefined means that it has none, and absent means refuse. */
  readonly policy: Policy | undefined;
  /** Its own records. They stay with the trainer. */
  readonly records: readonly TextRecord[];
}

export type Invitation = Extract<ParticipantEvent, { kind: 'invitation' }>;

/** What else a site may want to know before it answers. */
export interface AnswerContext {
  readonly terms: Terms;
  /** It consented to this plan in an earlier life of the process: only the records are needed again. */
  readonly consentedBefore: boolean;
  /** ε that its own ledger shows as spent or set aside on this data in this period. */
  readonly spentEpsilon: number;
}

export interface ParticipantOptions {
  /** The join link. */
  readonly link: string;
  readonly organisation: string;
  /** Asked once the plan on offer was found in the ledger and its promise recomputed; null declines. The policy is then enforced. */
  answer(invitation: Invitation, context: AnswerContext): Promise<SiteAnswer | null>;
  readonly createTrainer: TrainerFactory;
  readonly engineName: string;
  /** Own identity; its private half never leaves this process. */
  readonly signer: Signer;
  /** Own durable state: memory, and the site's own ledger. */
  readonly store: Store;
  readonly rng: Rng;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** For tests and other wires; socket.io and HTTP otherwise. */
  readonly transport?: (url: string) => ParticipantTransport;
}

/**
 * Takes part in one run: joins, checks, consents, trains, hides, sends, verifies. Ends when the run ends, when this site
 * refuses, or when `signal` aborts. Nothing but noised and masked vectors, signatures and counts leaves it.
 *
 * @throws nothing: a failure is the event `failed`, and the last one
 */
export async function* runParticipant(options: ParticipantOptions): AsyncGenerator<ParticipantEvent> {
  const events = new AsyncQueue<ParticipantEvent>();
  const session = new Session(options, (event) => events.push(event));
  const running = session.run().then(
    () => events.close(),
    (error: unknown) => {
      const known = error instanceof TacitError ? error : new TacitError('INTERNAL', String(error), { cause: error });
      events.push({
        kind: 'failed',
        code: known.code,
        message: known.message,
        ...(known.fix === undefined ? {} : { fix: known.fix }),
      });
      events.close();
    },
  );
  try {
    yield* events;
  } finally {
    session.stop();
    await running;
  }
}

class Session {
  readonly #o: ParticipantOptions;
  readonly #emit: (event: ParticipantEvent) => void;
  readonly #code: JoinCode;
  readonly #transport: ParticipantTransport;
  readonly #inbox = new AsyncQueue<Incoming>();
  readonly #clientId: string;
  #memory!: ParticipantMemory;
  #witness: LedgerWitness | undefined;
  #trainer: Trainer | undefined;
  #welcome: Welcome | undefined;
  #round: RoundParticipant | undefined;
  #roundWork: Promise<void> = Promise.resolve();
  #roster: readonly RosterEntry[] = [];
  #own: OwnLedger | undefined;
  #answer: SiteAnswer | undefined;
  #planLeaf: { readonly index: number; readonly text: string } | undefined;
  #serverKey: Uint8Array | undefined;

  constructor(options: ParticipantOptions, emit: (event: ParticipantEvent) => void) {
    this.#o = options;
    this.#emit = emit;
    this.#code = parseJoinCode(options.link);
    this.#transport = (options.transport ?? openTransport)(this.#code.url);
    this.#clientId = clientIdOf(options.signer.publicKey);
  }

  async run(): Promise<void> {
    this.#memory = await ParticipantMemory.open(this.#o.store);
    const stop = () => this.stop();
    this.#o.signal.addEventListener('abort', stop, { once: true });
    this.#emit({ kind: 'connection', state: 'connecting' });
    this.#transport.open((incoming) => this.#receive(incoming));
    try {
      for await (const incoming of this.#inbox) if (await this.#handled(incoming)) return;
    } finally {
      this.#o.signal.removeEventListener('abort', stop);
      this.#round?.cancel();
      this.#transport.close();
      await this.#roundWork;
      await this.#trainer?.dispose();
      this.#emit({ kind: 'connection', state: 'closed' });
    }
  }

  /** A connection that broke in the middle of something is no end: the next challenge begins again from what is stored. */
  async #handled(incoming: Incoming): Promise<boolean> {
    try {
      return await this.#handle(incoming);
    } catch (error) {
      if (errorCode(error) !== 'CONNECTION_LOST') throw error;
      return false;
    }
  }

  stop(): void {
    this.#round?.cancel();
    this.#inbox.close();
    this.#transport.close();
  }

  /** The end of a round interrupts training for it; everything else waits its turn. */
  #receive(incoming: Incoming): void {
    if (incoming.kind === 'message' && incoming.name === 'roundEnded') {
      const ended = roundEndedSchema.safeParse(incoming.payload);
      if (ended.success && this.#round?.is(ended.data.round, ended.data.attempt)) this.#round.cancel();
    }
    this.#inbox.push(incoming);
  }

  /** True when the session is over. */
  async #handle(incoming: Incoming): Promise<boolean> {
    if (incoming.kind === 'lost') {
      this.#emit({ kind: 'connection', state: 'lost', detail: incoming.detail });
      return false;
    }
    switch (incoming.name) {
      case 'challenge':
        return this.#join(parseMessage(challengeSchema, incoming.payload, 'challenge'));
      case 'secagg':
        this.#takeFrame(incoming.payload);
        return false;
      case 'roster':
        await this.#rosterChanged(incoming.payload);
        return false;
      case 'roundEnded':
        await this.#roundEnded(incoming.payload);
        return false;
      case 'runEnded':
        await this.#runEnded(incoming.payload);
        return true;
      case 'closed':
        throw new TacitError<ProtocolErrorCode>(
          'RUN_CLOSED',
          `the coordinator closed the connection: ${String((incoming.payload as { reason?: unknown })?.reason)}`,
        );
      default:
        return false;
    }
  }

  async #join(challenge: Challenge): Promise<boolean> {
    const welcome = await this.#hello(challenge);
    this.#welcome = welcome;
    const serverKey = fromBase64(challenge.publicKey);
    this.#serverKey = serverKey;
    this.#witness ??= new LedgerWitness({
      memory: this.#memory,
      serverKey,
      clock: this.#o.clock,
      signer: this.#o.signer,
      clientId: this.#clientId,
    });
    this.#own ??= await OwnLedger.open({
      store: this.#o.store,
      signer: this.#o.signer,
      clock: this.#o.clock,
      clientId: this.#clientId,
    });
    checkTerms(welcome.terms);
    await this.#checkPlan(welcome);
    this.#emit({ kind: 'connection', state: 'connected' });
    if (welcome.run.state === 'finished' || welcome.run.state === 'failed' || welcome.run.state === 'stopped') {
      await this.#finish(welcome.run);
      return true;
    }
    return !(await this.#consent(welcome));
  }

  async #hello(challenge: Challenge): Promise<Welcome> {
    if (challenge.protocol !== PROTOCOL_VERSION) {
      throw new TacitError<ProtocolErrorCode>(
        'PROTOCOL_VERSION',
        `the coordinator speaks ${challenge.protocol}, this client ${PROTOCOL_VERSION}`,
        {
          fix: 'Update the older side.',
        },
      );
    }
    const fingerprint = fingerprintOf(fromBase64(challenge.publicKey));
    if (fingerprint !== this.#code.fingerprint) {
      throw new TacitError<ProtocolErrorCode>(
        'COORDINATOR_UNKNOWN',
        `the coordinator's key is ${fingerprint}, the join code names ${this.#code.fingerprint}`,
        {
          where: this.#code.url,
          fix: 'Ask the operator for a new join code over a channel you trust.',
        },
      );
    }
    const body = {
      protocol: PROTOCOL_VERSION,
      publicKey: base64(this.#o.signer.publicKey),
      token: this.#code.token,
      organisation: this.#o.organisation,
      seen: this.#memory.seen(hex(fromBase64(challenge.publicKey)))?.size ?? 0,
    };
    const { signature } = withSignature('hello', helloContext(body, challenge), this.#o.signer) as {
      signature: string;
    };
    const answer = await this.#transport.request('hello', { ...body, signature });
    const welcome = parseMessage(welcomeSchema, answer, 'welcome');
    const plan = parsePlan(welcome.terms.plan, 'the plan on offer');
    return { ...welcome, terms: { ...welcome.terms, plan } } as unknown as Welcome;
  }

  /** The plan that is offered is the one in the ledger. */
  async #checkPlan({ proof, terms }: Welcome): Promise<void> {
    const { entry, text, index } = await this.#checkLedger(proof);
    this.#planLeaf = { index, text };
    if (entry.kind !== 'plan.commit' || entry['planHash'] !== terms.planHash) {
      throw new TacitError<ProtocolErrorCode>('LEDGER_DISAGREES', 'the plan on offer is not the one in the ledger', {
        where: `entry ${proof.index}`,
      });
    }
  }

  /** True when this site agreed, now or before. */
  async #consent(welcome: Welcome): Promise<boolean> {
    const { run, terms } = welcome;
    const before = this.#memory.consent(run.id);
    if (before !== undefined && before.planHash !== terms.planHash) {
      throw new TacitError<ProtocolErrorCode>('PLAN_CLAIM_FALSE', 'the plan changed after this site consented to it', {
        where: run.id,
      });
    }
    const answer = await this.#ask(welcome, before !== undefined);
    if (answer instanceof TacitError) return this.#refuse(run.id, terms.planHash, answer);
    const consent = before?.consent ?? this.#signConsent(welcome, answer);
    if (before === undefined)
      await this.#memory.record({ type: 'consented', run: run.id, planHash: terms.planHash, consent });
    this.#trainer ??= await this.#o.createTrainer(terms, answer.records, (sha256, signal) =>
      this.#transport.blob(sha256, this.#session(), signal),
    );
    const receipt = await this.#transport.request('consent', consent);
    await this.#countersign(welcome);
    if (before === undefined) this.#emit({ kind: 'consented', receipt });
    return true;
  }

  /** The site's answer, asked once in the life of a process, or why it refuses. What a plan may spend is set aside before anyone hears of a consent. */
  async #ask({ run, terms, about }: Welcome, consentedBefore: boolean): Promise<SiteAnswer | TacitError> {
    if (this.#answer !== undefined) return this.#answer;
    const own = this.#own as OwnLedger;
    const { scope, unit, period } = terms.plan.privacy;
    const spentEpsilon = consentedBefore ? 0 : await own.agreedEpsilon({ scope, unit, period });
    const invitation = { kind: 'invitation', about, run, items: sentItems(terms) } as const;
    if (!consentedBefore) this.#emit(invitation);
    const answer = await this.#o.answer(invitation, { terms, consentedBefore, spentEpsilon });
    if (answer === null) return new TacitError<ProtocolErrorCode>('CONSENT_REQUIRED', 'the participant declined');
    if (!consentedBefore) {
      try {
        enforcePolicy(answer.policy, terms.plan, spentEpsilon);
        await own.setAside(run.id, terms, answer.policy as Policy);
      } catch (error) {
        if (error instanceof TacitError) return error;
        throw error;
      }
    }
    this.#answer = answer;
    return answer;
  }

  #signConsent({ run, terms }: Welcome, { policy, records }: SiteAnswer): Consent {
    const document = {
      run: run.id,
      planHash: terms.planHash,
      policyHash: policyHash(policy as Policy),
      records: records.length,
      engine: this.#o.engineName,
      at: isoTime(this.#o.clock),
    };
    return { ...document, signature: signStatement('consent', document, this.#o.signer) };
  }

  /** Two ledgers: the coordinator's reservation for this run must be what was set aside here, and this site says that it saw it. */
  async #countersign({ run, terms, reservation, about }: Welcome): Promise<void> {
    const seen = await this.#checkLedger(reservation);
    const statement = await (this.#own as OwnLedger).countersign(run.id, terms, seen, about.origin);
    await this.#transport.request('countersign', statement);
  }

  /** The last entry of the run is verified and cosigned like every other one before this site closes its own account. */
  async #runEnded(payload: unknown): Promise<void> {
    const { run, proof } = parseMessage(runEndedSchema, payload, 'runEnded');
    const { size, root } = await this.#checkLedger(proof);
    this.#emit({ kind: 'ledger', size, root, verified: true });
    await this.#finish(run as unknown as RunView);
  }

  async #finish(run: RunView): Promise<void> {
    const { terms } = this.#welcome as Welcome;
    const released = run.stages.reduce((n, s) => n + s.roundsDone, 0);
    if (this.#memory.consent(run.id) !== undefined) await (this.#own as OwnLedger).close(run.id, terms, released);
    this.#emit({ kind: 'finished', run });
  }

  async #refuse(run: string, planHash: string, error: TacitError): Promise<false> {
    const document = {
      run,
      planHash,
      code: error.code,
      reason: error.message.slice(0, 500),
      at: isoTime(this.#o.clock),
    };
    await this.#transport.request('refuse', {
      ...document,
      signature: signStatement('refusal', document, this.#o.signer),
    });
    this.#emit({ kind: 'refused', code: error.code, reason: error.message });
    return false;
  }

  /** Rounds have a queue of their own: a reconnection in the middle of training or uploading must not wait for it. */
  #takeFrame(payload: unknown): void {
    const work = this.#roundWork.then(() => this.#secagg(payload));
    this.#roundWork = work.catch((error) => this.#inbox.fail(error));
  }

  async #secagg(payload: unknown): Promise<void> {
    const frame = parseMessage(secaggSchema, payload, 'secagg');
    try {
      if (frame.name === 'config') await this.#enterRound(frame.signed);
      else if (this.#round?.is(frame.round, frame.attempt)) await this.#round.receive(frame.name, frame.signed);
    } catch (error) {
      await this.#leaveRound(frame, error);
    }
  }

  async #enterRound(signed: unknown): Promise<void> {
    const { terms } = this.#welcome as Welcome;
    const round = new RoundParticipant(
      {
        clientId: this.#clientId,
        signer: this.#o.signer,
        serverPublicKey: this.#serverKey as Uint8Array,
        roster: this.#roster,
        terms,
        memory: this.#memory,
        trainer: this.#trainer as Trainer,
        rng: this.#o.rng,
        clock: this.#o.clock,
        emit: this.#emit,
        send: async (frame) => void (await this.#transport.request('secagg', frame)),
        blob: (sha256, signal) => this.#transport.blob(sha256, this.#session(), signal),
        upload: (vector, config, signal) => this.#upload(vector, config, signal),
      },
      signed,
    );
    const { round: number, attempt } = round.config;
    if (this.#round?.is(number, attempt)) return this.#round.invitedAgain();
    await this.#checkPlanIn(round.config);
    this.#round?.cancel();
    this.#round = round;
    await round.start();
  }

  /** M0 binds a checkpoint: the plan must be in that tree, and the tree must extend what this site saw. */
  async #checkPlanIn({ ledger }: SecaggConfig): Promise<void> {
    const { index, text } = this.#planLeaf as { index: number; text: string };
    const { checkpoint, inclusion } = ledger;
    const since = (this.#witness as LedgerWitness).seenSize;
    await this.#checkLedger({ index, entry: text, checkpoint, inclusion, since, consistency: [] });
  }

  /** Unless only the connection failed, this session is lost for this client; the next one is a new chance. */
  async #leaveRound(frame: SecaggFrame, error: unknown): Promise<void> {
    const code = errorCode(error);
    const connection = code === 'CONNECTION_LOST' || code === 'NOT_AUTHORISED';
    // In a running session the coordinator asks again after the next hello, and the reducer answers the same again.
    if (connection && this.#round?.advertised === true) return;
    const cancelled = this.#round?.cancelled === true;
    this.#round?.cancel();
    this.#round = undefined;
    if (connection || cancelled) return;
    if (code === 'PLAN_CLAIM_FALSE') throw error;
    const reason = error instanceof TacitError ? `${error.code}: ${error.message}` : String(error);
    this.#emit({ kind: 'roundEnded', round: frame.round, outcome: 'aborted', reason });
  }

  async #upload(vector: MaskedVector, config: SecaggConfig, signal: AbortSignal): Promise<void> {
    const bytes = maskedBytes(vector);
    const path = `/api/v1/runs/${config.run}/rounds/${config.round}.${config.attempt}/uploads`;
    for (let index = 0; index * config.chunkBytes < bytes.length; index++) {
      const chunk = bytes.subarray(index * config.chunkBytes, (index + 1) * config.chunkBytes);
      await this.#putChunk(`${path}/${index}`, chunk, signal);
    }
  }

  /** The masked vector exists once, so a lost connection or a restarted coordinator is waited for until the round ends. */
  async #putChunk(path: string, chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    for (let waitMs = 100; ; waitMs = Math.min(2 * waitMs, 1_600)) {
      try {
        return await this.#transport.putChunk(path, chunk, this.#session(), signal);
      } catch (error) {
        const code = errorCode(error);
        if (signal.aborted || (code !== 'CONNECTION_LOST' && code !== 'NOT_AUTHORISED')) throw error;
        await new Promise<void>((resolve) => void setTimeout(resolve, waitMs));
      }
    }
  }

  /** Who takes part from the next round on; pinned only when it is in the ledger. */
  async #rosterChanged(payload: unknown): Promise<void> {
    const { clients, proof } = parseMessage(rosterSchema, payload, 'roster');
    const { entry } = await this.#checkLedger(proof);
    const listed = entry.kind === 'roster.update' && entry['rosterHash'] === rosterHash(clients);
    const own = clients.some((c) => c.clientId === this.#clientId && c.publicKey === base64(this.#o.signer.publicKey));
    if (!listed || !own) {
      throw new TacitError<ProtocolErrorCode>(
        'LEDGER_DISAGREES',
        'the roster is not the one in the ledger, or this site is not on it',
        { where: 'roster' },
      );
    }
    this.#roster = clients.map((c) => ({ clientId: c.clientId, publicKey: fromBase64(c.publicKey) }));
  }

  async #roundEnded(payload: unknown): Promise<void> {
    const ended = parseMessage(roundEndedSchema, payload, 'roundEnded');
    if (this.#round?.is(ended.round, ended.attempt)) this.#round = undefined;
    const { entry, size, root } = await this.#checkLedger(ended.proof);
    this.#emit({ kind: 'ledger', size, root, verified: true });
    this.#emit({ kind: 'roundEnded', round: ended.round, outcome: ended.outcome, reason: ended.reason });
    if (entry.kind === 'round.release' && typeof entry['epsilonSoFar'] === 'string')
      this.#charged(ended.round, Number(entry['epsilonSoFar']));
  }

  #charged(round: number, spentEpsilon: number): void {
    const { terms } = this.#welcome as Welcome;
    // What the budget is charged for: the coordinator together with the assumed colluders.
    const guarantee = terms.guarantees[1];
    if (guarantee === undefined) return;
    this.#emit({ kind: 'charged', round, guarantee, budgetEpsilon: terms.plan.privacy.epsilon, spentEpsilon });
  }

  /** Verifies a proof against what was seen, remembers it, and tells the coordinator so with a cosignature. */
  async #checkLedger(proof: unknown): Promise<SeenEntry> {
    const seen = await (this.#witness as LedgerWitness).check(proof, (size, index) =>
      this.#transport.request('seen', { size, index }),
    );
    if (seen.extended) await this.#transport.request('cosign', seen.cosign);
    return seen;
  }

  #session(): string {
    return (this.#welcome as Welcome).session;
  }
}
