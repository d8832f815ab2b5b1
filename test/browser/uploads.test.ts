import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launchChromium } from '../support/chromium.ts';
import { seededUpload } from '../support/seeded-upload.ts';
import type { Harness } from './harness/main.ts';
import { openPage } from './open-pages.ts';
import { serveHarness } from './serve-harness.ts';

declare const harness: Harness;

let browser: Browser;
let server: Awaited<ReturnType<typeof serveHarness>>;

beforeAll(async () => {
  [browser, server] = await Promise.all([launchChromium(), serveHarness()]);
});
afterAll(async () => {
  await browser.close();
  await server.close();
});

it.each([16, 20, 32] as const)('%d bits a number: Chromium uploads the bytes that Node does', async (ringBits) => {
  const { page, complaints } = await openPage(browser, server.url);
  const hashes = await page.evaluate((bits) => harness.uploadHashes(bits), ringBits);
  expect(hashes.length).toBeGreaterThan(ringBits === 32 ? 1 : 0);
  expect(hashes).toEqual(await seededUpload(ringBits));
  expect(complaints).toEqual([]);
  await page.context().close();
});
