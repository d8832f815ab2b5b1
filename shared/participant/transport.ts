import { io, type Socket } from 'socket.io-client';
import { TacitError } from '../core/errors.ts';
import { sha256HexAsync } from '../core/hash.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import { type Ack, fromWireError, type WireError } from '../protocol/messages.ts';

/** What arrives from the coordinator. Every payload is attacker-controlled until a schema has parsed it. */
export type Incoming =
  | { readonly kind: 'message'; readonly name: string; readonly payload: unknown }
  | { readonly kind: 'lost'; readonly detail: string };

/** The wire, as the session sees it. */
export interface ParticipantTransport {
  /** Starts connecting; reconnects by itself until `close`. */
  open(listener: (incoming: Incoming) => void): void;
  /** Sends a control message and waits for its acknowledgement. @throws the coordinator's coded error, CONNECTION_LOST */
  request(name: string, payload: unknown): Promise<unknown>;
  /** Downloads a blob and checks its hash. @throws WEIGHTS_MISMATCH, NOT_AUTHORISED, NOT_FOUND, CONNECTION_LOST */
  blob(sha256: string, session: string, signal: AbortSignal): Promise<Uint8Array>;
  /** Uploads one chunk of a masked update; the coordinator has it on stable storage when this resolves. */
  putChunk(path: string, bytes: Uint8Array, session: string, signal: AbortSignal, sha256: string): Promise<void>;
  /** SHA-256 of the chunk that the coordinator has at this path; undefined when it has none or does not say. @throws CONNECTION_LOST */
  heldChunk(path: string, session: string, signal: AbortSignal): Promise<string | undefined>;
  close(): void;
}

const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 20_000;

/** socket.io for control (websocket only, no compression: measured 10 times slower with it), HTTP for bulk. */
export function openTransport(url: string): ParticipantTransport {
  const socket: Socket = io(`${url}/participants`, {
    transports: ['websocket'],
    autoConnect: false,
    reconnectionDelay: 200,
    reconnectionDelayMax: 5_000,
    timeout: CONNECT_TIMEOUT_MS,
  });
  return {
    open(listener) {
      socket.onAny((name: string, payload: unknown) => listener({ kind: 'message', name, payload }));
      socket.on('disconnect', (reason) => listener({ kind: 'lost', detail: reason }));
      socket.on('connect_error', (error) => listener({ kind: 'lost', detail: error.message }));
      socket.connect();
    },
    request: (name, payload) => request(socket, name, payload),
    blob: (sha256, session, signal) => download(url, sha256, session, signal),
    putChunk: (path, bytes, session, signal, sha256) => upload(`${url}${path}`, bytes, session, signal, sha256),
    heldChunk: (path, session, signal) => held(`${url}${path}`, session, signal),
    close: () => void socket.disconnect(),
  };
}

/** Never buffered for a later connection: what is said before the next hello would be refused. */
async function request(socket: Socket, name: string, payload: unknown): Promise<unknown> {
  if (!socket.connected) throw lost(name);
  let stop: () => void = () => undefined;
  const gone = new Promise<never>((_, reject) => {
    stop = () => reject(lost(name));
    socket.once('disconnect', stop);
  });
  let ack: Ack<unknown>;
  try {
    ack = (await Promise.race([socket.timeout(REQUEST_TIMEOUT_MS).emitWithAck(name, payload), gone])) as Ack<unknown>;
  } catch (cause) {
    throw lost(name, cause);
  } finally {
    socket.off('disconnect', stop);
  }
  if (ack.ok) return ack.value;
  throw fromWireError(ack.error);
}

function lost(where: string, cause?: unknown): TacitError<ProtocolErrorCode> {
  return new TacitError('CONNECTION_LOST', 'the coordinator did not answer', { where, cause });
}

async function download(url: string, sha256: string, session: string, signal: AbortSignal): Promise<Uint8Array> {
  const headers = { authorization: `Bearer ${session}` };
  const response = await send(`${url}/api/v1/blobs/${sha256}`, { headers, signal });
  const bytes = new Uint8Array(await response.arrayBuffer());
  if ((await sha256HexAsync(bytes)) !== sha256) {
    throw new TacitError<ProtocolErrorCode>(
      'WEIGHTS_MISMATCH',
      'the downloaded bytes are not the ones that were announced',
      { where: sha256 },
    );
  }
  return bytes;
}

async function upload(
  url: string,
  bytes: Uint8Array,
  session: string,
  signal: AbortSignal,
  sha256: string,
): Promise<void> {
  const headers = {
    authorization: `Bearer ${session}`,
    'content-type': 'application/octet-stream',
    'x-content-sha256': sha256,
  };
  await send(url, { method: 'PUT', headers, body: bytes, signal });
}

async function held(url: string, session: string, signal: AbortSignal): Promise<string | undefined> {
  // A refusal of HEAD has no body to say why: the PUT that follows is told.
  const { headers } = await reach(url, { method: 'HEAD', headers: { authorization: `Bearer ${session}` }, signal });
  return headers.get('x-content-sha256') ?? undefined;
}

async function reach(url: string, init: Parameters<typeof fetch>[1]): ReturnType<typeof fetch> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    if (init?.signal?.aborted === true) throw cause;
    throw new TacitError<ProtocolErrorCode>('CONNECTION_LOST', 'the coordinator cannot be reached', {
      where: url,
      cause,
    });
  }
}

async function send(url: string, init: Parameters<typeof fetch>[1]): ReturnType<typeof fetch> {
  const response = await reach(url, init);
  if (response.ok) return response;
  const body = (await response.json().catch(() => undefined)) as { error?: WireError } | undefined;
  throw body?.error === undefined
    ? new TacitError<ProtocolErrorCode>('CONNECTION_LOST', `the coordinator answered ${response.status}`, {
        where: url,
      })
    : fromWireError(body.error);
}
