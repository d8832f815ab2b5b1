import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readModelDirectory } from '../../../shared/bert/directory.ts';
import { readDirectoryFiles } from '../../../shared/node/directory-files.ts';
import { parseHubName, readHubModel } from '../../../shared/node/hub.ts';
import { packageRoot } from '../../../shared/node/package-root.ts';

const commit = 'c0ffee'.padEnd(40, '0');
const cacheDir = mkdtempSync(join(tmpdir(), 'tacit-hub-'));
const room = 2 ** 30;
let files: Map<string, Uint8Array>;
let server: Server;
let hubUrl: string;
let asked: string[] = [];
let damaged = false;
/** The connection ends in the middle of this file. */
let cut: string | undefined;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The endpoints of the hub that a download needs, over the shipped model. */
beforeAll(async () => {
  files = await readDirectoryFiles(join(packageRoot, 'models/tacit-mini'), room);
  files.set('pytorch_model.bin', new Uint8Array(10));
  server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://hub');
    asked.push(url.pathname);
    const json = (value: unknown): void => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(value));
    };
    const known = ['main', 'v1', commit].some((r) => url.pathname.endsWith(`/revision/${r}`));
    if (url.pathname.startsWith('/api/models/org/secret')) response.writeHead(401).end();
    else if (url.pathname.startsWith('/api/models/org/mini') && (known || url.pathname === '/api/models/org/mini'))
      json({
        _id: '1',
        id: 'org/mini',
        modelId: 'org/mini',
        sha: commit,
        private: false,
        gated: false,
        likes: 0,
        downloads: 0,
        lastModified: '2026-01-01T00:00:00.000Z',
      });
    else if (url.pathname === `/api/models/org/mini/tree/${commit}`)
      json(
        [...files].map(([path, bytes]) => ({
          type: 'file',
          oid: 'x',
          path,
          size: bytes.length,
          ...(path.endsWith('.safetensors') ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 1 } } : {}),
        })),
      );
    else if (url.pathname.startsWith(`/org/mini/resolve/${commit}/`)) {
      const path = url.pathname.split('/').slice(5).join('/');
      const whole = files.get(path) as Uint8Array;
      const bytes =
        damaged && path.endsWith('.safetensors') ? whole.map((b, i) => (i === whole.length - 1 ? b ^ 1 : b)) : whole;
      const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
      const [from, to] =
        range === null ? [0, bytes.length - 1] : [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
      response.writeHead(range === null ? 200 : 206, {
        etag: '"e"',
        'content-length': to - from + 1,
        'content-range': `bytes ${from}-${to}/${bytes.length}`,
      });
      if (path === cut) response.write(bytes.subarray(from, (from + to) >> 1), () => response.destroy());
      else response.end(bytes.subarray(from, to + 1));
    } else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  hubUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  asked = [];
});
afterAll(() => {
  server.close();
  rmSync(cacheDir, { recursive: true, force: true });
});

const nowhere = 'http://127.0.0.1:9';
const coded = (code: string) => expect.objectContaining({ code });

describe('hf:org/name', () => {
  test('a file that is not the announced one is refused and not kept', async () => {
    damaged = true;
    await expect(readHubModel('hf:org/mini', room, { hubUrl, cacheDir })).rejects.toThrow(coded('HUB_INVALID'));
    damaged = false;
    expect(existsSync(join(cacheDir, 'models--org--mini/snapshots', commit, 'config.json'))).toBe(false);
    await expect(readHubModel('hf:org/mini', room, { hubUrl: nowhere, cacheDir })).rejects.toThrow(
      coded('HUB_UNREACHABLE'),
    );
  });

  test('downloads what a model is made of, and nothing else; then works without the hub', async () => {
    const got = await readHubModel('hf:org/mini@v1', room, { hubUrl, cacheDir });
    expect([...got.keys()].sort()).toEqual(
      [...files.keys()].filter((n) => n !== 'pytorch_model.bin' && n !== 'README.md').sort(),
    );
    for (const [name, bytes] of got) expect(sha256(bytes)).toBe(sha256(files.get(name) as Uint8Array));
    expect(readModelDirectory(got).config.hiddenSize).toBe(256);
    expect(asked.some((path) => path.includes('pytorch_model'))).toBe(false);
    expect((await readHubModel('hf:org/mini@v1', room, { hubUrl: nowhere, cacheDir })).size).toBe(got.size);
    asked = [];
    expect((await readHubModel(`hf:org/mini@${commit}`, room, { hubUrl, cacheDir })).size).toBe(got.size);
    expect(asked).toEqual([]);
    // Asked again for a name that may have moved, it sees that every file is here.
    await readHubModel('hf:org/mini@v1', room, { hubUrl, cacheDir });
    expect(asked.filter((path) => path.includes('/resolve/'))).toEqual([]);
  });

  test('a download that ended in the middle is no model, whichever file it was, and is done again', async () => {
    const other = mkdtempSync(join(tmpdir(), 'tacit-hub-cut-'));
    for (const name of ['model.safetensors', 'tokenizer_config.json', 'config.json']) {
      cut = name;
      await expect(readHubModel('hf:org/mini@v1', room, { hubUrl, cacheDir: other })).rejects.toThrow(
        coded('HUB_UNREACHABLE'),
      );
      cut = undefined;
      await expect(readHubModel(`hf:org/mini@${commit}`, room, { hubUrl: nowhere, cacheDir: other })).rejects.toThrow(
        coded('HUB_UNREACHABLE'),
      );
    }
    const got = await readHubModel('hf:org/mini@v1', room, { hubUrl, cacheDir: other });
    for (const [name, bytes] of got) expect(sha256(bytes)).toBe(sha256(files.get(name) as Uint8Array));
    rmSync(other, { recursive: true });
  });

  test('what cannot be had is said in a coded sentence', async () => {
    await expect(readHubModel('hf:org/none', room, { hubUrl, cacheDir })).rejects.toThrow(coded('HUB_NOT_FOUND'));
    await expect(readHubModel('hf:org/secret', room, { hubUrl, cacheDir })).rejects.toThrow(coded('HUB_REFUSED'));
    await expect(readHubModel('hf:org/other', room, { hubUrl: nowhere, cacheDir })).rejects.toThrow(
      coded('HUB_UNREACHABLE'),
    );
    await expect(readHubModel('hf:org/mini@main', 1000, { hubUrl, cacheDir })).rejects.toThrow(coded('HUB_INVALID'));
  });

  test('names', () => {
    expect(parseHubName('hf:a/b@refs/pr/1')).toEqual({ name: 'a/b', revision: 'refs/pr/1' });
    expect(parseHubName('hf:bert-base-uncased')).toEqual({ name: 'bert-base-uncased', revision: 'main' });
    for (const name of ['hf:', 'hf:a/b/c', 'hf:../x', 'hf:a/b@', 'hf:a/b@../..', 'hf:a/b@x@y', 'a/b', 'hf:a b'])
      expect(() => parseHubName(name)).toThrow(coded('HUB_NAME_INVALID'));
  });
});
