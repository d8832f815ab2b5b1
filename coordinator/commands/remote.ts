import { join } from 'node:path';
import type { Command } from 'commander';
import { TacitError } from '../../shared/core/errors.ts';
import { readTextFile } from '../../shared/node/documents.ts';

export type RemoteErrorCode = 'COORDINATOR_UNREACHABLE' | 'NOT_AUTHORISED';

/** An answer takes longer only when a plan's noise is calibrated first. */
const TIMEOUT_MS = 60_000;

/** Adds where the coordinator is and what proves that the operator asks. */
export function withRemote(command: Command): Command {
  return command
    .option('--coordinator <url>', 'address of the coordinator (TACIT_COORDINATOR)', defaultCoordinator())
    .option('--data-dir <dir>', 'its data directory, where the operator token is (TACIT_DATA_DIR)')
    .option('--json', 'one JSON object a line');
}

export function defaultCoordinator(): string {
  return process.env.TACIT_COORDINATOR ?? 'http://127.0.0.1:7400';
}

export interface RemoteOptions {
  readonly coordinator: string;
  readonly dataDir?: string;
  readonly json?: boolean;
}

export interface Remote {
  get<T>(path: string): Promise<T>;
  bytes(path: string): Promise<Uint8Array>;
  /** A question that anyone may ask with a JSON body. */
  ask<T>(path: string, body: string): Promise<T>;
  /** With the operator's token. @throws the coordinator's coded error, NOT_AUTHORISED without a token */
  post<T>(path: string, body: string, type: string): Promise<T>;
}

/** The JSON twins of a running coordinator. */
export function remoteOf(options: RemoteOptions): Remote {
  const base = options.coordinator.replace(/\/+$/, '');
  return {
    get: async (path) => json(await request(`${base}${path}`, {})),
    bytes: async (path) => new Uint8Array(await (await request(`${base}${path}`, {})).arrayBuffer()),
    ask: async (path, body) =>
      json(await request(`${base}${path}`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })),
    post: async (path, body, type) => {
      const token = await operatorToken(options.dataDir);
      const headers = { 'content-type': type, authorization: `Bearer ${token}` };
      return json(await request(`${base}${path}`, { method: 'POST', body, headers }));
    },
  };
}

async function json<T>(response: Response): Promise<T> {
  return (await response.json()) as T;
}

/** @throws the coordinator's coded error, COORDINATOR_UNREACHABLE */
async function request(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (cause) {
    throw new TacitError<RemoteErrorCode>('COORDINATOR_UNREACHABLE', 'the coordinator does not answer', {
      where: url,
      fix: 'Start it with "tacit coordinator", or name another with --coordinator.',
      cause,
    });
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => undefined)) as
    | { error?: { code: string; what: string; where?: string; fix?: string } }
    | undefined;
  const { code, what, ...rest } = body?.error ?? {
    code: 'COORDINATOR_UNREACHABLE',
    what: `the answer was ${response.status} and not Tacit’s`,
    where: url,
  };
  throw new TacitError(code, what, rest);
}

/** TACIT_OPERATOR_TOKEN, else the file that the coordinator made in its data directory. */
async function operatorToken(dataDir: string | undefined): Promise<string> {
  const given = process.env.TACIT_OPERATOR_TOKEN;
  if (given !== undefined && given !== '') return given;
  const dir = dataDir ?? process.env.TACIT_DATA_DIR ?? 'tacit-data';
  try {
    return (await readTextFile(join(dir, 'operator-token'), 4096)).trim();
  } catch (cause) {
    throw new TacitError<RemoteErrorCode>('NOT_AUTHORISED', 'the operator’s token was not found', {
      where: join(dir, 'operator-token'),
      fix: 'Pass --data-dir, or set TACIT_OPERATOR_TOKEN.',
      cause,
    });
  }
}
