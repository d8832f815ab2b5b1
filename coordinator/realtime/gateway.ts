import type { Server as HttpServer } from 'node:http';
import type { Logger } from 'pino';
import { Server, type Socket } from 'socket.io';
import { base64 } from '../../shared/core/bytes.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { LIMITS } from '../../shared/core/limits.ts';
import type { Rng } from '../../shared/core/rng.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import {
  type Ack,
  type Challenge,
  type Consent,
  type Cosign,
  type Countersign,
  challengeSchema,
  consentSchema,
  cosignSchema,
  countersignSchema,
  type Hello,
  helloSchema,
  type LedgerProof,
  PROTOCOL_VERSION,
  parseMessage,
  type Refusal,
  refusalSchema,
  type SecaggFrame,
  type SitOut,
  secaggSchema,
  seenSchema,
  sitOutSchema,
  toWireError,
  type Welcome,
} from '../../shared/protocol/messages.ts';
import { HTTP_LIMITS } from '../http/limits.ts';

/** One live connection of a participant. */
export interface Connection {
  send(name: string, payload: unknown): void;
  /** Ends the connection; the client is told why first. */
  close(reason: string): void;
}

/** What the gateway turns messages into. Every promise resolves after the effect is durable, and only then is the client answered. */
export interface ParticipantHub {
  readonly publicKey: Uint8Array;
  /** Changes of this coordinator's key, oldest first. */
  readonly handovers: Challenge['handovers'];
  hello(hello: Hello, challenge: Challenge, connection: Connection): Promise<Welcome>;
  consent(clientId: string, consent: Consent): Promise<unknown>;
  refuse(clientId: string, refusal: Refusal): Promise<void>;
  countersign(clientId: string, statement: Countersign): Promise<void>;
  secagg(clientId: string, frame: SecaggFrame): Promise<void>;
  /** The client cannot train in this round. */
  sitOut(clientId: string, message: SitOut): Promise<void>;
  /** The client's last seen ledger size; answers with a consistency proof from there to now. */
  seen(clientId: string, size: number, index: number): Promise<LedgerProof>;
  cosign(clientId: string, cosign: Cosign): Promise<void>;
  /** The connection is gone; another one of the same client may have replaced it already. */
  gone(clientId: string, connection: Connection): void;
}

/** socket.io in front of the hub: parses, authenticates, acknowledges; decides nothing. */
export function attachGateway(
  http: HttpServer,
  hub: ParticipantHub,
  rng: Rng,
  log: Logger,
  helloMs: number = HTTP_LIMITS.helloMs,
): Server {
  const server = new Server(http, {
    transports: ['websocket'],
    perMessageDeflate: false,
    maxHttpBufferSize: LIMITS.messageBytes,
    serveClient: false,
    pingInterval: 10_000,
    pingTimeout: 10_000,
  });
  server.of('/participants').on('connection', (socket) => serve(socket, hub, rng, log, helloMs));
  return server;
}

function serve(socket: Socket, hub: ParticipantHub, rng: Rng, log: Logger, helloMs: number): void {
  const challenge: Challenge = challengeSchema.parse({
    protocol: PROTOCOL_VERSION,
    nonce: base64(rng.bytes(32)),
    publicKey: base64(hub.publicKey),
    handovers: hub.handovers,
  });
  const connection: Connection = {
    send: (name, payload) => void socket.emit(name, payload),
    close: (reason) => {
      socket.emit('closed', { reason });
      socket.disconnect(true);
    },
  };
  let clientId: string | undefined;
  const known = (): string => {
    if (clientId === undefined) throw new TacitError<ProtocolErrorCode>('NOT_AUTHORISED', 'say hello first');
    return clientId;
  };
  const handlers: Record<string, (payload: unknown) => Promise<unknown>> = {
    hello: async (payload) => {
      if (clientId !== undefined)
        throw new TacitError<ProtocolErrorCode>('MESSAGE_INVALID', 'hello was said already', { where: 'hello' });
      const welcome = await hub.hello(parseMessage(helloSchema, payload, 'hello'), challenge, connection);
      clientId = welcome.clientId;
      return welcome;
    },
    consent: async (payload) => hub.consent(known(), parseMessage(consentSchema, payload, 'consent')),
    refuse: async (payload) => hub.refuse(known(), parseMessage(refusalSchema, payload, 'refuse')),
    countersign: async (payload) => hub.countersign(known(), parseMessage(countersignSchema, payload, 'countersign')),
    secagg: async (payload) => hub.secagg(known(), parseMessage(secaggSchema, payload, 'secagg')),
    sitOut: async (payload) => hub.sitOut(known(), parseMessage(sitOutSchema, payload, 'sitOut')),
    seen: async (payload) => {
      const { size, index } = parseMessage(seenSchema, payload, 'seen');
      return hub.seen(known(), size, index);
    },
    cosign: async (payload) => hub.cosign(known(), parseMessage(cosignSchema, payload, 'cosign')),
  };
  socket.onAny((name: unknown, payload: unknown, acknowledge: unknown) => {
    void answer(String(name), payload).then((ack) => {
      if (typeof acknowledge === 'function') (acknowledge as (ack: Ack<unknown>) => void)(ack);
    });
  });
  const answer = async (name: string, payload: unknown): Promise<Ack<unknown>> => {
    try {
      const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined;
      if (handler === undefined)
        throw new TacitError<ProtocolErrorCode>('MESSAGE_INVALID', 'no such message', { where: name.slice(0, 64) });
      return { ok: true, value: await handler(payload) };
    } catch (error) {
      if (!(error instanceof TacitError))
        log.error({ err: error, message: name, clientId }, 'a message handler failed');
      return { ok: false, error: toWireError(error) };
    }
  };
  const silent = setTimeout(() => {
    if (clientId === undefined) connection.close('no hello came');
  }, helloMs);
  socket.on('disconnect', () => {
    clearTimeout(silent);
    if (clientId !== undefined) hub.gone(clientId, connection);
  });
  connection.send('challenge', challenge);
}
