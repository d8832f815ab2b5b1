import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type RequestHandler } from 'express';
import pino from 'pino';
import type { FromWorker } from '../../client-browser/worker/messages.ts';
import { BudgetBoard } from '../../coordinator/budgets/budget-board.ts';
import { PolicyDesk } from '../../coordinator/budgets/policy-desk.ts';
import { createHttpApp } from '../../coordinator/http/app.ts';
import { securityHeaders } from '../../coordinator/http/headers.ts';
import type { CoordinatorService } from '../../coordinator/service.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import type { BudgetView, CoordinatorEvent, ModelView, RoundView, RunView } from '../../shared/protocol/views.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import * as fixtures from './fixtures.ts';

/** What the pages are shown; a test changes it before it opens a page. */
export interface Shown {
  runs: RunView[];
  rounds: RoundView[];
  models: ModelView[];
  budgets: BudgetView[];
  ledger: Ledger;
  /** Time of the proposals. */
  now: number;
  /** What the scripted worker answers to each message of the page; null = the real worker. */
  script: Partial<Record<string, readonly FromWorker[]>> | null;
  /** Answers for paths below /ledger instead of the ledger's own. */
  tamper: ((path: string) => Uint8Array | string | undefined) | null;
  /** Every request to /api fails as if the coordinator were down. */
  down: boolean;
}

export interface PagesServer {
  readonly url: string;
  readonly shown: Shown;
  push(event: CoordinatorEvent): void;
  readonly asked: { method: string; path: string; token: string | undefined }[];
  close(): Promise<void>;
}

/** The real HTTP surface (headers, policy, routes) over views that a test chooses. */
export async function servePages(pagesDir: string): Promise<PagesServer> {
  const log = await fixtures.ledger();
  const shown: Shown = {
    runs: [fixtures.run()],
    rounds: fixtures.rounds(),
    models: fixtures.models(),
    budgets: await fixtures.budgetsOf(log),
    ledger: log,
    now: Date.parse('2026-03-02T10:00:00Z'),
    script: null,
    tamper: null,
    down: false,
  };
  const listeners = new Set<(event: CoordinatorEvent) => void>();
  const asked: PagesServer['asked'] = [];
  const closing = new AbortController();
  const app = express();
  app.use(record(asked), failures(shown), scriptedWorker(shown), tampered(shown));
  app.use(
    createHttpApp({
      service: service(shown, listeners),
      pagesDir,
      operatorToken: OPERATOR_TOKEN,
      log: pino({ level: 'silent' }),
      publicOrigin: 'http://127.0.0.1',
      clock: { now: () => Date.now() },
      closing: closing.signal,
    }),
  );
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    shown,
    asked,
    push: (event) => {
      for (const listener of listeners) listener(event);
    },
    close: () => {
      closing.abort();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

export const OPERATOR_TOKEN = 'operator-token-of-the-test';

function service(shown: Shown, listeners: Set<(event: CoordinatorEvent) => void>): CoordinatorService {
  const policy = new PolicyDesk(createMemoryStore(), shown.ledger, new BudgetBoard(shown.ledger, () => []), {
    now: () => shown.now,
  });
  const views = {
    get ledger() {
      return shown.ledger;
    },
    about: () => fixtures.ABOUT,
    runs: () => shown.runs,
    run: (id: string) => shown.runs.find((r) => r.id === id),
    rounds: () => shown.rounds,
    models: () => shown.models,
    budgets: () => shown.budgets,
    policy,
    stopRun: async (id: string) => {
      shown.runs = shown.runs.map((r) =>
        r.id === id ? { ...r, state: 'stopped', reason: 'STOPPED: by the operator' } : r,
      );
      return shown.runs[0];
    },
    promote: async (id: string) => {
      shown.models = shown.models.map((m) => ({ ...m, promoted: m.id === id }));
      return shown.models.find((m) => m.id === id);
    },
    predict: async () => [{ label: 'spam', scores: { ham: 0.034, spam: 0.966 } }],
    subscribe: (listener: (event: CoordinatorEvent) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  // Only what the pages ask for; anything else is a test that went astray and should fail loudly.
  return views as unknown as CoordinatorService;
}

function record(asked: PagesServer['asked']): RequestHandler {
  return (request, _response, next) => {
    asked.push({ method: request.method, path: request.path, token: request.headers.authorization });
    next();
  };
}

function failures(shown: Shown): RequestHandler {
  return (request, response, next) => {
    if (shown.down && request.path.startsWith('/api')) response.destroy();
    else next();
  };
}

/** A worker that answers each message of the page with the messages of the script: states without their minutes of work. */
function scriptedWorker(shown: Shown): RequestHandler {
  const headers = securityHeaders('http://127.0.0.1');
  return (request, response, next) => {
    if (shown.script === null || !/^\/assets\/worker-[^/]*\.js$/.test(request.path)) {
      next();
      return;
    }
    const script = JSON.stringify(shown.script);
    headers(request, response, () => {
      response.type('text/javascript').set('Cache-Control', 'no-store');
      response.send(
        `const script = ${script}; onmessage = ({ data }) => { for (const m of script[data.kind] ?? []) postMessage(m); };`,
      );
    });
  };
}

function tampered(shown: Shown): RequestHandler {
  return (request, response, next) => {
    const body = request.path.startsWith('/ledger/')
      ? shown.tamper?.(request.path.slice('/ledger/'.length))
      : undefined;
    if (body === undefined) next();
    else response.end(body);
  };
}
