import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { build } from 'vite';
import { securityHeaders } from '../../coordinator/http/headers.ts';

const ROOT = join(import.meta.dirname, 'harness');
const VECTORS = join(import.meta.dirname, '..', 'vectors');

/** Builds the harness as the pages are built and serves it under the pages' own security policy. */
export async function serveHarness(): Promise<{ url: string; close(): Promise<void> }> {
  const outDir = await mkdtemp(join(tmpdir(), 'tacit-harness-'));
  await build({
    configFile: join(import.meta.dirname, '..', '..', 'client-browser', 'vite.config.ts'),
    root: ROOT,
    logLevel: 'error',
    build: { outDir, rolldownOptions: { input: join(ROOT, 'index.html') } },
  });
  const app = express();
  app.use(securityHeaders('http://127.0.0.1'), express.static(outDir), express.static(join(VECTORS, '..')));
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(outDir, { recursive: true, force: true });
    },
  };
}
