import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { lockDataDir, withWritableStore } from '../../../../coordinator/store/data-dir-lock.ts';
import { packageRoot } from '../../../../shared/node/package-root.ts';

const makeDir = () => mkdtemp(join(tmpdir(), 'tacit-lock-'));

it('names the coordinator that runs on a directory, and lets the next one in when it has ended', async () => {
  const dir = await makeDir();
  const release = await lockDataDir(dir, 'http://127.0.0.1:7400');
  await expect(lockDataDir(dir)).rejects.toMatchObject({
    code: 'DATA_DIR_IN_USE',
    address: 'http://127.0.0.1:7400',
    fix: expect.stringContaining('POST /api/v1/budgets'),
  });
  await release();
  const command = await lockDataDir(dir);
  await expect(lockDataDir(dir)).rejects.toMatchObject({ code: 'DATA_DIR_IN_USE', address: undefined });
  await command();
  await (await lockDataDir(dir))();
});

it('gives the directory back when the work on its store fails', async () => {
  const config = { store: 'sqlite' as const, dataDir: await makeDir() };
  await expect(withWritableStore(config, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await withWritableStore(config, (store) => store.head('ledger'))).toBe(0);
});

it('is given back by the system when its process is killed; the address it left misleads nobody', async () => {
  const dir = await makeDir();
  const module = JSON.stringify(join(packageRoot, 'dist/coordinator/store/data-dir-lock.js'));
  const program = `const { lockDataDir } = await import(${module}); await lockDataDir(${JSON.stringify(dir)}, 'http://gone'); process.stdout.write('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await expect(lockDataDir(dir)).rejects.toMatchObject({ address: 'http://gone' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  const release = await lockDataDir(dir);
  await expect(lockDataDir(dir)).rejects.toMatchObject({ address: undefined });
  await release();
});
