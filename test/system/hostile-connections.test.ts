import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import pino from 'pino';
import { io } from 'socket.io-client';
import { expect, test } from 'vitest';
import { attachGateway, type ParticipantHub } from '../../coordinator/realtime/gateway.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { openTransport, type ParticipantTransport } from '../../shared/participant/transport.ts';
import { createTestRun, openTestBudget, until } from '../support/federation.ts';
import { freshSites } from '../support/fresh-sites.ts';

const { start, takePart } = freshSites();

interface Held {
  readonly status: Promise<number>;
  end(): void;
}

/** A PUT of which only the first bytes ever come. */
function heldOpen(url: string, session: string): Held {
  const headers = {
    authorization: `Bearer ${session}`,
    'content-length': '1000000',
    'x-content-sha256': '0'.repeat(64),
  };
  const put = request(url, { method: 'PUT', headers });
  const status = new Promise<number>((resolve) => {
    put.on('response', (response) => resolve(response.statusCode as number));
    put.on('error', () => resolve(0));
  });
  put.write(new Uint8Array(10));
  return { status, end: () => put.destroy() };
}

test('a client that never ends its uploads costs its deadline; nobody else notices, and it holds no more than a few', async () => {
  const site = await start();
  await openTestBudget(site.coordinator, 3);
  const run = await createTestRun(site.coordinator, { rounds: 1, phase: '8s' });
  const held: Held[] = [];
  let refused = 0;
  const stalling = (url: string): ParticipantTransport => {
    const inner = openTransport(url);
    return {
      ...inner,
      async putChunk(to, _, session, signal) {
        for (let i = 0; i < 9; i++) held.push(heldOpen(`${url}${to}`, session));
        const [last] = await Promise.all([held[8]?.status]);
        refused = last as number;
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        throw signal.reason;
      },
    };
  };
  const others = [1, 2, 3, 4].map((index) => takePart({ link: run.link, index }));
  takePart({ link: run.link, index: 5, transport: stalling });
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  for (const { status } of held.slice(0, 8)) expect(await Promise.race([status, Promise.resolve(-1)])).toBe(-1);
  expect(refused).toBe(503);
  for (const { end } of held) end();
  expect(site.coordinator.rounds(run.id)).toMatchObject([{ phase: 'done', attempt: 1, funnel: { survived: 4 } }]);
  for (const { events, ended } of others) {
    await ended;
    expect(events.filter((e) => e.kind === 'roundEnded').map((e) => e.outcome)).toEqual(['released']);
  }
});

test('a connection that says nothing, or no hello, is closed after its time', async () => {
  const http = createServer();
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const hub = { publicKey: new Uint8Array(32), handovers: [] } as unknown as ParticipantHub;
  const server = attachGateway(http, hub, systemRng, pino({ level: 'silent' }), 500);
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/participants`;
  const socket = io(url, { transports: ['websocket'], reconnection: false });
  try {
    const reasons: unknown[] = [];
    socket.on('closed', ({ reason }) => reasons.push(reason));
    await until(() => socket.connected, 'the connection');
    await until(() => !socket.connected, 'its end', 20_000);
    expect(reasons).toEqual(['no hello came']);
  } finally {
    socket.disconnect();
    await server.close();
  }
});
