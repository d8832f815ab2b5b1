import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { BudgetBoard } from '../../../../coordinator/budgets/budget-board.ts';
import { PolicyDesk } from '../../../../coordinator/budgets/policy-desk.ts';
import { createHttpApp } from '../../../../coordinator/http/app.ts';
import type { CoordinatorService } from '../../../../coordinator/service.ts';
import { TacitError } from '../../../../shared/core/errors.ts';
import { seededRng } from '../../../../shared/core/rng.ts';
import { signerFromSeed } from '../../../../shared/core/signing.ts';
import { openLedger } from '../../../../shared/ledger/log.ts';
import type { CoordinatorEvent, ModelView, RoundView, RunView } from '../../../../shared/protocol/views.ts';
import { createMemoryStore } from '../../../../shared/store/memory.ts';
import type { Store } from '../../../../shared/store/port.ts';

export const OPERATOR = 'operator-token-of-the-test';
export const SESSION = 'session-token-of-the-test';
export const BLOB = Buffer.from(Array.from({ length: 10_000 }, (_, i) => (i * 7) & 255));
export const BLOB_SHA = createHash('sha256').update(BLOB).digest('hex');

export const run: RunView = {
  id: 'run-1',
  name: 'mail-spam',
  state: 'running',
  reason: null,
  planHash: 'ab'.repeat(32),
  plan: {},
  createdAt: '2026-01-01T00:00:00.000Z',
  stages: [],
  round: 3,
  rounds: 20,
  phase: 'upload',
  participants: [
    { clientId: 'c1', organisation: 'A', state: 'consented', connected: true, engine: 'onnx cpu', records: 10 },
  ],
  guarantees: [],
  evaluations: [],
  model: null,
  labels: ['ham', 'spam'],
  purpose: 'find spam',
};

export const round: RoundView = {
  round: 3,
  stage: 0,
  attempt: 1,
  phase: 'done',
  reason: null,
  funnel: { invited: 5, advertised: 5, shared: 5, uploaded: 5, survived: 5, unmasked: 5 },
  seconds: { training: 0.5, upload: 0.1 },
  bytesUpPerClient: 1024,
  bytesDownPerClient: 2048,
  modelHash: null,
  ledgerIndex: null,
};

const model: ModelView = {
  id: 'model-1',
  run: 'run-1',
  round: 3,
  createdAt: '2026-01-01T00:00:00.000Z',
  accuracy: 0.9,
  f1: 0.8,
  ledgerIndex: 2,
  promoted: true,
  files: [
    { name: 'config.json', sizeBytes: 2, sha256: createHash('sha256').update('{}').digest('hex') },
    { name: '1_Pooling/config.json', sizeBytes: 2, sha256: createHash('sha256').update('{}').digest('hex') },
  ],
};

/** The real HTTP app, store and ledger over a socket; behind it a service whose answers are fixed. */
export async function startFixture(): Promise<Fixture> {
  const store = createMemoryStore();
  const clock = { now: () => Date.parse('2026-01-01T00:00:00Z') };
  const signer = signerFromSeed(seededRng('http-fixture').bytes(32));
  const ledger = await openLedger({ store, stream: 'ledger', origin: 'example.org/ledger', signer, clock });
  const budgets = new BudgetBoard(ledger, () => []);
  const listeners = new Set<(event: CoordinatorEvent) => void>();
  const calls: { name: string; args: unknown }[] = [];
  const call = <T>(name: string, args: unknown, value: T): Promise<T> => {
    calls.push({ name, args });
    return Promise.resolve(value);
  };
  const service = {
    store,
    ledger,
    policy: new PolicyDesk(store, ledger, budgets, clock),
    about: () => ({
      name: 'T',
      version: '0',
      protocol: 'tacit/1',
      origin: 'example.org/ledger',
      vkey: '',
      fingerprint: '',
    }),
    runs: () => [run],
    run: (id) => (id === run.id ? run : undefined),
    rounds: () => [round],
    models: () => [model],
    budgets: () => [
      {
        scope: 'mail',
        unit: 'record',
        period: '2026',
        epsilon: 3,
        delta: 1e-5,
        spent: 1.5,
        reserved: 0,
        left: 1.5,
        guarantee: null,
        timeline: [],
      },
    ],
    createRun(planText, where, heldOut) {
      if (planText === 'boom') throw new Error('secret detail /etc/passwd');
      if (planText === 'over') throw new TacitError('BUDGET_EXCEEDED', 'too much', { where, fix: 'Ask for less.' });
      return call('createRun', { planText, where, heldOut }, run);
    },
    invite: (runId, request) => call('invite', { runId, request }, { code: 'http://x/#join=abc' }),
    stopRun: (runId, reason) => call('stopRun', { runId, reason }, { ...run, state: 'stopped' }),
    promote: (id) => call('promote', { id }, model),
    modelFile: () => Promise.resolve(Buffer.from('{}')),
    predict: (id, texts) =>
      call(
        'predict',
        { id, texts },
        texts.map(() => ({ label: 'ham', scores: { ham: 1, spam: 0 } })),
      ),
    authorise: (token) => (token === SESSION ? { clientId: 'c1', runId: 'run-1' } : undefined),
    participantBlob(_runId, sha256) {
      if (sha256 !== BLOB_SHA) throw new TacitError('NOT_FOUND', 'no such blob');
      return Promise.resolve({
        sizeBytes: BLOB.length,
        read: (start, end) => Promise.resolve(BLOB.subarray(start, end)),
      });
    },
    acceptChunk(upload) {
      if (upload.round === 9) throw new TacitError('ROUND_CLOSED', 'too late');
      return call('acceptChunk', { ...upload, bytes: upload.bytes.length }, { sha256: '' });
    },
    heldChunk: ({ round, index }) => {
      if (round === 9) throw new TacitError('ROUND_CLOSED', 'too late');
      return index === 0 ? BLOB_SHA : undefined;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => Promise.resolve(),
  } satisfies Partial<CoordinatorService> as unknown as CoordinatorService;
  const pagesDir = mkdtempSync(join(tmpdir(), 'tacit-pages-'));
  await mkdir(join(pagesDir, 'assets'));
  await writeFile(join(pagesDir, 'index.html'), '<!doctype html><title>Tacit</title>');
  await writeFile(join(pagesDir, 'runs.html'), '<!doctype html><title>Runs</title>');
  await writeFile(join(pagesDir, 'assets', 'index-a1b2c3.js'), 'export {};');
  const closing = new AbortController();
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => void logged.push(line) });
  const app = createHttpApp({
    service,
    pagesDir,
    operatorToken: OPERATOR,
    log,
    publicOrigin: 'http://x',
    clock,
    closing: closing.signal,
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    store,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ledger,
    calls,
    logged,
    listeners,
    closing,
    emit: (event) => {
      for (const listener of listeners) listener(event);
    },
    stop: () =>
      new Promise((resolve) => {
        closing.abort();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export interface Fixture {
  readonly store: Store;
  readonly url: string;
  readonly ledger: Awaited<ReturnType<typeof openLedger>>;
  /** What the service was asked to change, in order. */
  readonly calls: { name: string; args: unknown }[];
  readonly logged: string[];
  readonly listeners: ReadonlySet<unknown>;
  readonly closing: AbortController;
  emit(event: CoordinatorEvent): void;
  stop(): Promise<void>;
}
