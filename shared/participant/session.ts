import { base64, equalBytes, fromBase64 } from '../core/bytes.ts';
import { errorCode, TacitError } from '../core/errors.ts';
import { AsyncQueue } from '../core/queue.ts';
import { rosterHash } from '../ledger/entries.ts';
import { checkTerms } from '../protocol/commitment.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import { type JoinCode, parseJoinCode } from '../protocol/join-code.ts';
import {
  type Challenge,
  challengeSchema,
  parseMessage,
  rosterSchema,
  roundEndedSchema,
  runEndedSchema,
  type Welcome,
} from '../protocol/messages.ts';
import { promiseOf } from '../protocol/plan.ts';
import type { RunView } from '../protocol/views.ts';
import type { RosterEntry, SecaggConfig } from '../secagg/messages.ts';
import { Agreement } from './agreement.ts';
import type { ParticipantEvent } from './events.ts';
import { sayHello } from './hello.ts';
import { coordinatorKeys } from './known-coordinator.ts';
import { LedgerWitness, type SeenEntry } from './ledger-witness.ts';
import { ParticipantMemory } from './memory.ts';
import type { ParticipantOptions } from './options.ts';
import { OwnLedger } from './own-ledger.ts';
import type { RoundContext } from './round.ts';
import { checkSameRun } from './round-terms.ts';
import { Rounds } from './rounds.ts';
import type { Trainer } from './trainer.ts';
import { type Incoming, openTransport, type ParticipantTransport } from './transport.ts';
import { uploadMasked } from './upload.ts';

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

/** What a connection to one coordinator rests on, once it has said who it is. */
interface Joined {
  readonly serverKey: Uint8Array;
  readonly witness: LedgerWitness;
  readonly agreement: Agreement;
}

class Session {
  readonly #o: ParticipantOptions;
  readonly #emit: (event: ParticipantEvent) => void;
  readonly #code: JoinCode;
  readonly #transport: ParticipantTransport;
  readonly #inbox = new AsyncQueue<Incoming>();
  readonly #rounds: Rounds;
  #memory!: ParticipantMemory;
  #own!: OwnLedger;
  #joined: Joined | undefined;
  #trainer: Trainer | undefined;
  #welcome: Welcome | undefined;
  #roster: readonly RosterEntry[] = [];
  #planLeaf: { readonly index: number; readonly text: string } | undefined;

  constructor(options: ParticipantOptions, emit: (event: ParticipantEvent) => void) {
    this.#o = options;
    this.#emit = emit;
    this.#code = parseJoinCode(options.link);
    this.#transport = (options.transport ?? openTransport)(this.#code.url);
    this.#rounds = new Rounds({
      context: () => this.#roundContext(),
      checkPlanIn: (config) => this.#checkPlanIn(config),
      absence: () => (this.#joined as Joined).agreement.absence(this.#welcome as Welcome),
      sitOut: async (message) => void (await this.#request('sitOut', message)),
      emit,
      fail: (error) => this.#inbox.fail(error),
    });
  }

  async run(): Promise<void> {
    const { store, signer, clock } = this.#o;
    this.#memory = await ParticipantMemory.open(store);
    this.#own = await OwnLedger.open({ store, signer, clock });
    const stop = () => this.stop();
    this.#o.signal.addEventListener('abort', stop, { once: true });
    this.#emit({ kind: 'connection', state: 'connecting' });
    this.#transport.open((incoming) => this.#receive(incoming));
    try {
      for await (const incoming of this.#inbox) if (await this.#handled(incoming)) return;
    } finally {
      this.#o.signal.removeEventListener('abort', stop);
      this.#rounds.cancel();
      this.#transport.close();
      await this.#rounds.idle();
      await this.#trainer?.dispose();
      this.#emit({ kind: 'connection', state: 'closed' });
    }
  }

  stop(): void {
    this.#rounds.cancel();
    this.#inbox.close();
    this.#transport.close();
  }

  /** The end of a round interrupts training for it; everything else waits its turn. */
  #receive(incoming: Incoming): void {
    if (incoming.kind === 'message' && incoming.name === 'roundEnded') this.#rounds.interruptedBy(incoming.payload);
    this.#inbox.push(incoming);
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
        this.#rounds.take(incoming.payload);
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
    const { organisation, signer } = this.#o;
    const serverKeys = coordinatorKeys(challenge, this.#code);
    const seen = this.#memory.seen(serverKeys)?.size ?? 0;
    const { handovers, clientId } = this.#own;
    const request = this.#request;
    const welcome = await sayHello(challenge, { code: this.#code, signer, organisation, seen, handovers, request });
    if (welcome.clientId !== clientId)
      throw new TacitError<ProtocolErrorCode>('MESSAGE_INVALID', 'the coordinator takes this site for another', {
        where: welcome.clientId,
      });
    checkSameRun(this.#welcome, welcome);
    this.#welcome = welcome;
    this.#joined = this.#under(serverKeys, this.#joined ?? this.#firstTime(serverKeys));
    checkTerms(welcome.terms);
    await this.#checkPlan(welcome);
    this.#emit({ kind: 'connection', state: 'connected' });
    if (welcome.run.state === 'finished' || welcome.run.state === 'failed' || welcome.run.state === 'stopped') {
      await this.#finish(welcome.run);
      return true;
    }
    const agreed = await this.#joined.agreement.reach(welcome, async ({ records }) => {
      this.#trainer ??= await this.#o.createTrainer(welcome.terms, records, this.#blob);
    });
    return !agreed;
  }

  /** The coordinator may have changed its key while this site was away. */
  #under(serverKeys: readonly Uint8Array[], joined: Joined): Joined {
    const serverKey = serverKeys.at(-1) as Uint8Array;
    if (equalBytes(serverKey, joined.serverKey)) return joined;
    return { ...joined, serverKey, witness: this.#witnessOf(serverKeys) };
  }

  #witnessOf(serverKeys: readonly Uint8Array[]): LedgerWitness {
    const { signer, clock } = this.#o;
    return new LedgerWitness({ memory: this.#memory, serverKeys, clock, signer, clientId: this.#own.clientId });
  }

  #firstTime(serverKeys: readonly Uint8Array[]): Joined {
    const [memory, own] = [this.#memory, this.#own];
    const check = (proof: unknown) => this.#checkLedger(proof);
    return {
      serverKey: serverKeys.at(-1) as Uint8Array,
      witness: this.#witnessOf(serverKeys),
      agreement: new Agreement({ site: this.#o, memory, own, check, request: this.#request, emit: this.#emit }),
    };
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

  async #checkPlanIn({ ledger }: SecaggConfig): Promise<void> {
    const { index, text } = this.#planLeaf as { index: number; text: string };
    const { checkpoint, inclusion } = ledger;
    const since = (this.#joined as Joined).witness.seenSize;
    await this.#checkLedger({ index, entry: text, checkpoint, inclusion, since, consistency: [] });
  }

  /** The last entry of the run is verified and cosigned like every other one before this site closes its own account. */
  async #runEnded(payload: unknown): Promise<void> {
    const { run, proof } = parseMessage(runEndedSchema, payload, 'runEnded');
    const { size, root } = await this.#checkLedger(proof);
    this.#emit({ kind: 'ledger', size, root, verified: true });
    await this.#finish(run as unknown as RunView);
  }

  async #finish(run: RunView): Promise<void> {
    await (this.#joined as Joined).agreement.close(run, this.#welcome as Welcome);
    this.#emit({ kind: 'finished', run });
  }

  /** Who takes part from the next round on; pinned only when it is in the ledger. */
  async #rosterChanged(payload: unknown): Promise<void> {
    const { clients, proof } = parseMessage(rosterSchema, payload, 'roster');
    const { entry } = await this.#checkLedger(proof);
    const listed = entry.kind === 'roster.update' && entry['rosterHash'] === rosterHash(clients);
    const own = clients.some(
      (c) => c.clientId === this.#own.clientId && c.publicKey === base64(this.#o.signer.publicKey),
    );
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
    this.#rounds.ended(ended.round, ended.attempt);
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
    const promise = promiseOf(terms.plan);
    if (guarantee === undefined || promise === undefined) return;
    this.#emit({ kind: 'charged', round, guarantee, budgetEpsilon: promise.epsilon, spentEpsilon });
  }

  #roundContext(): RoundContext {
    const { signer, rng, clock } = this.#o;
    return {
      clientId: this.#own.clientId,
      signer,
      serverPublicKey: (this.#joined as Joined).serverKey,
      roster: this.#roster,
      run: (this.#welcome as Welcome).run.id,
      terms: (this.#welcome as Welcome).terms,
      memory: this.#memory,
      trainer: this.#trainer as Trainer,
      rng,
      clock,
      emit: this.#emit,
      send: async (frame) => void (await this.#request('secagg', frame)),
      blob: this.#blob,
      upload: (stream, config, signal) =>
        uploadMasked(stream, config, this.#transport, () => this.#sessionToken(), signal),
    };
  }

  /** Verifies a proof against what was seen, remembers it, and tells the coordinator so with a cosignature. */
  async #checkLedger(proof: unknown): Promise<SeenEntry> {
    const seen = await (this.#joined as Joined).witness.check(proof, (size, index) =>
      this.#request('seen', { size, index }),
    );
    if (seen.extended) await this.#request('cosign', seen.cosign);
    return seen;
  }

  readonly #request = (name: string, payload: unknown): Promise<unknown> => this.#transport.request(name, payload);

  readonly #blob = (sha256: string, signal: AbortSignal): Promise<Uint8Array> =>
    this.#transport.blob(sha256, this.#sessionToken(), signal);

  #sessionToken(): string {
    return (this.#welcome as Welcome).session;
  }
}
