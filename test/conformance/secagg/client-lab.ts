import type { Connection, ParticipantHub } from '../../../coordinator/realtime/gateway.ts';
import { fromBase64 } from '../../../shared/core/bytes.ts';
import { type Signer, signerFromSeed } from '../../../shared/core/signing.ts';
import { clientIdOf, type SecaggFrame } from '../../../shared/protocol/messages.ts';
import {
  digestOf,
  type MessageBody,
  type MessageName,
  type ServerMessageName,
  type Signed,
  signMessage,
} from '../../../shared/secagg/messages.ts';
import { createMemoryStore } from '../../../shared/store/memory.ts';
import { startTestCoordinator, type TestCoordinator } from '../../support/federation.ts';
import { eventually } from './case.ts';
import { Seat } from './seat.ts';
import { conformancePlan, SEATS, ServerLab } from './server-lab.ts';

/** Starts the client under test on a join link. @returns how to end it */
export type ClientUnderTest = (link: string) => Promise<{ stop(): Promise<void> }>;

export interface ClientLabOptions {
  readonly client: ClientUnderTest;
  /** How long a client is watched that neither answers nor leaves. */
  readonly patienceMs: number;
  /** For the client to connect, agree and train. */
  readonly timeoutMs: number;
  /** 0: any. */
  readonly port?: number;
}

/** What the coordinator tells the client under test instead of one message. */
export interface Attack {
  readonly on: ServerMessageName;
  /** In which round; default the first. */
  readonly round?: number;
  /** Only after the client's last message: the true one is told, then this. */
  readonly afterwards?: true;
  /** No harm is done: the client is to go on to its last message. */
  readonly harmless?: true;
  /** Messages under the coordinator's true signature, or another. */
  tell(tools: AttackTools): readonly SecaggFrame[];
}

export interface AttackTools {
  /** As the honest coordinator would have told it. */
  readonly frame: SecaggFrame;
  /** Everything that it told this client before, oldest first. */
  readonly before: readonly SecaggFrame[];
  readonly victim: string;
  /** The other clients, which do what the coordinator likes. Sorted by id. */
  readonly friends: readonly { readonly id: string; readonly signer: Signer }[];
  readonly server: Signer;
  /** The frame, or another message of this session, with this body. */
  signed(body: object, signer?: Signer, name?: ServerMessageName): SecaggFrame;
}

/** What the client under test said in the attacked round. */
export interface ClientSeen {
  /** Names of its messages in order; the same one twice counts once. */
  readonly said: readonly string[];
  body(name: MessageName): unknown;
}

const stranger = signerFromSeed(new Uint8Array(32).fill(7));

/** A coordinator that lies to one client. All but the lie is this repository's coordinator and five of its clients. */
export class ClientLab {
  readonly #o: ClientLabOptions;
  readonly #site: TestCoordinator;
  readonly #server = signerFromSeed(new Uint8Array(32).fill(1));
  #watch: Watch | undefined;

  static async start(options: ClientLabOptions): Promise<ClientLab> {
    let watching: (() => Watch | undefined) | undefined;
    const site = await startTestCoordinator({
      store: createMemoryStore(),
      port: options.port ?? 0,
      between: (hub) => between(hub, () => watching?.()),
    });
    const lab = new ClientLab(options, site);
    watching = () => lab.#watch;
    return lab;
  }

  private constructor(options: ClientLabOptions, site: TestCoordinator) {
    this.#o = options;
    this.#site = site;
  }

  close(): Promise<void> {
    return this.#site.close();
  }

  async attack(attack: Attack | undefined): Promise<ClientSeen> {
    const { client, patienceMs, timeoutMs } = this.#o;
    const runs = new ServerLab({ url: this.#site.url, operatorToken: 'operator', plan: conformancePlan(), timeoutMs });
    const { id, link } = await runs.createRun();
    const settled = new Promise<void>((resolve) => {
      this.#release = resolve;
    });
    const wait = { on: 'unmask', honest: true } as const;
    const seats = Array.from({ length: SEATS - 1 }, (_, i) => {
      return new Seat(i, { ...wait, act: async ({ frame, say }) => settled.then(() => say(frame)) });
    });
    const friends = seats
      .map(({ signer }) => ({ id: clientIdOf(signer.publicKey), signer }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    const watch = new Watch(attack, friends, this.#server);
    this.#watch = watch;
    const victim = await client(link);
    try {
      for (const seat of seats) seat.join(link);
      if ((attack?.round ?? 1) > 1) {
        await eventually('the end of the first round', timeoutMs, () => watch.finished(1) || undefined);
        this.#release();
      }
      await eventually('the attack', timeoutMs, () => watch.since() !== undefined || watch.left || undefined);
      const patience = attack?.harmless === true ? timeoutMs : patienceMs;
      await eventually('the client', timeoutMs + patience, () => watch.over(patience) || undefined);
      return watch;
    } finally {
      this.#release();
      this.#watch = undefined;
      await runs.stopRun(id);
      await victim.stop();
      for (const seat of seats) await seat.stop();
    }
  }

  /** Lets the other clients end the round. */
  #release: () => void = () => undefined;
}

/** Everything that goes between coordinator and the client under test in one run. */
class Watch implements ClientSeen {
  readonly #attack: Attack | undefined;
  readonly #friends: AttackTools['friends'];
  readonly #server: Signer;
  readonly #told: SecaggFrame[] = [];
  readonly #heard: SecaggFrame[] = [];
  #victim: string | undefined;
  #afterwards: (() => void) | undefined;
  #attackedAt: number | undefined;
  #lastAt = 0;
  #leftAt: number | undefined;
  /** Messages that were heard before the attacked round began. */
  #from = 0;

  constructor(attack: Attack | undefined, friends: AttackTools['friends'], server: Signer) {
    this.#attack = attack;
    this.#friends = friends;
    this.#server = server;
  }

  isVictim(clientId: string): boolean {
    return !this.#friends.some((friend) => friend.id === clientId);
  }

  met(clientId: string): void {
    this.#victim = clientId;
  }

  get left(): boolean {
    return this.#leftAt !== undefined;
  }

  get said(): readonly string[] {
    const seen = new Set<string>();
    return this.#heard.slice(this.#from).flatMap(({ name, signed }) => {
      const digest = `${name} ${digestOf((signed as Signed).body)}`;
      if (seen.has(digest)) return [];
      seen.add(digest);
      return [name];
    });
  }

  body(name: MessageName): unknown {
    return (this.#heard.findLast((frame) => frame.name === name)?.signed as Signed | undefined)?.body;
  }

  /** When the lie was told, or in an honest session the last message. */
  since(): number | undefined {
    return this.#attack === undefined && this.said.includes('unmask') ? this.#lastAt : this.#attackedAt;
  }

  finished(round: number): boolean {
    return this.#heard.some((frame) => frame.round === round && frame.name === 'unmask');
  }

  /** The client has left, has said its last word, or was silent for long enough. */
  over(patienceMs: number): boolean {
    const since = this.since();
    if (since === undefined) return this.left;
    if (this.#leftAt !== undefined && this.#leftAt >= since) return true;
    const lastWord = this.#heard.at(-1)?.name === 'unmask' && this.#attack?.afterwards === undefined;
    return (lastWord && this.#attack?.round === undefined) || Date.now() - Math.max(since, this.#lastAt) > patienceMs;
  }

  hears(frame: SecaggFrame): void {
    this.#heard.push(frame);
    this.#lastAt = Date.now();
    if (frame.name === 'unmask') this.#afterwards?.();
  }

  leaves(): void {
    this.#leftAt ??= Date.now();
    if (this.since() !== undefined) this.#leftAt = Math.max(this.#leftAt, this.since() as number);
  }

  /** Tells the client what the coordinator tells it, or the lie. */
  tells(frame: SecaggFrame, send: (frame: SecaggFrame) => void): void {
    const { on, round = 1, afterwards, tell } = this.#attack ?? { on: undefined, tell: () => [] };
    if (on !== frame.name || round !== frame.round || this.#attackedAt !== undefined) {
      this.#told.push(frame);
      send(frame);
      return;
    }
    const lie = (): void => {
      for (const told of tell(this.#tools(frame))) send(told);
      this.#attackedAt = Date.now();
      this.#leftAt = undefined;
    };
    if (afterwards === undefined) {
      if (on === 'config') this.#from = this.#heard.length;
      lie();
      return;
    }
    this.#afterwards = () => {
      this.#afterwards = undefined;
      lie();
    };
    this.#told.push(frame);
    send(frame);
  }

  #tools(frame: SecaggFrame): AttackTools {
    return {
      frame,
      before: this.#told,
      victim: this.#victim as string,
      friends: this.#friends,
      server: this.#server,
      signed: (body, signer = this.#server, name = frame.name as ServerMessageName) => ({
        ...frame,
        name,
        signed: signMessage(name, body as MessageBody<ServerMessageName>, signer),
      }),
    };
  }
}

/** The real hub, with what goes to and comes from the client under test shown to the watch. */
function between(hub: ParticipantHub, watching: () => Watch | undefined): ParticipantHub {
  const taps = new Map<Connection, Connection>();
  const victim = (clientId: string): Watch | undefined => {
    const watch = watching();
    return watch?.isVictim(clientId) === true ? watch : undefined;
  };
  return {
    publicKey: hub.publicKey,
    handovers: hub.handovers,
    hello: (hello, challenge, connection) => {
      const id = clientIdOf(fromBase64(hello.publicKey));
      const watch = victim(id);
      if (watch === undefined) return hub.hello(hello, challenge, connection);
      watch.met(id);
      const tap: Connection = {
        close: (reason) => connection.close(reason),
        send: (name, payload) => {
          const say = (said: unknown): void => connection.send(name, said);
          if (name === 'secagg') watch.tells(payload as SecaggFrame, say);
          else say(payload);
        },
      };
      taps.set(connection, tap);
      return hub.hello(hello, challenge, tap);
    },
    secagg: (clientId, frame) => {
      victim(clientId)?.hears(frame);
      return hub.secagg(clientId, frame);
    },
    sitOut: (clientId, message) => {
      victim(clientId)?.leaves();
      return hub.sitOut(clientId, message);
    },
    gone: (clientId, connection) => {
      victim(clientId)?.leaves();
      hub.gone(clientId, taps.get(connection) ?? connection);
    },
    consent: (clientId, consent) => hub.consent(clientId, consent),
    refuse: (clientId, refusal) => {
      victim(clientId)?.leaves();
      return hub.refuse(clientId, refusal);
    },
    countersign: (clientId, statement) => hub.countersign(clientId, statement),
    seen: (clientId, size, index) => hub.seen(clientId, size, index),
    cosign: (clientId, cosign) => hub.cosign(clientId, cosign),
  };
}

export { stranger };
