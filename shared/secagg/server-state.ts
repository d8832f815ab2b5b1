import type { GrowingMap } from '../core/growing-map.ts';
import type { Signer } from '../core/signing.ts';
import type { NoiseLadder } from '../privacy/noise-ladder.ts';
import type { SecaggErrorCode } from './errors.ts';
import type { Graph } from './graph.ts';
import type { UnmaskPlan } from './mask.ts';
import type {
  ClientMessageName,
  MessageBody,
  RosterEntry,
  SecaggConfig,
  ServerMessageName,
  Signed,
} from './messages.ts';

/** The phases that wait for clients, in order; each is named after the message it waits for. */
export const PHASES = ['advertise', 'shares', 'masked', 'consistent', 'unmask'] as const;
export type Phase = (typeof PHASES)[number];

/** What happens to a session. The shell makes each event durable before it carries out the effects. */
export type ServerEvent =
  | {
      readonly kind: 'message';
      readonly from: string;
      readonly name: Exclude<ClientMessageName, 'masked'>;
      readonly signed: unknown;
    }
  /** Every chunk that the signed manifest lists has arrived, with its hash, and is durable. */
  | { readonly kind: 'uploaded'; readonly from: string; readonly manifest: unknown }
  | { readonly kind: 'deadline'; readonly phase: Phase }
  /** The connection is lost: nobody waits for this client until it says something again. */
  | { readonly kind: 'gone'; readonly from: string };

export type ServerEffect =
  | { readonly kind: 'send'; readonly to: string; readonly name: ServerMessageName; readonly signed: Signed }
  /** Come back with `deadline` after this time. */
  | { readonly kind: 'deadline'; readonly phase: Phase; readonly timeoutMs: number }
  /** This client has no seat in this session any more; tell it why. */
  | { readonly kind: 'eject'; readonly clientId: string; readonly code: SecaggErrorCode; readonly reason: string }
  /** Add this client's chunks to the accumulator, once. From here on it is in the sum. */
  | { readonly kind: 'add'; readonly clientId: string; readonly manifest: MessageBody<'masked'> }
  /** Call `removeMasks` on the accumulator. */
  | ({ readonly kind: 'unmask' } & UnmaskPlan)
  | { readonly kind: 'finished'; readonly survivors: readonly string[]; readonly noise: NoiseLeft }
  | {
      readonly kind: 'abort';
      readonly code: SecaggErrorCode;
      readonly reason: string;
      readonly culprits: readonly string[];
    };

/** The noise in an opened sum. */
export interface NoiseLeft {
  /** Standard deviation of the sum's noise, all survivors' together, in ring units; 0 for a run without privacy. */
  readonly sigma: number;
  /** Survivors whose surplus could not be taken away, because what they shared was not what they had committed to. */
  readonly unremoved: readonly string[];
}

/** What each phase collected: the signed message and its checked body. */
export interface Answer<N extends ClientMessageName> {
  readonly signed: Signed;
  readonly body: MessageBody<N>;
}
export type Answers = { readonly [N in Phase]: GrowingMap<string, Answer<N>> };

/** One session. A fold of the events: the same events give the same state and effects. */
export interface ServerState {
  readonly config: SecaggConfig;
  readonly signer: Signer;
  readonly roster: ReadonlyMap<string, RosterEntry>;
  /** H(M0), hex, and M0 as sent. */
  readonly session: string;
  readonly configMessage: Signed;
  readonly phase: Phase | 'finished' | 'aborted';
  readonly cohort: ReadonlySet<string>;
  /** Who may answer in this phase, sorted: those who answered the one before. */
  readonly expected: ReadonlySet<string>;
  readonly answers: Answers;
  /** Keys that are taken. */
  readonly advertisedKeys: GrowingMap<string, true>;
  /** How many holders complained about a dealer. */
  readonly complaints: ReadonlyMap<string, number>;
  readonly ejected: GrowingMap<string, SecaggErrorCode>;
  readonly gone: ReadonlySet<string>;
  /** U1 with everything that follows from it; undefined while keys are being advertised. */
  readonly group: Group | undefined;
}

/** Who takes part, from the list of keys on. */
export interface Group {
  readonly sid: Uint8Array;
  /** Hex of `sid`. */
  readonly sidHex: string;
  /** U1, sorted by id. */
  readonly peers: readonly MessageBody<'advertise'>[];
  readonly positions: ReadonlyMap<string, number>;
  readonly graph: Graph;
  readonly ladder: NoiseLadder;
  /** U2, U3, sorted; empty until known. */
  readonly members: readonly string[];
  readonly membersSet: ReadonlySet<string>;
  readonly survivors: readonly string[];
  readonly survivorsSet: ReadonlySet<string>;
}

export interface ServerStep {
  readonly state: ServerState;
  readonly effects: readonly ServerEffect[];
}

/** True while the session waits for clients. */
export function isPhase(phase: ServerState['phase']): phase is Phase {
  return phase !== 'finished' && phase !== 'aborted';
}

/** True on the complete graph, where one message serves all and t answers open everything. */
export function everyoneHolds({ graph }: Group): boolean {
  return graph.holders(0).length === graph.size;
}
