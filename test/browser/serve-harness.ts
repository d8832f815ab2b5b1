import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import type { Browser } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll } from 'vitest';
import { securityHeaders } from '../../coordinator/http/headers.ts';
import { launchChromium } from '../support/chromium.ts';
import { type OpenPage, openPage } from './open-pages.ts';

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

/** Serves the harness to the tests of a file, and opens it for them in a Chromium that they share. */
export function sharedHarness(): () => Promise<OpenPage> {
  let browser: Browser;
  let server: Awaited<ReturnType<typeof serveHarness>>;
  beforeAll(async () => {
    [browser, server] = await Promise.all([launchChromium(), serveHarness()]);
  });
  afterAll(async () => {
    await browser.close();
    await server.close();
  });
  return () => openPage(browser, server.url);
}
