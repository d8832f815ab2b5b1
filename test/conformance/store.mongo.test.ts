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
