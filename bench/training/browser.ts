import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import process from 'node:process';
import { tfjsWasmEngine } from '../../shared/node/engines.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import { findChromium } from '../../test/support/chromium.ts';
import type { BrowserResult } from '../browser/main.ts';
import { absent, atMost, type BenchRow } from '../row.ts';
import { configOf, l2Clip, openTrainee, type Shape, shapes, weightsOf } from './ours.ts';

const WAIT_MS = 300_000;
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** The tiny shape in Chromium, started without remote control, which would slow it down, beside TensorFlow.js' wasm in Node. */
export async function browserRows(): Promise<BenchRow[]> {
  const out = await mkdtemp(join(tmpdir(), 'tacit-bench-pages-'));
  try {
    const { build } = await import('vite');
    const root = join(packageRoot, 'bench', 'browser');
    await build({
      configFile: join(packageRoot, 'client-browser', 'vite.config.ts'),
      root,
      logLevel: 'error',
      build: { outDir: out, rolldownOptions: { input: join(root, 'index.html') } },
    });
    return await compared(out);
  } catch (cause) {
    return [absent('training', 'Chromium', cause instanceof Error ? cause.message : String(cause))];
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

async function compared(pages: string): Promise<BenchRow[]> {
  // Before and after, so that a change of the machine's speed is seen from both sides.
  const before = await nodeWasm();
  const wasm = await inChromium(pages, 'tfjs wasm');
  const after = await nodeWasm();
  const rows: BenchRow[] = [];
  const node = Math.min(before, after);
  if (wasm.error !== undefined) return [absent('training', 'Chromium wasm', wasm.error)];
  const title = 'tiny private step, Chromium wasm on one thread ÷ Node wasm';
  rows.push(atMost('training', title, { value: Math.min(...wasm.milliseconds), unit: 'ms', baseline: node }, 2));
  const longest = { value: wasm.longestTaskMs, unit: 'ms', note: '0: no task of the page took 50 ms' };
  rows.push(atMost('training', 'Chromium, longest main-thread task while training', longest, 50));
  for (const engine of ['tfjs webgl', 'tfjs webgpu']) {
    const result = await inChromium(pages, engine);
    const value = Math.min(...result.milliseconds);
    const row = `tiny private step, Chromium ${engine} ÷ Node wasm`;
    rows.push(
      result.error === undefined
        ? atMost('training', row, { value, unit: 'ms', baseline: node }, null)
        : absent('training', row, result.error),
    );
  }
  return rows;
}

async function nodeWasm(): Promise<number> {
  const shape = shapes['tiny'] as Shape;
  const config = configOf(shape);
  const trainee = await openTrainee(await tfjsWasmEngine(), shape, config, weightsOf(config), 'all');
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    const start = performance.now();
    await trainee.step(l2Clip);
    times.push(performance.now() - start);
  }
  await trainee.dispose();
  return Math.min(...times.slice(1));
}

/** Opens the page in a Chromium of its own and waits for what it reports. */
async function inChromium(pages: string, engine: string): Promise<BrowserResult> {
  const profile = await mkdtemp(join(tmpdir(), 'tacit-bench-profile-'));
  let resolve: (result: BrowserResult) => void = () => {};
  let reject: (cause: Error) => void = () => {};
  const result = new Promise<BrowserResult>((yes, no) => {
    [resolve, reject] = [yes, no];
  });
  const server = serve(pages, (text) => resolve(JSON.parse(text) as BrowserResult));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { executablePath, env } = await findChromium();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/index.html#${encodeURIComponent(engine)}`;
  const flags = ['--headless', '--no-first-run', '--disable-dev-shm-usage', `--user-data-dir=${profile}`];
  const gl = ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'];
  const root = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const child = spawn(executablePath, [...flags, ...gl, ...root, url], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
  });
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

function serve(directory: string, onResult: (text: string) => void): Server {
  return createServer(async (request, response) => {
    if (request.method === 'POST') {
      let text = '';
      for await (const chunk of request) text += chunk;
      response.end();
      onResult(text);
      return;
    }
    const path = join(directory, normalize(new URL(request.url ?? '/', 'http://bench').pathname));
    const body = await readFile(path).catch(() => undefined);
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': TYPES[extname(path)] ?? 'text/plain' });
    response.end(body);
  });
}
