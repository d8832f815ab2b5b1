import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LIMITS } from '../../../../shared/core/limits.ts';
import { seededRng } from '../../../../shared/core/rng.ts';
import { BLOB, BLOB_SHA, type Fixture, OPERATOR, round, run, SESSION, startFixture } from './fixture.ts';

let f: Fixture;
beforeAll(async () => {
  f = await startFixture();
});
afterAll(() => f.stop());

const get = (path: string, headers: Record<string, string> = {}) => fetch(f.url + path, { headers });
const post = (path: string, body: BodyInit | null, headers: Record<string, string> = {}) =>
  fetch(f.url + path, { method: 'POST', body, headers });
const operator = { authorization: `Bearer ${OPERATOR}` };
const session = { authorization: `Bearer ${SESSION}` };
const error = async (response: Response) =>
  ((await response.json()) as { error: { code: string; what: string; where?: string; fix?: string } }).error;

describe('JSON twins', () => {
  it('serves about, runs, rounds, models and budgets, never kept by caches', async () => {
    for (const path of [
      '/about',
      '/runs',
      '/runs/run-1',
      '/runs/run-1/rounds',
      '/models',
      '/models/model-1',
      '/models/current',
      '/budgets',
    ]) {
      const response = await get(`/api/v1${path}`);
      expect([path, response.status, response.headers.get('cache-control')]).toEqual([path, 200, 'no-store']);
    }
    expect(await (await get('/api/v1/runs')).json()).toEqual([run]);
    expect(await (await get('/api/v1/runs/run-1/rounds')).json()).toEqual([round]);
  });

  it('answers unknown addresses, runs and models with a coded 404', async () => {
    for (const path of [
      '/api',
      '/api/v1/nothing',
      '/api/v2/runs',
      '/api/v1/runs/none',
      '/api/v1/runs/none/rounds',
      '/api/v1/models/none',
      '/nothing.html',
    ]) {
      const response = await get(path);
      expect([path, response.status]).toEqual([path, 404]);
      expect((await error(response)).code).toBe('NOT_FOUND');
    }
  });
});

describe('headers and pages', () => {
  it('sends a strict policy with every answer, pages, errors and API alike', async () => {
    for (const path of ['/', '/runs.html', '/api/v1/about', '/api/v1/nothing', '/healthz']) {
      const { headers } = await get(path);
      expect(headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';/,
      );
      expect(headers.get('content-security-policy')).not.toMatch(/unsafe-inline|'unsafe-eval'|\*/);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-powered-by')).toBeNull();
    }
  });

  it('asks again for pages and keeps hashed assets for ever', async () => {
    expect((await get('/')).headers.get('cache-control')).toBe('no-cache');
    expect((await get('/runs')).status).toBe(200);
    const asset = await get('/assets/index-a1b2c3.js');
    expect([asset.status, asset.headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable']);
    expect((await get('/assets/missing.js')).status).toBe(404);
  });

  it('lets no path lead out of the pages', async () => {
    for (const path of [
      '/..%2f..%2fetc/passwd',
      '/%2e%2e/%2e%2e/package.json',
      '/assets/..%5c..%5cpackage.json',
      '/\0',
    ]) {
      const status = await rawStatus(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      expect([path, status >= 400 && status < 500]).toEqual([path, true]);
    }
  });
});

describe('operator', () => {
  it('needs the token, and tells a wrong one nothing', async () => {
    for (const path of [
      '/api/v1/runs',
      '/api/v1/runs/run-1/stop',
      '/api/v1/runs/run-1/invitations',
      '/api/v1/models/model-1/promote',
    ]) {
      for (const headers of [
        {},
        { authorization: 'Bearer wrong' },
        { authorization: `Basic ${OPERATOR}` },
        session,
      ] as Record<string, string>[]) {
        const response = await post(path, '{}', headers);
        expect([path, response.status, response.headers.get('www-authenticate')]).toEqual([path, 401, 'Bearer']);
        expect((await error(response)).code).toBe('NOT_AUTHORISED');
      }
    }
    expect(f.calls).toEqual([]);
  });

  const json = { ...operator, 'content-type': 'application/json' };
  const create = (plan: string) =>
    post('/api/v1/runs', JSON.stringify({ plan, validation: '{"text":"a"}\n', test: '{}' }), json);

  it('creates a run from a plan and held-out texts, passed on as they are', async () => {
    const created = await create('name: mail\n');
    expect([created.status, created.headers.get('location')]).toEqual([201, '/api/v1/runs/run-1']);
    const heldOut = { validation: new TextEncoder().encode('{"text":"a"}\n'), test: new TextEncoder().encode('{}') };
    expect(f.calls.at(-1)).toEqual({
      name: 'createRun',
      args: { planText: 'name: mail\n', where: 'the request’s plan', heldOut },
    });
    const bad = await post('/api/v1/runs', '{"plan":"x"}', json);
    expect([bad.status, (await error(bad)).what]).toEqual([400, expect.stringMatching(/validation: .*; test: /)]);
  });

  it('passes coded refusals on with their status, and hides everything else', async () => {
    const over = await create('over');
    expect(over.status).toBe(409);
    expect(await error(over)).toEqual({
      code: 'BUDGET_EXCEEDED',
      what: 'too much',
      where: 'the request’s plan',
      fix: 'Ask for less.',
    });
    const boom = await create('boom');
    expect(boom.status).toBe(500);
    const text = JSON.stringify(await boom.json());
    expect(text).toContain('"INTERNAL"');
    expect(text).not.toMatch(/secret|passwd|\.ts/);
    expect(f.logged.join('')).toContain('secret detail');
  });

  it('refuses bodies over their limit', async () => {
    const response = await post('/api/v1/runs/run-1/stop', JSON.stringify({ reason: 'x'.repeat(20_000) }), json);
    expect([response.status, (await error(response)).code]).toEqual([413, 'MESSAGE_TOO_LARGE']);
    expect((await create('x'.repeat(LIMITS.planBytes + 1))).status).toBe(400);
  });

  it('stops, invites and promotes', async () => {
    expect((await post('/api/v1/runs/run-1/stop', null, operator)).status).toBe(200);
    expect(f.calls.at(-1)?.args).toEqual({ runId: 'run-1', reason: 'stopped by the operator' });
    expect((await post('/api/v1/runs/run-1/invitations', '{"organisation":"A","validHours":1}', json)).status).toBe(
      201,
    );
    expect(f.calls.at(-1)?.args).toEqual({
      runId: 'run-1',
      request: { organisation: 'A', uses: 1, expiresAt: Date.parse('2026-01-01T01:00:00Z') },
    });
    expect((await post('/api/v1/models/current/promote', null, operator)).status).toBe(200);
    const bad = await post('/api/v1/runs/run-1/invitations', '{"uses":0,"valid":1}', json);
    expect([bad.status, (await error(bad)).code]).toEqual([400, 'REQUEST_INVALID']);
  });
});

describe('models', () => {
  const predict = (body: string) =>
    post('/api/v1/models/current/predict', body, { 'content-type': 'application/json' });

  it('predicts', async () => {
    const response = await predict('{"texts":["hello"]}');
    expect(await response.json()).toEqual({
      model: 'model-1',
      predictions: [{ label: 'ham', scores: { ham: 1, spam: 0 } }],
    });
  });

  it('refuses what is no request', async () => {
    for (const body of [
      '',
      '{',
      'null',
      '[]',
      '{"texts":[]}',
      '{"texts":["a"," "]}',
      '{"texts":"a"}',
      '{"texts":["a"],"x":1}',
      JSON.stringify({ texts: Array(257).fill('a') }),
    ]) {
      const response = await predict(body);
      expect([body.slice(0, 20), response.status, (await error(response)).code]).toEqual([
        body.slice(0, 20),
        400,
        'REQUEST_INVALID',
      ]);
    }
    expect((await predict(JSON.stringify({ texts: ['x'.repeat(9 << 20)] }))).status).toBe(413);
  });

  it('serves exactly the files of the model', async () => {
    const file = await get('/api/v1/models/model-1/files/1_Pooling/config.json');
    expect([file.status, await file.text(), file.headers.get('cache-control')]).toEqual([
      200,
      '{}',
      'public, max-age=31536000, immutable',
    ]);
    expect((await get('/api/v1/models/current/files/config.json')).headers.get('cache-control')).toBe('no-cache');
    const again = await get('/api/v1/models/model-1/files/config.json', {
      'if-none-match': file.headers.get('etag') ?? '',
    });
    expect(again.status).toBe(304);
    expect((await get('/api/v1/models/model-1/files/..%2f..%2fpackage.json')).status).toBe(404);
  });
});

describe('bulk for participants', () => {
  const path = `/api/v1/blobs/${BLOB_SHA}`;

  it('gives blobs only to a session, whole or in ranges', async () => {
    expect((await get(path)).status).toBe(401);
    expect((await get(path, operator)).status).toBe(401);
    const whole = await get(path, session);
    expect([whole.status, whole.headers.get('cache-control')]).toEqual([200, 'private, max-age=31536000, immutable']);
    expect(Buffer.from(await whole.arrayBuffer()).equals(BLOB)).toBe(true);
    for (const [range, start, end] of [
      ['bytes=0-0', 0, 1],
      ['bytes=100-199', 100, 200],
      ['bytes=9990-', 9990, 10_000],
      ['bytes=-10', 9990, 10_000],
      ['bytes=9000-99999', 9000, 10_000],
    ] as const) {
      const part = await get(path, { ...session, range });
      expect([range, part.status, part.headers.get('content-range')]).toEqual([
        range,
        206,
        `bytes ${start}-${end - 1}/10000`,
      ]);
      expect(Buffer.from(await part.arrayBuffer()).equals(BLOB.subarray(start, end))).toBe(true);
    }
  });

  it('refuses impossible ranges and ignores those it does not know', async () => {
    for (const range of ['bytes=10000-', 'bytes=5-4', 'bytes=-0']) {
      const response = await get(path, { ...session, range });
      expect([range, response.status, (await error(response)).code]).toEqual([range, 416, 'RANGE_INVALID']);
    }
    for (const range of ['bytes=0-1,3-4', 'lines=1-2', 'bytes=-', 'x'])
      expect((await get(path, { ...session, range })).status).toBe(200);
  });

  it('answers 304, 400 and 404', async () => {
    expect((await get(path, { ...session, 'if-none-match': `"${BLOB_SHA}"` })).status).toBe(304);
    expect((await get('/api/v1/blobs/ABC', session)).status).toBe(400);
    expect((await get(`/api/v1/blobs/${'0'.repeat(64)}`, session)).status).toBe(404);
  });

  const put = (where: string, bytes: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    fetch(`${f.url}/api/v1/runs/${where}`, {
      method: 'PUT',
      body: bytes,
      headers: { ...session, 'x-content-sha256': createHash('sha256').update(bytes).digest('hex'), ...headers },
    });
  const bytes = Uint8Array.from(seededRng('chunk').bytes(5000));

  it('takes a chunk once it is durable', async () => {
    expect((await put('run-1/rounds/3.1/uploads/0', bytes)).status).toBe(204);
    expect(f.calls.at(-1)).toEqual({
      name: 'acceptChunk',
      args: { runId: 'run-1', round: 3, attempt: 1, clientId: 'c1', index: 0, bytes: 5000 },
    });
    expect((await put('run-1/rounds/3.1/uploads/1', new Uint8Array(LIMITS.chunkBytes))).status).toBe(204);
  });

  it('says which chunk it has, to the client of this run', async () => {
    const head = (where: string, headers: Record<string, string> = session) =>
      fetch(`${f.url}/api/v1/runs/${where}`, { method: 'HEAD', headers });
    const there = await head('run-1/rounds/3.1/uploads/0');
    expect([there.status, there.headers.get('x-content-sha256')]).toEqual([204, BLOB_SHA]);
    const absent = await head('run-1/rounds/3.1/uploads/1');
    expect([absent.status, absent.headers.get('x-content-sha256')]).toEqual([204, null]);
    expect((await head('run-2/rounds/3.1/uploads/0')).status).toBe(401);
    expect((await head('run-1/rounds/3.1/uploads/0', {})).status).toBe(401);
    expect((await head('run-1/rounds/9.1/uploads/0')).status).toBe(409);
  });

  it('refuses strangers, other runs, wrong hashes, sizes, encodings and addresses', async () => {
    const before = f.calls.length;
    const cases: [Promise<Response>, number, string][] = [
      [put('run-1/rounds/3.1/uploads/0', bytes, { authorization: 'Bearer nobody' }), 401, 'NOT_AUTHORISED'],
      [put('run-2/rounds/3.1/uploads/0', bytes), 401, 'NOT_AUTHORISED'],
      [put('run-1/rounds/3.1/uploads/0', bytes, { 'x-content-sha256': '0'.repeat(64) }), 422, 'CHECKSUM_MISMATCH'],
      [put('run-1/rounds/3.1/uploads/0', bytes, { 'x-content-sha256': 'zz' }), 400, 'REQUEST_INVALID'],
      [put('run-1/rounds/3.1/uploads/0', new Uint8Array(0)), 400, 'REQUEST_INVALID'],
      [put('run-1/rounds/3.1/uploads/0', new Uint8Array(LIMITS.chunkBytes + 1)), 413, 'MESSAGE_TOO_LARGE'],
      [put('run-1/rounds/3.1/uploads/0', bytes, { 'content-encoding': 'gzip' }), 415, 'MEDIA_TYPE_UNSUPPORTED'],
      [put('run-1/rounds/3/uploads/0', bytes), 400, 'REQUEST_INVALID'],
      [put('run-1/rounds/0.1/uploads/0', bytes), 400, 'REQUEST_INVALID'],
      [put('run-1/rounds/3.1/uploads/-1', bytes), 400, 'REQUEST_INVALID'],
      [put('run-1/rounds/3.1/uploads/01', bytes), 400, 'REQUEST_INVALID'],
      [put('run-1/rounds/9.1/uploads/0', bytes), 409, 'ROUND_CLOSED'],
    ];
    for (const [response, status, code] of cases)
      expect([(await response).status, (await error(await response)).code]).toEqual([status, code]);
    expect(f.calls.length).toBe(before);
  });
});

describe('health and metrics', () => {
  it('is alive and ready', async () => {
    expect(await (await get('/healthz')).json()).toEqual({ ok: true });
    expect(await (await get('/readyz')).json()).toEqual({ ok: true, store: true });
  });

  it('counts each ended round once, and shows budgets and clients as they are', async () => {
    for (let i = 0; i < 3; i++) f.emit({ kind: 'round', run: 'run-1', round });
    f.emit({ kind: 'round', run: 'run-1', round: { ...round, attempt: 2, phase: 'aborted' } });
    const response = await get('/metrics');
    const text = await response.text();
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0.0.4/);
    for (const line of [
      'tacit_rounds_total{outcome="released"} 1',
      'tacit_rounds_total{outcome="aborted"} 1',
      'tacit_connected_clients{run="mail-spam"} 1',
      'tacit_budget_epsilon{scope="mail",unit="record",period="2026"} 3',
      'tacit_budget_epsilon_spent{scope="mail",unit="record",period="2026"} 1.5',
      'tacit_round_phase_seconds_count{phase="training"} 2',
    ]) {
      expect(text).toContain(`${line}\n`);
    }
    expect(text).toMatch(/process_resident_memory_bytes \d+/);
  });
});

describe('garbage', () => {
  it('answers every malformed request with a coded 4xx and goes on', async () => {
    const rng = seededRng('garbage');
    const targets = ['/api/v1/runs/run-1/stop', '/api/v1/runs/run-1/invitations', '/api/v1/models/current/predict'];
    const types = ['application/json', 'application/json; charset=utf-99', 'text/plain', 'multipart/form-data', ''];
    for (let i = 0; i < 150; i++) {
      const body = Buffer.from(rng.bytes(1 + (rng.bytes(1)[0] ?? 0)));
      const target = targets[i % targets.length] as string;
      const response = await post(target, body, { ...operator, 'content-type': types[i % types.length] as string });
      const text = await response.text();
      expect([target, response.status, text.includes('"code"') || response.ok]).toEqual([
        target,
        expect.toSatisfy((s: number) => s < 500),
        true,
      ]);
      expect(text).not.toMatch(/ at .*\.ts/);
    }
    expect((await get('/healthz')).status).toBe(200);
  });

  it('survives frames that are not HTTP', async () => {
    const rng = seededRng('frames');
    for (let i = 0; i < 20; i++) await rawStatus(Buffer.from(rng.bytes(200)));
    expect((await get('/healthz')).status).toBe(200);
  });
});

/** Status of a request sent byte for byte; 400 when the server closes without one. */
function rawStatus(request: string | Buffer): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(f.url).port), '127.0.0.1');
    let answer = '';
    socket.on('data', (d) => {
      answer += d.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Number(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1] ?? 400)));
    socket.end(request);
  });
}
