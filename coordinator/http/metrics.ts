import express, { type RequestHandler, type Router } from 'express';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CoordinatorEvent } from '../../shared/protocol/views.ts';
import type { CoordinatorService } from '../service.ts';

export interface Metrics {
  readonly router: Router;
  /** Counts every answered request by method, route and status. */
  readonly requests: RequestHandler;
  received(bytes: number): void;
  sent(bytes: number): void;
}

/** GET /metrics for Prometheus. Values that are projections are read when scraped; what happens is counted as it happens. */
export function createMetrics(service: CoordinatorService, closing: AbortSignal): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  projections(service, registry);
  const registers = [registry];
  const up = new Counter({ name: 'tacit_upload_bytes_total', help: 'Bytes of masked updates received.', registers });
  const down = new Counter({
    name: 'tacit_download_bytes_total',
    help: 'Bytes of weights and model files sent to participants.',
    registers,
  });
  const answered = new Counter({
    name: 'tacit_http_requests_total',
    help: 'HTTP requests answered.',
    labelNames: ['method', 'status'],
    registers,
  });
  closing.addEventListener('abort', service.subscribe(roundObserver(registry)), { once: true });

  const router = express.Router();
  router.get('/metrics', async (_request, response) => {
    response.set({ 'Content-Type': registry.contentType, 'Cache-Control': 'no-store' }).send(await registry.metrics());
  });
  return {
    router,
    requests: (request, response, next) => {
      response.once('finish', () => answered.inc({ method: request.method, status: String(response.statusCode) }));
      next();
    },
    received: (bytes) => up.inc(bytes),
    sent: (bytes) => down.inc(bytes),
  };
}

function projections(service: CoordinatorService, registry: Registry): void {
  const registers = [registry];
  new Gauge({
    name: 'tacit_connected_clients',
    help: 'Participants connected now.',
    labelNames: ['run'],
    registers,
    collect() {
      this.reset();
      for (const run of service.runs()) this.set({ run: run.name }, run.participants.filter((p) => p.connected).length);
    },
  });
  const budgetLabels = ['scope', 'unit', 'period'] as const;
  const budget = (name: string, help: string, field: 'epsilon' | 'spent' | 'reserved'): Gauge =>
    new Gauge({
      name,
      help,
      labelNames: budgetLabels,
      registers,
      collect() {
        this.reset();
        for (const b of service.budgets()) this.set({ scope: b.scope, unit: b.unit, period: b.period }, b[field]);
      },
    });
  budget('tacit_budget_epsilon', 'Epsilon that the budget allows.', 'epsilon');
  budget('tacit_budget_epsilon_spent', 'Epsilon spent of the budget.', 'spent');
  budget('tacit_budget_epsilon_reserved', 'Epsilon reserved for runs that are not closed.', 'reserved');
}

/** Counts a round once, when it is first seen done or aborted. */
function roundObserver(registry: Registry): (event: CoordinatorEvent) => void {
  const registers = [registry];
  const rounds = new Counter({ name: 'tacit_rounds_total', help: 'Rounds ended.', labelNames: ['outcome'], registers });
  const seconds = new Histogram({
    name: 'tacit_round_phase_seconds',
    help: 'Seconds a round spent in a phase.',
    labelNames: ['phase'],
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000],
    registers,
  });
  const lastEnded = new Map<string, string>();
  return (event) => {
    if (event.kind !== 'round' || (event.round.phase !== 'done' && event.round.phase !== 'aborted')) return;
    const { round } = event;
    const key = `${round.round}.${round.attempt}`;
    if (lastEnded.get(event.run) === key) return;
    lastEnded.set(event.run, key);
    rounds.inc({ outcome: round.phase === 'done' ? 'released' : 'aborted' });
    for (const [phase, value] of Object.entries(round.seconds)) seconds.observe({ phase }, value);
  };
}
