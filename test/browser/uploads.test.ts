import { expect, it } from 'vitest';
import { useOpensslCrypto } from '../../shared/node/native-crypto.ts';
import { seededUpload } from '../support/seeded-upload.ts';
import type { Harness } from './harness/main.ts';
import { sharedHarness } from './serve-harness.ts';

declare const harness: Harness;

const openHarness = sharedHarness();
useOpensslCrypto();

it.each([16, 20, 32] as const)('%d bits a number: Chromium uploads the bytes that Node does', async (ringBits) => {
  const { page, complaints } = await openHarness();
  const hashes = await page.evaluate((bits) => harness.uploadHashes(bits), ringBits);
  expect(hashes.length).toBeGreaterThan(ringBits === 32 ? 1 : 0);
  expect(hashes).toEqual(await seededUpload(ringBits));
  expect(complaints).toEqual([]);
  await page.context().close();
});

it('Chromium frees what is freed at once, not when it collects garbage', async () => {
  const { page } = await openHarness();
  expect(await page.evaluate(() => harness.lengthOnceFreed())).toBe(0);
  await page.context().close();
});
