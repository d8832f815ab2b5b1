import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, describe, expect, it } from 'vitest';
import { base64, fromBase64 } from '../../shared/core/bytes.ts';
import { TacitError } from '../../shared/core/errors.ts';
import type { Store } from '../../shared/store/port.ts';
import { storeConformance } from '../conformance/store.ts';
import { launchChromium } from '../support/chromium.ts';
import type { Harness } from './harness/main.ts';
import { serveHarness } from './serve-harness.ts';

declare const harness: Harness;

let started: Promise<{ context: BrowserContext; url: string; close(): Promise<void> }> | undefined;

function start() {
  started ??= (async () => {
    const [browser, server] = await Promise.all([launchChromium(), serveHarness()]);
    const context = await browser.newContext();
    const close = async (): Promise<void> => {
      await browser.close();
      await server.close();
    };
    return { context, url: server.url, close };
  })();
  return started;
}
afterAll(async () => (await started)?.close());

async function tab(): Promise<Page> {
  const { context, url } = await start();
  const page = await context.newPage();
  await page.goto(url);
  await page.waitForFunction(() => 'harness' in globalThis);
  return page;
}

// Every `open` is a tab of its own: two tabs of one browser share the data and nothing else.
storeConformance('IndexedDB in Chromium', async () => ({
  async open() {
    const page = await tab();
    const store = await page.evaluate(() => harness.openStore('conformance'));
    return remoteStore(page, store);
  },
}));

describe('identity in Chromium', () => {
  it('is made once, kept encrypted, and the same in every tab', async () => {
    const [a, b] = [await tab(), await tab()];
    const identities = await Promise.all([a, b, a].map((page) => page.evaluate(() => harness.identity())));
    expect(new Set(identities.map((i) => i.publicKey)).size).toBe(1);
    expect(identities.every((i) => i.sealed)).toBe(true);
    expect(await a.evaluate(keptKey)).toEqual({ form: 'sealed', extractable: false, seedBytes: 48 });
  });
});

/** What lies in the browser's storage: a key that cannot be exported, and the seed under it with GCM's 16-byte tag. */
function keptKey(): Promise<unknown> {
  return new Promise((resolve) => {
    const request = indexedDB.open('tacit-identity');
    request.onsuccess = () => {
      const get = request.result.transaction('identity').objectStore('identity').get('self');
      get.onsuccess = () => {
        const { form, key, seed } = get.result as { form: string; key: CryptoKey; seed: ArrayBuffer };
        resolve({ form, extractable: key.extractable, seedBytes: seed.byteLength });
      };
    };
  });
}

function remoteStore(page: Page, store: number): Store {
  const call = async (method: keyof Store, ...args: unknown[]): Promise<never> => {
    const sent = args.map((a) =>
      a instanceof Uint8Array
        ? { base64: base64(a) }
        : typeof a === 'number' && !Number.isSafeInteger(a)
          ? String(a)
          : a,
    );
    const answer = await page.evaluate(([s, m, a]) => harness.callStore(s, m, a), [store, method, sent] as const);
    if ('message' in answer) throw new TacitError(answer.code ?? 'UNCODED', answer.message);
    const { value } = answer;
    return (
      value !== null && typeof value === 'object' && 'base64' in value ? fromBase64(value.base64 as string) : value
    ) as never;
  };
  return {
    append: (...args) => call('append', ...args),
    read: (...args) => call('read', ...args),
    head: (...args) => call('head', ...args),
    streams: (...args) => call('streams', ...args),
    putBlob: (...args) => call('putBlob', ...args),
    getBlob: (...args) => call('getBlob', ...args),
    blobSize: (...args) => call('blobSize', ...args),
    deleteBlob: (...args) => call('deleteBlob', ...args),
    close: () => call('close'),
  };
}
