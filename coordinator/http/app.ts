import express, { type Express } from 'express';
import type { Logger } from 'pino';
import type { Clock } from '../../shared/core/clock.ts';
import { LedgerDocuments } from '../ledger-documents.ts';
import type { CoordinatorService } from '../service.ts';
import { aboutRouter } from './about.ts';
import { blobsRouter } from './blobs.ts';
import { budgetsRouter } from './budgets.ts';
import { errorHandler, notFound } from './errors.ts';
import { eventsRouter } from './events.ts';
import { securityHeaders } from './headers.ts';
import { healthRouter } from './health.ts';
import { ledgerEntriesRouter } from './ledger-entries.ts';
import { ledgerLogRouter } from './ledger-log.ts';
import { createMetrics } from './metrics.ts';
import { modelsRouter } from './models.ts';
import { pagesRouter } from './pages.ts';
import { runsRouter } from './runs.ts';
import { uploadsRouter } from './uploads.ts';

export interface HttpAppOptions {
  readonly service: CoordinatorService;
  /** Directory of the built pages. */
  readonly pagesDir: string;
  /** Secret that opens what only the operator may do. */
  readonly operatorToken: string;
  readonly log: Logger;
  /** Where people reach this coordinator, e.g. `https://tacit.example.org`. */
  readonly publicOrigin: string;
  readonly clock: Clock;
  /** Aborted when the coordinator shuts down: event streams end and nothing listens any more. */
  readonly closing: AbortSignal;
}

/** The whole HTTP surface over one service. It decides nothing: it reads, checks form and rights, and asks the service. */
export function createHttpApp(options: HttpAppOptions): Express {
  const { service, operatorToken, log, closing } = options;
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  app.set('etag', false);
  const metrics = createMetrics(service, closing);
  app.use(securityHeaders(options.publicOrigin), metrics.requests);
  app.use(healthRouter(service), metrics.router);
  app.use('/ledger', ledgerLogRouter(service.ledger, new LedgerDocuments(service.ledger, service.store)));
  app.use(
    '/api/v1',
    aboutRouter(service),
    eventsRouter(service, closing),
    ledgerEntriesRouter(service.ledger),
    modelsRouter(service, operatorToken),
    budgetsRouter(service, operatorToken),
    blobsRouter(service, metrics.sent),
    uploadsRouter(service, metrics.received),
    runsRouter(service, operatorToken, () => options.clock.now()),
  );
  app.use('/api', notFound);
  app.use(pagesRouter(options.pagesDir));
  app.use(notFound, errorHandler(log));
  return app;
}
