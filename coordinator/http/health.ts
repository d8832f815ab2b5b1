import { setTimeout as delay } from 'node:timers/promises';
import express, { type Router } from 'express';
import type { CoordinatorService } from '../service.ts';
import { noStore } from './headers.ts';
import { HTTP_LIMITS } from './limits.ts';

/** GET /healthz: the process runs. GET /readyz: its store answers too. */
export function healthRouter(service: CoordinatorService): Router {
  const router = express.Router();
  router.get('/healthz', noStore, (_request, response) => {
    response.json({ ok: true });
  });
  router.get('/readyz', noStore, async (_request, response) => {
    const store = await storeAnswers(service);
    response.status(store ? 200 : 503).json({ ok: store, store });
  });
  return router;
}

async function storeAnswers(service: CoordinatorService): Promise<boolean> {
  const stop = new AbortController();
  const late = delay(HTTP_LIMITS.readinessMs, false, { signal: stop.signal }).catch(() => false);
  const answer = service.store.head('ledger').then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    stop.abort();
  }
}
