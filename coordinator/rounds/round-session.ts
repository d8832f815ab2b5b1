import { concat, utf8 } from '../../shared/core/bytes.ts';
import type { Clock } from '../../shared/core/clock.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { sha256, sha256Hex } from '../../shared/core/hash.ts';
import type { Signer } from '../../shared/core/signing.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { SecaggFrame } from '../../shared/protocol/messages.ts';
import type { RoundPhase, RoundView } from '../../shared/protocol/views.ts';
import type { SecaggErrorCode } from '../../shared/secagg/errors.ts';
import { addInto, removeMasks } from '../../shared/secagg/mask.ts';
import {
  CLIENT_MESSAGES,
  type ClientMessageName,
  type MessageBody,
  type RosterEntry,
  type SecaggConfig,
  type Signed,
} from '../../shared/secagg/messages.ts';
import { messageFor, openManifest, serverReduce, startServer } from '../../shared/secagg/server.ts';
import type {
  NoiseLeft,
  Phase,
  ServerEffect,
  ServerEvent,
  ServerState,
  ServerStep,
} from '../../shared/secagg/server-state.ts';
import { chunkLength, chunkRange, uploadBytes } from '../../shared/secagg/upload-shape.ts';
import { EventLog } from '../../shared/store/log.ts';
import type { Store } from '../../shared/store/port.ts';
import { type RoundEvent, roundEvent } from './round-events.ts';

export type RoundOutcome =
  | {
      readonly kind: 'summed';
      readonly sid: string;
      readonly survivors: readonly string[];
      readonly sum: Uint32Array;
      readonly noise: NoiseLeft;
    }
  | {
      readonly kind: 'aborted';
      readonly code: string;
      readonly reason: string;
      readonly sid: string | null;
      readonly revealed: boolean;
    };

export interface RoundPorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly signer: Signer;
  /** Delivers a frame to a client if it is connected; a lost one is sent again on reconnection. */
  send(clientId: string, frame: SecaggFrame): void;
  ejected(clientId: string, code: string, reason: string): void;
  changed(): void;
}

/** One chunk of one client's upload. */
interface Place {
  readonly round: number;
  readonly attempt: number;
  readonly clientId: string;
  readonly index: number;
}

/** Bytes of what stands before a chunk in the store. */
export const LABEL_BYTES = 32;

function placeOf({ clientId, index }: Pick<Place, 'clientId' | 'index'>): string {
  return `${clientId}/${index}`;
}

const PHASE_VIEW: Readonly<Record<Phase, RoundPhase>> = {
  advertise: 'training',
  shares: 'shares',
  masked: 'upload',
  consistent: 'consistency',
  unmask: 'unmask',
};

/**
 * Runs one secure-aggregation session: turns messages into events, makes each durable, then carries out what the reducer
 * says. State is the fold of the stream, so a coordinator that was killed opens the same session again and goes on.
 */
export class RoundSession {
  readonly #ports: RoundPorts;
  readonly #log: EventLog<RoundEvent>;
  readonly #accumulator: Uint32Array;
  /** What is kept of uploads, by client and place; a fold of the stream. */
  readonly #chunks = new Map<string, { readonly sha256: string; readonly blob: string }>();
  readonly #keeping = new Map<string, Promise<unknown>>();
  readonly #marks: Partial<Record<RoundPhase, number>> = {};
  readonly #openedAt: number;
  readonly config: SecaggConfig;
  readonly outcome: Promise<RoundOutcome>;
  #settle!: (outcome: RoundOutcome) => void;
  #fail!: (error: unknown) => void;
  #state: ServerState;
  #timer: NodeJS.Timeout | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** Shares were asked for: they may have left clients, also if none arrived, and what was summed may be known if this ends badly. */
  #revealed = false;

  private constructor(
    ports: RoundPorts,
    log: EventLog<RoundEvent>,
    opened: Extract<RoundEvent, { type: 'opened' }>,
    state: ServerState,
  ) {
    this.#ports = ports;
    this.#log = log;
    this.#state = state;
    this.config = opened.config;
    this.#openedAt = opened.at;
    this.#accumulator = new Uint32Array(opened.config.dimension);
    this.outcome = new Promise((resolve, reject) => {
      this.#settle = resolve;
      this.#fail = reject;
    });
    this.outcome.catch(() => undefined);
  }

  static streamOf(run: string, round: number, attempt: number): string {
    return `round/${run}/${round}.${attempt}`;
  }

  /** Opens a new session, or the one that was going on when the process ended: then everything it heard is heard again. */
  static async open(ports: RoundPorts, config: SecaggConfig, roster: readonly RosterEntry[]): Promise<RoundSession> {
    const { log, events } = await EventLog.open(
      ports.store,
      RoundSession.streamOf(config.run, config.round, config.attempt),
      roundEvent,
    );
    let opened = events[0] as Extract<RoundEvent, { type: 'opened' }> | undefined;
    if (opened === undefined) {
      opened = {
        type: 'opened',
        at: ports.clock.now(),
        config,
        roster: roster.map((r) => ({ clientId: r.clientId, publicKey: Buffer.from(r.publicKey).toString('base64') })),
      };
      await log.append(opened);
    }
    const entries = opened.roster.map((r) => ({
      clientId: r.clientId,
      publicKey: new Uint8Array(Buffer.from(r.publicKey, 'base64')),
    }));
    const first = startServer({ config: opened.config, signer: ports.signer, roster: entries });
    const session = new RoundSession(ports, log, opened, first.state);
    await session.#replay(first.effects, events.slice(1));
    return session;
  }

  get phase(): ServerState['phase'] {
    return this.#state.phase;
  }

  /** A client's frame. Resolves when it is durable. @throws ROUND_CLOSED, MESSAGE_INVALID, the code of an ejection */
  async receive(clientId: string, frame: SecaggFrame): Promise<void> {
    const { config } = this;
    if (frame.round !== config.round || frame.attempt !== config.attempt || this.#closed) {
      throw new TacitError<ProtocolErrorCode>('ROUND_CLOSED', `round ${frame.round}.${frame.attempt} is not open`, {
        where: frame.name,
      });
    }
    if (!(CLIENT_MESSAGES as readonly string[]).includes(frame.name)) {
      throw new TacitError<ProtocolErrorCode>('MESSAGE_INVALID', 'not a message of a client', {
        where: frame.name.slice(0, 32),
      });
    }
    const name = frame.name as ClientMessageName;
    if (name === 'masked') await this.#uploaded(clientId, frame.signed);
    else await this.#happen({ kind: 'message', from: clientId, name, signed: frame.signed });
    const code = this.#state.ejected.get(clientId);
    if (code !== undefined)
      throw new TacitError(code, 'this client has no seat in this round any more', { where: name });
  }

  /**
   * Keeps one chunk of a masked upload, durably. The same again is a retransmission; another one for its place is refused: what
   * a client has under its masks is one thing.
   * @throws ROUND_CLOSED, MESSAGE_INVALID, SECAGG_EQUIVOCATION
   */
  async acceptChunk(upload: Place & { readonly bytes: Uint8Array }): Promise<string> {
    const { config } = this;
    this.#checkUploads(upload);
    if (upload.bytes.length === 0 || upload.bytes.length !== chunkLength(config, upload.index)) {
      throw new TacitError<ProtocolErrorCode>(
        'MESSAGE_INVALID',
        `chunk ${upload.index} has ${upload.bytes.length} bytes`,
        { where: 'upload' },
      );
    }
    const place = placeOf(upload);
    const mine = (this.#keeping.get(place) ?? Promise.resolve()).then(() => this.#keep(upload));
    this.#keeping.set(
      place,
      mine.catch(() => undefined),
    );
    return mine;
  }

  async #keep({ clientId, index, bytes }: Place & { readonly bytes: Uint8Array }): Promise<string> {
    const place = placeOf({ clientId, index });
    const sha256 = sha256Hex(bytes);
    const before = this.#chunks.get(place);
    if (before?.sha256 === sha256) return sha256;
    if (before !== undefined) {
      throw new TacitError<SecaggErrorCode>('SECAGG_EQUIVOCATION', `${clientId} sent another chunk ${index} before`, {
        where: 'upload',
      });
    }
    const blob = await this.#ports.store.putBlob(concat(this.#labelOf(place), bytes));
    await this.#log.append({ type: 'chunk', clientId, index, sha256, blob });
    this.#chunks.set(place, { sha256, blob });
    return sha256;
  }

  /**
   * Stands before a chunk in the store. Blobs are named by their content and chunks are deleted after the round: without it a
   * client could send as a chunk what the store has for another reason, the weights for one, and have that deleted.
   */
  #labelOf(place: string): Uint8Array {
    return sha256(utf8(`${this.#log.stream}\0${place}`));
  }

  /** SHA-256 of the chunk that is kept at a place of a client's upload. @throws ROUND_CLOSED */
  heldChunk(place: Place): string | undefined {
    this.#checkUploads(place);
    return this.#chunks.get(placeOf(place))?.sha256;
  }

  #checkUploads({ round, attempt, clientId }: Place): void {
    const { config } = this;
    const same = round === config.round && attempt === config.attempt;
    const open = same && !this.#closed && this.#state.phase === 'masked';
    if (!open || !config.cohort.includes(clientId)) {
      throw new TacitError<ProtocolErrorCode>('ROUND_CLOSED', 'this round takes no upload from this client now', {
        where: `${round}.${attempt}`,
      });
    }
  }

  gone(clientId: string): void {
    if (!this.#closed) this.#happen({ kind: 'gone', from: clientId }).catch((error) => this.#fail(error));
  }

  /** What a client that (re)connected should hear now. */
  frameFor(clientId: string): SecaggFrame | undefined {
    const message = messageFor(this.#state, clientId);
    return message && this.#frame(message.name, message.signed);
  }

  /** Ends the session without a sum. */
  cancel(code: string, reason: string): void {
    this.#end({ kind: 'aborted', code, reason, sid: this.#state.group?.sidHex ?? null, revealed: this.#revealed });
  }

  /** Counts and times so far. */
  summary(): Pick<RoundView, 'phase' | 'funnel' | 'seconds' | 'bytesUpPerClient'> {
    const { answers, config, group, phase } = this.#state;
    const shown: RoundPhase = phase === 'finished' ? 'merge' : phase === 'aborted' ? 'aborted' : PHASE_VIEW[phase];
    return {
      phase: shown,
      funnel: {
        invited: config.cohort.length,
        advertised: answers.advertise.size,
        shared: answers.shares.size,
        uploaded: answers.masked.size,
        survived: group?.survivors.length ?? 0,
        unmasked: answers.unmask.size,
      },
      seconds: { ...this.#marks },
      bytesUpPerClient: uploadBytes(config),
    };
  }

  /** Forgets the uploads once the round's result, or its end, is durable elsewhere. */
  async deleteUploads(): Promise<void> {
    for (const { blob } of this.#chunks.values()) await this.#ports.store.deleteBlob(blob);
  }

  async #uploaded(clientId: string, manifest: unknown): Promise<void> {
    const body = openManifestOrUndefined(this.#state, clientId, manifest);
    for (const [index, sha256] of (body?.chunks ?? []).entries()) {
      if (this.#chunks.get(placeOf({ clientId, index }))?.sha256 !== sha256) {
        throw new TacitError<ProtocolErrorCode>('MESSAGE_INVALID', `chunk ${index} has not arrived`, {
          where: 'masked',
          fix: 'Upload it, then send the manifest again.',
        });
      }
    }
    await this.#happen({ kind: 'uploaded', from: clientId, manifest });
  }

  /**
   * Durable first, then the state, then the effects; one after the other. What changes nothing is not written down: whoever
   * repeats itself, or has no seat any more, fills no disk.
   */
  #happen(event: ServerEvent): Promise<void> {
    const done = this.#queue.then(async () => {
      if (this.#closed) return;
      const step = serverReduce(this.#state, event);
      if (step.state === this.#state && step.effects.length === 0) return;
      const at = this.#ports.clock.now();
      await this.#log.append({ type: 'event', at, event });
      // Cancelled while it was written: what was told of the end, that no shares were asked for, has to stay true.
      if (this.#closed) return;
      await this.#takeOrAbort(step, at, true);
      this.#ports.changed();
    });
    this.#queue = done.catch(() => undefined);
    return done;
  }

  /** A sum that an upload is in by half is no sum: whatever fails after an event was written ends the session. */
  async #takeOrAbort(step: ServerStep, at: number, live: boolean): Promise<void> {
    try {
      await this.#take(step, at, live);
    } catch (error) {
      if (!(error instanceof TacitError)) {
        this.#closed = true;
        clearTimeout(this.#timer);
        this.#fail(error);
        throw error;
      }
      this.cancel(error.code, error.message);
    }
  }

  async #take({ state, effects }: ServerStep, at: number, live: boolean): Promise<void> {
    const before = this.#state.phase;
    this.#state = state;
    if (before !== state.phase) this.#mark(before, at);
    for (const effect of effects) await this.#carryOut(effect, live);
  }

  /** What was done before is not done again. Who has something to say now is asked with `frameFor`, once for all ways to get here. */
  async #replay(first: readonly ServerEffect[], events: readonly RoundEvent[]): Promise<void> {
    for (const effect of first) await this.#carryOut(effect, false);
    for (const entry of events) {
      if (entry.type === 'chunk') this.#chunks.set(placeOf(entry), entry);
      if (entry.type === 'event' && !this.#closed)
        await this.#takeOrAbort(serverReduce(this.#state, entry.event), entry.at, false);
    }
    const { phase } = this.#state;
    if (!this.#closed && phase !== 'finished' && phase !== 'aborted') this.#arm(phase, this.#deadlineOf(phase));
  }

  async #carryOut(effect: ServerEffect, live: boolean): Promise<void> {
    switch (effect.kind) {
      case 'send':
        if (effect.name === 'signatures') this.#revealed = true;
        if (live) this.#ports.send(effect.to, this.#frame(effect.name, effect.signed));
        return;
      case 'deadline':
        if (live) this.#arm(effect.phase, effect.timeoutMs);
        return;
      case 'eject':
        if (live) this.#ports.ejected(effect.clientId, effect.code, effect.reason);
        return;
      case 'add':
        return this.#add(effect.clientId, effect.manifest);
      case 'unmask':
        return removeMasks(this.#accumulator, effect);
      case 'finished':
        return this.#end({
          kind: 'summed',
          sid: this.#state.group?.sidHex as string,
          survivors: effect.survivors,
          sum: this.#accumulator,
          noise: effect.noise,
        });
      case 'abort':
        return this.cancel(effect.code, effect.reason);
    }
  }

  async #add(clientId: string, manifest: MessageBody<'masked'>): Promise<void> {
    for (const index of manifest.chunks.keys()) {
      const [begin] = chunkRange(this.config, index);
      const { blob } = this.#chunks.get(placeOf({ clientId, index })) as { blob: string };
      const stored = await this.#ports.store.getBlob(blob);
      addInto(this.#accumulator, stored.subarray(LABEL_BYTES), begin, this.config.ringBits);
    }
  }

  #frame(name: SecaggFrame['name'], signed: Signed): SecaggFrame {
    return { round: this.config.round, attempt: this.config.attempt, name, signed };
  }

  #arm(phase: Phase, timeoutMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#happen({ kind: 'deadline', phase }).catch((error) => this.#fail(error));
    }, timeoutMs);
  }

  #deadlineOf(phase: Phase): number {
    const { deadlines } = this.config;
    return deadlines[`${phase}Ms`];
  }

  #mark(phase: ServerState['phase'], at: number): void {
    if (phase === 'finished' || phase === 'aborted') return;
    const spent = Object.values(this.#marks).reduce((a, b) => a + b, 0);
    this.#marks[PHASE_VIEW[phase]] = (at - this.#openedAt) / 1000 - spent;
  }

  #end(outcome: RoundOutcome): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#settle(outcome);
  }
}

/** A manifest that the reducer will refuse is handed to it all the same: it ejects its sender with the right code. */
function openManifestOrUndefined(
  state: ServerState,
  from: string,
  manifest: unknown,
): MessageBody<'masked'> | undefined {
  try {
    return openManifest(state, from, manifest);
  } catch (error) {
    if (error instanceof TacitError) return undefined;
    throw error;
  }
}
