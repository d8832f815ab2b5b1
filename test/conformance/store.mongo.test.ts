import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openMongoStore } from '../../coordinator/store/mongo/store.ts';
import { startCuttingProxy } from '../support/cutting-proxy.ts';
import { type MongoForTests, mongoForTests } from '../support/mongo.ts';
import { storeConformance } from './store.ts';

let server: MongoForTests;
beforeAll(async () => {
  server = await mongoForTests();
}, 600_000);
afterAll(async () => {
  if ('uri' in server) await server.stop();
});

storeConformance('MongoDB', async () => {
  if ('skip' in server) return server;
  const { uri } = server;
  return { open: () => openMongoStore(uri) };
});

describe('MongoDB store at boot', () => {
  it('refuses a collection whose index of the right name is not unique', async (context) => {
    if ('skip' in server) return context.skip(server.skip);
    const uri = server.uri.replace(/\/([^/?]+)(\?|$)/, '/$1_wrong$2');
    const client = new MongoClient(uri);
    try {
      await client.db().collection('events').createIndex({ stream: 1, opId: 1 });
      await expect(openMongoStore(uri)).rejects.toMatchObject({
        code: 'STORE_INVALID',
        message: /unique index on stream, opId/,
      });
    } finally {
      await client.db().dropDatabase();
      await client.close();
    }
  });

  it('creates both unique indexes', async (context) => {
    if ('skip' in server) return context.skip(server.skip);
    const store = await openMongoStore(server.uri);
    const client = new MongoClient(server.uri);
    try {
      const unique = (await client.db().collection('events').listIndexes().toArray())
        .filter((i) => i.unique)
        .map((i) => i.key);
      expect(unique).toContainEqual({ stream: 1, seq: 1 });
      expect(unique).toContainEqual({ stream: 1, opId: 1 });
    } finally {
      await client.close();
      await store.close();
    }
  });

  it('says what to do when the server is not there, without showing the password', async () => {
    const error = await openMongoStore('mongodb://user:secret@127.0.0.1:1/tacit', { timeoutMs: 300 }).catch((e) => e);
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', where: 'mongodb://127.0.0.1:1/tacit' });
    expect(error.fix).toMatch(/Start the server/);
    expect(error.toString()).not.toContain('secret');
  });

  it('an append whose acknowledgement is lost is made once and acknowledged', async (context) => {
    if ('skip' in server) return context.skip(server.skip);
    const [, host, port] = /\/\/(?:[^@/]*@)?([^:/,]+):(\d+)\//.exec(server.uri) ?? [];
    if (host === undefined) return context.skip('the URI names no single host and port to put a proxy before');
    const proxy = await startCuttingProxy({ host, port: Number(port) });
    const through = server.uri.replace(`${host}:${port}`, `127.0.0.1:${proxy.port}`);
    const store = await openMongoStore(`${through}${through.includes('?') ? '&' : '?'}directConnection=true`);
    const plain = await openMongoStore(server.uri);
    try {
      for (let i = 0; i < 5; i++) {
        proxy.cutAnswerTo(`lost-${i}`);
        const event = { opId: `lost-${i}`, text: `"text ${i}"` };
        expect(await store.append('lossy', i, event)).toEqual({ stream: 'lossy', seq: i, ...event });
      }
      expect(proxy.cuts()).toBe(5);
      expect((await plain.read('lossy')).map((e) => e.opId)).toEqual([0, 1, 2, 3, 4].map((i) => `lost-${i}`));
    } finally {
      await plain.close();
      await store.close();
      await proxy.close();
    }
  });
});

describe('the right to write to a MongoDB database', () => {
  const lifetimeMs = 1000;
  const databaseOf = (name: string): string =>
    'uri' in server ? server.uri.replace(/\/([^/?]+)(\?|$)/, `/$1_${name}$2`) : '';
  const open = (name: string, owner: string, onLost?: () => void) =>
    openMongoStore(databaseOf(name), { lease: { owner, lifetimeMs, ...(onLost && { onLost }) } });
  const event = (opId: string) => ({ opId, text: '{}' });

  it('is one coordinator’s at a time, and the next one’s after it closes', async (context) => {
    if ('skip' in server) return context.skip(server.skip);
    const first = await open('one', 'the first');
    await first.append('s', 0, event('a'));
    await expect(open('one', 'the second')).rejects.toMatchObject({ code: 'STORE_IN_USE', where: 'the first, term 1' });
    await first.close();
    const second = await open('one', 'the second');
    await second.append('s', 1, event('b'));
    // Readers need no lease.
    const reader = await openMongoStore(databaseOf('one'));
    expect(await reader.head('s')).toBe(2);
    await reader.close();
    await second.close();
  });

  it('goes to exactly one of several that start at once', async (context) => {
    if ('skip' in server) return context.skip(server.skip);
    const all = await Promise.allSettled([1, 2, 3, 4].map((i) => open('race', `number ${i}`)));
    const won = all.filter((r) => r.status === 'fulfilled');
    expect(won).toHaveLength(1);
    for (const r of all) if (r.status === 'rejected') expect(r.reason).toMatchObject({ code: 'STORE_IN_USE' });
    for (const r of won) await r.value.close();
  });

  it('is taken over after a kill -9, once its lifetime is over', async (context) => {
    if ('skip' in server) return context.skip(server.skip);
    const child = spawn(process.execPath, ['--input-type=module', '-e', writerProgram], {
      env: { ...process.env, TACIT_URI: databaseOf('killed'), TACIT_LIFETIME: String(lifetimeMs) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    await expect(open('killed', 'the next')).rejects.toMatchObject({ code: 'STORE_IN_USE' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    const start = performance.now();
    const next = await open('killed', 'the next');
    expect(performance.now() - start).toBeGreaterThan(0.9 * lifetimeMs);
    await next.append('s', 1, event('mine'));
    await next.close();
  });

  it('is lost by a process that stood still while another took over: its writes are refused', async (context) => {
    if ('skip' in server) return context.skip(server.skip);
    let standing = false;
    const time = {
      now: () => performance.now(),
      // Beats stop while the process stands still.
      sleep: async (ms: number) => {
        do await new Promise((resolve) => setTimeout(resolve, ms));
        while (standing);
      },
    };
    const lost: string[] = [];
    const owner = 'the first';
    const onLost = (): void => void lost.push(owner);
    const first = await openMongoStore(databaseOf('stood'), { lease: { owner, lifetimeMs, time, onLost } });
    await first.append('s', 0, event('a'));
    standing = true;
    const second = await open('stood', 'the second');
    await expect(first.append('s', 1, event('stale'))).rejects.toMatchObject({ code: 'STORE_LEASE_LOST' });
    await expect(first.putBlob(new Uint8Array(3))).rejects.toMatchObject({ code: 'STORE_LEASE_LOST' });
    expect(lost).toEqual(['the first']);
    standing = false;
    await second.append('s', 1, event('fresh'));
    await expect(first.append('s', 2, event('stale'))).rejects.toMatchObject({ code: 'STORE_LEASE_LOST' });
    await first.close();
    // What the first one gave back was not the second one's.
    await expect(open('stood', 'the third')).rejects.toMatchObject({ code: 'STORE_IN_USE', where: /the second/ });
    await second.close();
  });
});

const writerProgram = `
  const { openMongoStore } = await import(${JSON.stringify(new URL('../../dist/coordinator/store/mongo/store.js', import.meta.url).href)});
  const lease = { owner: 'to be killed', lifetimeMs: Number(process.env.TACIT_LIFETIME) };
  const store = await openMongoStore(process.env.TACIT_URI, { lease });
  await store.append('s', 0, { opId: 'first', text: '{}' });
  console.log('writing');
  setInterval(() => {}, 1000);
`;
