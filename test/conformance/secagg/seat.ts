import { base64 } from '../../../shared/core/bytes.ts';
import { errorCode, TacitError } from '../../../shared/core/errors.ts';
import { systemRng } from '../../../shared/core/rng.ts';
import { type Signer, signerFromSeed } from '../../../shared/core/signing.ts';
import type { ParticipantEvent } from '../../../shared/participant/events.ts';
import type { Policy } from '../../../shared/participant/policy.ts';
import { runParticipant } from '../../../shared/participant/session.ts';
import { openTransport, type ParticipantTransport } from '../../../shared/participant/transport.ts';
import type { ProtocolErrorCode } from '../../../shared/protocol/errors.ts';
import type { SecaggFrame } from '../../../shared/protocol/messages.ts';
import { type ClientMessageName, type MessageBody, type Signed, signMessage } from '../../../shared/secagg/messages.ts';
import { createMemoryStore } from '../../../shared/store/memory.ts';

/** What a scripted client does instead of sending one of its messages. */
export interface Fault {
  readonly on: ClientMessageName | 'chunk';
  /** It only waits: what it says is what an honest client says. */
  readonly honest?: true;
  act(tools: FaultTools): Promise<void>;
}

export interface FaultTools {
  readonly seat: Seat;
  /** As it would have been sent. */
  readonly frame: SecaggFrame;
  /** Says it over the real connection; a refusal is noted, not thrown. */
  say(frame: SecaggFrame): Promise<void>;
  /** The frame with another body, signed by `signer`. */
  signed(body: object, signer?: Signer, name?: ClientMessageName): SecaggFrame;
  /** The upload of a chunk that was called for. Absent unless the fault is on `chunk`. */
  chunk?: {
    readonly bytes: Uint8Array;
    put(change: { bytes?: Uint8Array; sha256?: string; index?: number }): Promise<void>;
  };
}

/** How far a seat's own coordinate moves the sum. */
export const STEP = 0.5;

/** One client in one run: this repository's participant over a real connection, with a trainer that trains nothing. */
export class Seat {
  /** Rules that allow the plan of the conformance tests and nothing else. */
  static readonly policy: Policy = {
    maximumEpsilon: 1,
    maximumDelta: 1e-3,
    maximumEpsilonPerPeriod: 1,
    minimumCohort: 4,
    minimumColluders: 1,
    maximumRounds: 10,
    scopes: ['conformance'],
    withoutPrivacy: true,
  };
  readonly index: number;
  readonly signer: Signer = signerFromSeed(systemRng.bytes(32));
  readonly events: ParticipantEvent[] = [];
  /** Weights that each call to train began with. */
  readonly weights: Float32Array[] = [];
  /** Codes with which the coordinator refused what this seat said. */
  readonly refusals: string[] = [];
  readonly #stopping = new AbortController();
  #fault: Fault | undefined;
  #ended: Promise<void> | undefined;

  /** @param index - from 0; its update is one step along this coordinate */
  constructor(index: number, fault?: Fault) {
    this.index = index;
    this.#fault = fault;
  }

  join(link: string): void {
    const session = runParticipant({
      link,
      organisation: `conformance ${this.index + 1}`,
      answer: async () => ({ policy: Seat.policy, records: [{ id: 'conformance:1', text: 'none', label: 'none' }] }),
      createTrainer: async () => ({
        update: async ({ flat }) => {
          this.weights.push(flat.slice());
          const sum = new Float32Array(flat.length);
          sum[this.index] = STEP;
          return { sum, units: 1, examples: 1, loss: 0 };
        },
        dispose: async () => undefined,
      }),
      engineName: 'conformance',
      signer: this.signer,
      store: createMemoryStore(),
      rng: systemRng,
      clock: Date,
      signal: this.#stopping.signal,
      transport: (url) => this.#faulty(openTransport(url)),
    });
    this.#ended = (async () => {
      for await (const event of session) this.events.push(event);
    })();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
  }

  /** Breaks the connection for good. */
  vanish(): never {
    this.#stopping.abort();
    throw new TacitError<ProtocolErrorCode>('CONNECTION_LOST', 'the script says so');
  }

  #faulty(wire: ParticipantTransport): ParticipantTransport {
    return {
      ...wire,
      request: async (name, payload) => {
        const frame = payload as SecaggFrame;
        if (name !== 'secagg') return wire.request(name, payload);
        if (!this.#due(frame.name)) return this.#watched(() => wire.request(name, payload));
        await this.#act({
          seat: this,
          frame,
          say: (said) => this.#noted(() => wire.request('secagg', said)),
          signed: (body, signer = this.signer, as = frame.name as ClientMessageName) => ({
            ...frame,
            name: as,
            signed: signMessage(as, body as MessageBody<ClientMessageName>, signer),
          }),
        });
        return undefined;
      },
      putChunk: async (path, bytes, session, signal, sha256) => {
        if (!this.#due('chunk')) return this.#watched(() => wire.putChunk(path, bytes, session, signal, sha256));
        const put = (change: { bytes?: Uint8Array; sha256?: string; index?: number }): Promise<void> =>
          this.#noted(() =>
            wire.putChunk(
              change.index === undefined ? path : path.replace(/\d+$/, `${change.index}`),
              change.bytes ?? bytes,
              session,
              signal,
              change.sha256 ?? sha256,
            ),
          );
        const none = async (): Promise<void> => undefined;
        const frame = { round: 1, attempt: 1, name: 'chunk', signed: undefined };
        await this.#act({ seat: this, frame, say: none, signed: () => frame, chunk: { bytes, put } });
      },
    };
  }

  #due(name: string): boolean {
    return this.#fault?.on === name;
  }

  /** A fault is committed once. */
  async #act(tools: FaultTools): Promise<void> {
    const fault = this.#fault;
    this.#fault = undefined;
    await fault?.act(tools);
  }

  /**
   * The last phase closes with enough answers, connections break, and a seat that stops breaks off its own uploads (AbortError):
   * what came after, or not at all, is no refusal.
   */
  async #watched<T>(say: () => Promise<T>): Promise<T> {
    try {
      return await say();
    } catch (error) {
      const code = errorCode(error) ?? String(error);
      const stopped = error instanceof Error && error.name === 'AbortError';
      if (!stopped && code !== 'CONNECTION_LOST' && code !== 'ROUND_CLOSED') this.refusals.push(code);
      throw error;
    }
  }

  async #noted(say: () => Promise<unknown>): Promise<void> {
    await this.#watched(say).catch(() => undefined);
  }
}

/** The body of a frame. */
export function bodyOf<N extends ClientMessageName>(frame: SecaggFrame, _: N): MessageBody<N> {
  return structuredClone((frame.signed as Signed).body) as MessageBody<N>;
}

export const bytes32 = (fill: number): string => base64(new Uint8Array(32).fill(fill));
