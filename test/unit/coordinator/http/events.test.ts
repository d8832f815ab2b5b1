import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunView } from '../../../../shared/protocol/views.ts';
import { type Fixture, round, run, startFixture } from './fixture.ts';

let f: Fixture;
beforeEach(async () => {
  f = await startFixture();
});
afterEach(() => f.stop());

/** Reads an event stream until `count` events are there. */
async function read(response: Response, count: number): Promise<{ event: string; data: unknown }[]> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = '';
  const complete = () => text.split('\n\n').slice(0, -1);
  while (complete().length < count) {
    const { value, done } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  return complete().map((block) => {
    const [, event = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? [];
    return { event, data: JSON.parse(data) as unknown };
  });
}

describe('server-sent events', () => {
  it('begins with the present state, then passes on what concerns the run', async () => {
    const response = await fetch(`${f.url}/api/v1/events?run=run-1`);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    f.emit({ kind: 'round', run: 'another', round });
    f.emit({ kind: 'log', at: 'now', level: 'info', text: 'hello' });
    f.emit({ kind: 'round', run: 'run-1', round: { ...round, phase: 'merge' } });
    const events = await read(response, 4);
    expect(events.map((e) => e.event)).toEqual(['run', 'round', 'log', 'round']);
    expect(events[3]?.data).toMatchObject({ kind: 'round', run: 'run-1', round: { phase: 'merge' } });
  });

  it('stops listening when the reader goes, and ends when the coordinator closes', async () => {
    const before = f.listeners.size;
    const gone = new AbortController();
    await fetch(`${f.url}/api/v1/events`, { signal: gone.signal });
    const staying = await fetch(`${f.url}/api/v1/events`);
    expect(f.listeners.size).toBe(before + 2);
    gone.abort();
    while (f.listeners.size > before + 1) await delay(5);
    f.closing.abort();
    expect((await read(staying, Number.POSITIVE_INFINITY)).length).toBe(2);
    while (f.listeners.size > 0) await delay(5);
  });

  it('keeps only the newest state for a reader that does not read', async () => {
    const big = (name: string): RunView => ({ ...run, name, purpose: 'x'.repeat(200_000) });
    const text = await new Promise<string>((resolve, reject) => {
      request(`${f.url}/api/v1/events?run=run-1`, (response) => {
        response.pause();
        for (let i = 0; i < 500; i++) f.emit({ kind: 'run', run: big(`n${i}`) });
        let received = '';
        response.setEncoding('utf8');
        response.on('data', (d: string) => {
          received += d;
          if (received.includes('"name":"n499"')) {
            response.destroy();
            resolve(received);
          }
        });
        response.on('error', () => undefined);
        response.resume();
      })
        .on('error', reject)
        .end();
    });
    const seen = [...text.matchAll(/"name":"n(\d+)"/g)].map((m) => Number(m[1]));
    expect(seen.at(-1)).toBe(499);
    expect(seen.length).toBeLessThan(400);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });
});
