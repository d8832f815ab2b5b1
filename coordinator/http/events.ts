import express, { type Response, type Router } from 'express';
import { TacitError } from '../../shared/core/errors.ts';
import type { CoordinatorEvent } from '../../shared/protocol/views.ts';
import type { CoordinatorService } from '../service.ts';
import type { HttpErrorCode } from './errors.ts';
import { HTTP_LIMITS } from './limits.ts';

/** GET /events?run={id}: server-sent events (WHATWG HTML §9.2), first the present state, then every change. */
export function eventsRouter(service: CoordinatorService, closing: AbortSignal): Router {
  const router = express.Router();
  let open = 0;
  router.get('/events', (request, response) => {
    if (open >= HTTP_LIMITS.eventStreams) {
      throw new TacitError<HttpErrorCode>('BUSY', `${open} event streams are open already`, {
        fix: 'Close another page or ask again later.',
      });
    }
    open++;
    const run = typeof request.query.run === 'string' ? request.query.run : undefined;
    response.set({
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    });
    response.flushHeaders();
    const feed = createFeed(response);
    for (const event of present(service, run)) feed.push(event);
    const unsubscribe = service.subscribe((event) => {
      if (concerns(event, run)) feed.push(event);
    });
    const heartbeat = setInterval(() => feed.comment(), HTTP_LIMITS.heartbeatMs);
    const end = (): void => {
      response.end();
    };
    closing.addEventListener('abort', end, { once: true });
    response.once('close', () => {
      open--;
      clearInterval(heartbeat);
      unsubscribe();
      closing.removeEventListener('abort', end);
    });
  });
  return router;
}

function* present(service: CoordinatorService, runId: string | undefined): Iterable<CoordinatorEvent> {
  for (const run of service.runs()) {
    if (runId !== undefined && run.id !== runId) continue;
    yield { kind: 'run', run };
    const last = service.rounds(run.id).at(-1);
    if (last !== undefined) yield { kind: 'round', run: run.id, round: last };
  }
}

function concerns(event: CoordinatorEvent, runId: string | undefined): boolean {
  if (runId === undefined || event.kind === 'log') return true;
  return (event.kind === 'run' ? event.run.id : event.run) === runId;
}

/** Events supersede each other by subject: a slow reader misses steps in between, never the present state. */
function subject(event: CoordinatorEvent): string {
  if (event.kind === 'run') return `run ${event.run.id}`;
  if (event.kind === 'round') return `round ${event.run} ${event.round.round}.${event.round.attempt}`;
  return 'log';
}

/** Writes while the socket takes it; otherwise keeps the newest event of each subject until it drains. */
function createFeed(response: Response): { push(event: CoordinatorEvent): void; comment(): void } {
  const waiting = new Map<string, CoordinatorEvent>();
  let full = false;
  const write = (event: CoordinatorEvent): void => {
    full = !response.write(`event: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`);
  };
  response.on('drain', () => {
    full = false;
    for (const [key, event] of waiting) {
      if (full) return;
      waiting.delete(key);
      write(event);
    }
  });
  return {
    push(event) {
      if (full) waiting.set(subject(event), event);
      else write(event);
    },
    comment() {
      if (!full) full = !response.write(': still here\n\n');
    },
  };
}
