import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import process from 'node:process';
import { packageRoot } from '../shared/node/package-root.ts';
import { findChromium } from '../test/support/chromium.ts';
import { treeSeconds } from './tree-seconds.ts';

const WAIT_MS = 300_000;
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** Builds the page in `root` and hands the folder that holds it to `use`. */
export async function withPages<T>(root: string, use: (pages: string) => Promise<T>): Promise<T> {
  const out = await mkdtemp(join(tmpdir(), 'tacit-bench-pages-'));
  try {
    const { build } = await import('vite');
    await build({
      configFile: join(packageRoot, 'client-browser', 'vite.config.ts'),
      root,
      logLevel: 'error',
      build: { outDir: out, rolldownOptions: { input: join(root, 'index.html') } },
    });
    return await use(out);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/**
 * Opens the page in a Chromium of its own, started without remote control, which would slow it down, and waits for what it
 * posts. It may ask at `/processor-seconds` what the browser has used.
 */
export async function inChromium<T>(pages: string, hash: string): Promise<T> {
  const profile = await mkdtemp(join(tmpdir(), 'tacit-bench-profile-'));
  let resolve: (result: T) => void = () => {};
  let reject: (cause: Error) => void = () => {};
  const result = new Promise<T>((yes, no) => {
    [resolve, reject] = [yes, no];
  });
  const browser: { id?: number | undefined } = {};
  const server = serve(
    pages,
    () => treeSeconds(browser.id ?? Number.NaN),
    (text) => resolve(JSON.parse(text) as T),
  );
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { executablePath, env } = await findChromium();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/index.html#${encodeURIComponent(hash)}`;
  const flags = ['--headless', '--no-first-run', '--disable-dev-shm-usage', `--user-data-dir=${profile}`];
  const gl = ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'];
  const root = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const child = spawn(executablePath, [...flags, ...gl, ...root, url], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
  });
  browser.id = child.pid;
  child.once('error', reject);
  const late = setTimeout(() => reject(new Error(`Chromium did not report within ${WAIT_MS / 1000} s`)), WAIT_MS);
  try {
    return await result;
  } finally {
    clearTimeout(late);
    child.kill('SIGKILL');
    server.closeAllConnections();
    server.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

function serve(directory: string, processorSeconds: () => number, onResult: (text: string) => void): Server {
  return createServer(async (request, response) => {
    if (request.method === 'POST') {
      let text = '';
      for await (const chunk of request) text += chunk;
      response.end();
      onResult(text);
      return;
    }
    if (request.url === '/processor-seconds') {
      response.end(String(processorSeconds()));
      return;
    }
    const path = join(directory, normalize(new URL(request.url ?? '/', 'http://bench').pathname));
    const body = await readFile(path).catch(() => undefined);
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': TYPES[extname(path)] ?? 'text/plain' });
    response.end(body);
  });
}
