import { base64, fromBase64, fromHex, hex, utf8 } from '../../shared/core/bytes.ts';
import { type Clock, isoTime } from '../../shared/core/clock.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import type { Rng } from '../../shared/core/rng.ts';
import { verifySignature } from '../../shared/core/signing.ts';
import type { Entry } from '../../shared/ledger/entries.ts';
import { type Handover, handoverOperation } from '../../shared/ledger/key-chain.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import { clientIdThrough } from '../../shared/protocol/client-chain.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import {
  type Challenge,
  type Hello,
  helloContext,
  PROTOCOL_VERSION,
  signedBytes,
} from '../../shared/protocol/messages.ts';
import { EventLog } from '../../shared/store/log.ts';
import type { Store } from '../../shared/store/port.ts';
import type { Connection } from '../realtime/gateway.ts';
import type { InvitationRequest } from '../service.ts';
import { type ClientsEvent, clientsEvent } from './client-events.ts';
import { ClientKeys } from './client-keys.ts';

export interface Enrolled {
  readonly run: string;
  readonly clientId: string;
  /** Hex. */
  readonly publicKey: string;
  readonly organisation: string;
}

interface Invitation {
  readonly run: string;
  readonly organisation: string | null;
  readonly uses: number;
  readonly expiresAt: number;
  readonly usedBy: Set<string>;
}

/** Whose key was lost, and what the ledger says about it. */
export interface Replacement {
  readonly clientId: string;
  readonly reason: string;
}

interface Live {
  readonly connection: Connection;
  readonly session: string;
  readonly run: string;
  /** Size of the ledger that this client verified last. */
  seen: number;
  /** Hash of the roster that it was sent last. */
  roster: string;
}

/** Who may take part (invitations, enrolled keys) and who is here (connections, session tokens). */
export class Participants {
  readonly #log: EventLog<ClientsEvent>;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #invitations = new Map<string, Invitation>();
  readonly #enrolled = new Map<string, Enrolled>();
  readonly #keys = new ClientKeys();
  readonly #live = new Map<string, Live>();
  readonly #sessions = new Map<string, string>();
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(
    log: EventLog<ClientsEvent>,
    events: readonly ClientsEvent[],
    ledger: Ledger,
    clock: Clock,
    rng: Rng,
  ) {
    this.#log = log;
    this.#ledger = ledger;
    this.#clock = clock;
    this.#rng = rng;
    for (const event of events) this.#apply(event);
  }

  static async open(store: Store, ledger: Ledger, clock: Clock, rng: Rng): Promise<Participants> {
    const { log, events } = await EventLog.open(store, 'clients', clientsEvent);
    const participants = new Participants(log, events, ledger, clock, rng);
    for (const { entry } of await ledger.entries(0)) participants.#follow(entry);
    return participants;
  }

  /** A new invitation's token, base64url; only its hash is kept. */
  async invite(run: string, request: Omit<InvitationRequest, 'replaces'>): Promise<string> {
    const token = base64(this.#rng.bytes(24)).replaceAll('+', '-').replaceAll('/', '_');
    await this.#append({
      type: 'invited',
      at: isoTime(this.#clock),
      run,
      tokenHash: sha256Hex(utf8(token)),
      organisation: request.organisation ?? null,
      uses: request.uses,
      expiresAt: request.expiresAt,
    });
    return token;
  }

  /**
   * Ends the key of a client that lost it, in the ledger, and invites whoever comes in its place to its seat.
   * @throws NOT_FOUND when this run has no such client
   */
  async replace(run: string, request: InvitationRequest, { clientId, reason }: Replacement): Promise<string> {
    const lost = this.#enrolled.get(clientId);
    if (lost?.run !== run)
      throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'this run has no such client', {
        where: clientId,
        fix: '"tacit run show RUN --json" names them.',
      });
    const { organisation } = lost;
    const token = await this.invite(run, { organisation, uses: 1, expiresAt: request.expiresAt });
    const invitation = sha256Hex(utf8(token));
    const publicKey = base64(fromHex(lost.publicKey));
    const { entry } = await this.#ledger.append(
      { kind: 'key.revoke', clientId, publicKey, invitation, run, organisation, reason },
      `key.revoke/${clientId}/${invitation}`,
    );
    await this.#ledger.checkpoint();
    this.#follow(entry);
    this.#drop(clientId, 'the operator ended this key');
    return token;
  }

  /**
   * Admits a client: the hello's signature over this connection's nonce, then an enrolled key or a valid invitation. One seat
   * an organisation, because Sybils defeat secure aggregation and distributed noise alike. A client that changed its key shows
   * how; the changes are in the ledger before it counts.
   * @throws KEY_RETIRED, PROTOCOL_VERSION, SIGNATURE_INVALID, INVITATION_UNKNOWN, INVITATION_EXPIRED, INVITATION_USED, SEAT_TAKEN
   */
  admit(hello: Hello, challenge: Challenge): Promise<Enrolled> {
    const { signature, ...body } = hello;
    if (hello.protocol !== PROTOCOL_VERSION) {
      throw refused(
        'PROTOCOL_VERSION',
        `this coordinator speaks ${PROTOCOL_VERSION}, the client ${hello.protocol}`,
        'Update the older side.',
      );
    }
    const publicKey = fromBase64(hello.publicKey);
    if (!verifySignature(publicKey, signedBytes('hello', helloContext(body, challenge)), fromBase64(signature))) {
      throw refused('SIGNATURE_INVALID', 'the hello is not signed by the key that it names');
    }
    // One after the other: two hellos with the last use of one invitation must not both get it.
    const mine = this.#turn.then(() => this.#enrol(hello, publicKey));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /** Notes the connection of an admitted client and gives it its session token. An older connection of the same key is closed. */
  connect(client: Enrolled, connection: Connection, seen: number): string {
    this.#drop(client.clientId, 'this client has connected again');
    const session = hex(this.#rng.bytes(32));
    this.#live.set(client.clientId, { connection, session, run: client.run, seen, roster: '' });
    this.#sessions.set(session, client.clientId);
    return session;
  }

  /** True when it was this client's current connection that went. */
  disconnect(clientId: string, connection: Connection): boolean {
    const live = this.#live.get(clientId);
    if (live?.connection !== connection) return false;
    this.#sessions.delete(live.session);
    this.#live.delete(clientId);
    return true;
  }

  enrolled(clientId: string): Enrolled | undefined {
    return this.#enrolled.get(clientId);
  }

  enrolledIn(run: string): readonly Enrolled[] {
    return [...this.#enrolled.values()].filter((e) => e.run === run);
  }

  live(clientId: string): Live | undefined {
    return this.#live.get(clientId);
  }

  connectedTo(run: string): ReadonlySet<string> {
    return new Set([...this.#live].filter(([, live]) => live.run === run).map(([id]) => id));
  }

  authorise(session: string): { readonly clientId: string; readonly runId: string } | undefined {
    const clientId = this.#sessions.get(session);
    const live = clientId === undefined ? undefined : this.#live.get(clientId);
    return clientId === undefined || live === undefined ? undefined : { clientId, runId: live.run };
  }

  #drop(clientId: string, reason: string): void {
    const live = this.#live.get(clientId);
    if (live === undefined) return;
    this.disconnect(clientId, live.connection);
    live.connection.close(reason);
  }

  async #enrol(hello: Hello, publicKey: Uint8Array): Promise<Enrolled> {
    const handovers = hello.handovers ?? [];
    const clientId = clientIdThrough(publicKey, handovers);
    if (this.#keys.isRetired(hex(publicKey))) throw retired();
    const known = await this.#knownUnder(publicKey, clientId, handovers);
    const tokenHash = hello.token === null ? '' : sha256Hex(utf8(hello.token));
    const invitation = this.#invitations.get(tokenHash);
    // An enrolled key needs no invitation for its run; with one, it may move on to another run.
    if (known !== undefined && (invitation === undefined || invitation.run === known.run)) return known;
    if (invitation === undefined)
      throw refused('INVITATION_UNKNOWN', 'no such invitation', 'Ask the operator for a join code.');
    if (invitation.expiresAt < this.#clock.now()) {
      throw refused(
        'INVITATION_EXPIRED',
        `the invitation expired at ${new Date(invitation.expiresAt).toISOString()}`,
        'Ask the operator for a new join code.',
      );
    }
    if (invitation.usedBy.size >= invitation.uses && !invitation.usedBy.has(clientId)) {
      throw refused(
        'INVITATION_USED',
        `the invitation was used ${invitation.uses} time(s), as often as it may be`,
        'Ask the operator for a join code of your own.',
      );
    }
    const organisation = invitation.organisation ?? hello.organisation;
    const seat = [...this.#enrolled.values()].find(
      (e) =>
        e.run === invitation.run &&
        e.organisation === organisation &&
        e.clientId !== clientId &&
        !this.#keys.isRevoked(e.clientId),
    );
    if (seat !== undefined) {
      throw refused(
        'SEAT_TAKEN',
        `${organisation} has a seat in this run already, under another key`,
        'Use the state folder that joined first, or another organisation name.',
      );
    }
    const event = {
      type: 'enrolled',
      at: isoTime(this.#clock),
      run: invitation.run,
      tokenHash,
      clientId,
      publicKey: hex(publicKey),
      organisation,
    } as const;
    await this.#append(event);
    return this.#enrolled.get(clientId) as Enrolled;
  }

  /** An enrolled client, once the changes from the key that is known to the one that says hello are in the ledger. */
  async #knownUnder(
    publicKey: Uint8Array,
    clientId: string,
    handovers: readonly Handover[],
  ): Promise<Enrolled | undefined> {
    const known = this.#enrolled.get(clientId);
    if (known === undefined || known.publicKey === hex(publicKey)) return known;
    const from = handovers.findIndex(({ change }) => hex(fromBase64(change.oldPublicKey)) === known.publicKey);
    if (from < 0 || this.#keys.isRevoked(clientId)) throw retired();
    for (const handover of handovers.slice(from)) {
      const { entry } = await this.#ledger.append({ kind: 'key.rotate', ...handover }, handoverOperation(handover));
      this.#follow(entry);
    }
    await this.#ledger.checkpoint();
    return this.#enrolled.get(clientId);
  }

  #follow(entry: Entry): void {
    const changed = this.#keys.follow(entry);
    const known = changed === undefined ? undefined : this.#enrolled.get(changed.clientId);
    if (changed === undefined || known?.publicKey !== changed.before) return;
    this.#enrolled.set(changed.clientId, { ...known, publicKey: changed.after });
  }

  async #append(event: ClientsEvent): Promise<void> {
    await this.#log.append(event);
    this.#apply(event);
  }

  #apply(event: ClientsEvent): void {
    if (event.type === 'invited') {
      const { run, organisation, uses, expiresAt } = event;
      this.#invitations.set(event.tokenHash, { run, organisation, uses, expiresAt, usedBy: new Set() });
      return;
    }
    const { run, clientId, publicKey, organisation } = event;
    this.#invitations.get(event.tokenHash)?.usedBy.add(clientId);
    this.#enrolled.set(clientId, { run, clientId, publicKey, organisation });
  }
}

function retired(): TacitError<ProtocolErrorCode> {
  return refused(
    'KEY_RETIRED',
    'this key was given up: it handed over to another one, or the operator ended it',
    'Start with the state folder that has the present key, or ask the operator for an invitation that replaces it.',
  );
}

function refused(code: ProtocolErrorCode, what: string, fix?: string): TacitError<ProtocolErrorCode> {
  return new TacitError(code, what, fix === undefined ? {} : { fix });
}
