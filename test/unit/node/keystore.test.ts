import { mkdtempSync } from 'node:fs';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { signerFromSeed } from '../../../shared/core/signing.ts';
import { openKeystore } from '../../../shared/node/keystore.ts';

const place = () => join(mkdtempSync(join(tmpdir(), 'tacit-keys-')), 'state', 'identity.json');
const mode = async (path: string) => (await stat(path)).mode & 0o777;

describe('keystore', () => {
  it('keeps one identity, and says that only the machine protects it', async () => {
    const path = place();
    const first = await openKeystore(path, { rng: seededRng('a') });
    const again = await openKeystore(path, { rng: seededRng('b') });
    expect([first.created, first.protection, again.created, again.protection]).toEqual([
      true,
      'machine',
      false,
      'machine',
    ]);
    expect(again.seed).toEqual(first.seed);
    expect(signerFromSeed(again.seed).publicKey.length).toBe(32);
    expect([await mode(path), await mode(join(path, '..', 'machine-key'))]).toEqual([0o600, 0o600]);
  });

  it('does not hold the seed in the clear', async () => {
    const path = place();
    const { seed } = await openKeystore(path, { rng: seededRng('c') });
    const bytes = await readFile(path);
    expect(bytes.includes(Buffer.from(seed))).toBe(false);
    expect(bytes.includes(Buffer.from(seed).toString('base64'))).toBe(false);
    await rm(join(path, '..', 'machine-key'));
    await expect(openKeystore(path, { rng: seededRng('d') })).rejects.toMatchObject({ code: 'KEYSTORE_LOCKED' });
  });

  it('opens with the passphrase it was made with and no other', async () => {
    const path = place();
    const { seed, protection } = await openKeystore(path, { passphrase: 'cafe\u0301', rng: seededRng('e') });
    expect(protection).toBe('passphrase');
    expect((await openKeystore(path, { passphrase: 'caf\u00e9', rng: seededRng('f') })).seed).toEqual(seed);
    await expect(openKeystore(path, { passphrase: 'cafe', rng: seededRng('f') })).rejects.toMatchObject({
      code: 'KEYSTORE_LOCKED',
    });
    await expect(openKeystore(path, { rng: seededRng('f') })).rejects.toMatchObject({ code: 'KEYSTORE_LOCKED' });
  });

  it('refuses a damaged file, and a cost that would exhaust memory or protect nothing', async () => {
    const path = place();
    await openKeystore(path, { rng: seededRng('g') });
    const good = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    const scrypt = (cost: number) => ({
      ...good,
      key: { from: 'passphrase', scrypt: { cost, blockSize: 8, parallelization: 1 }, salt: 'AAAA' },
    });
    for (const bad of [
      '',
      '{}',
      JSON.stringify({ ...good, version: 2 }),
      JSON.stringify(scrypt(2)),
      JSON.stringify(scrypt(2 ** 30)),
    ]) {
      await writeFile(path, bad);
      await expect(openKeystore(path, { passphrase: 'x', rng: seededRng('h') })).rejects.toMatchObject({
        code: 'KEYSTORE_INVALID',
      });
    }
  });
});
