import type { Rng } from '../core/rng.ts';
import type { Signer } from '../core/signing.ts';
import type { NoiseComponent } from '../privacy/component-noise.ts';
import type { NoiseLadder } from '../privacy/noise-ladder.ts';
import type { ClientRecord } from './client-checks.ts';
import type { SecaggErrorCode } from './errors.ts';
import type { Graph } from './graph.ts';
import type { KeyContext, KeyPair } from './keys.ts';
import type { MaskStream } from './mask.ts';
import type {
  ClientMessageName,
  MessageBody,
  Open,
  RosterEntry,
  SecaggConfig,
  ServerMessageName,
  Signed,
} from './messages.ts';
import type { HeldShares } from './shares.ts';

/** What happens to a client. Messages are attacker-controlled. */
export type ClientEvent =
  | { readonly kind: 'message'; readonly name: ServerMessageName; readonly signed: unknown }
  /** the upload is made; SHA-256 (hex) of each chunk of the upload, see `MaskedStream.hashes`. */
  | { readonly kind: 'masked'; readonly chunks: readonly string[] }
  | { readonly kind: 'cancel'; readonly reason: string };

/** What the shell must do, in this order. A `persist` must be durable before the effects after it. */
export type ClientEffect =
  | { readonly kind: 'persist'; readonly record: ClientRecord }
  /** `masked` is the upload's manifest: it goes with the chunks; all others go over the control channel. */
  | { readonly kind: 'send'; readonly name: ClientMessageName; readonly signed: Signed }
  /** Add the noise with `noisedStream`, call `maskStream` on the result, then come back with `masked`. */
  | {
      readonly kind: 'mask';
      readonly noise: readonly NoiseComponent[];
      readonly streams: readonly MaskStream[];
      /** Seed of the session's rotation, which everybody may know. */
      readonly rotation: Uint8Array;
    }
  | { readonly kind: 'abort'; readonly code: SecaggErrorCode; readonly reason: string }
  | { readonly kind: 'done' };

/** Everything that stays the same through a session. */
export interface Fixed {
  readonly clientId: string;
  readonly signer: Signer;
  readonly serverPublicKey: Uint8Array;
  readonly roster: ReadonlyMap<string, RosterEntry>;
  readonly rng: Rng;
  readonly open: Open;
  readonly config: SecaggConfig;
  /** H(M0), hex. */
  readonly session: string;
  /** Fewest clients that the sum may be of. */
  readonly needed: number;
}

/** After the list of keys: the session has its id. */
export interface Joined {
  readonly context: KeyContext;
  /** Hex of `context.sid`. */
  readonly sid: string;
  /** U1, sorted by id. */
  readonly peers: readonly MessageBody<'advertise'>[];
  readonly graph: Graph;
  readonly position: number;
  readonly ladder: NoiseLadder;
  /** My own share of my own secrets. */
  readonly ownShare: HeldShares;
}

/** My own secrets, until the masks are derived. */
export interface Dealt {
  readonly channel: KeyPair;
  readonly mask: KeyPair;
  /** b_u. */
  readonly seed: Uint8Array;
  /** s_0, which nobody else ever holds a share of. */
  readonly noiseSeed: Uint8Array;
}

/** After the inbox: what neighbours entrusted to me; undefined is a complaint. */
export interface Holding {
  readonly members: ReadonlySet<string>;
  readonly held: ReadonlyMap<string, HeldShares | undefined>;
}

export type Progress =
  | {
      readonly step: 'advertised';
      readonly own: MessageBody<'advertise'>;
      readonly channel: KeyPair;
      readonly mask: KeyPair;
    }
  | ({ readonly step: 'shared' } & Dealt & Joined)
  | ({ readonly step: 'masking' | 'uploaded' } & Joined & Holding)
  | ({ readonly step: 'signed'; readonly survivors: readonly string[]; readonly survivorsHash: string } & Joined &
      Holding)
  | { readonly step: 'done' }
  | { readonly step: 'aborted'; readonly code: SecaggErrorCode; readonly reason: string };

/** One client in one session. Secrets in it are erased in place when they are no longer needed. */
export interface ClientState {
  readonly fixed: Fixed | undefined;
  readonly progress: Progress;
  /** Digest of each server message acted upon, and the answer, for retransmissions. */
  readonly answered: ReadonlyMap<
    ServerMessageName,
    { readonly digest: string; readonly reply: readonly ClientEffect[] }
  >;
}

export interface ClientStep {
  readonly state: ClientState;
  readonly effects: readonly ClientEffect[];
}
