import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../coordinator/config.ts';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.ts';
import { packageRoot } from '../../shared/node/package-root.ts';

/** Changes of keys as they are typed. */
let dir: string;
let coordinator: RunningCoordinator;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tacit-keys-'));
  const { config } = await loadConfig({ dataDir: join(dir, 'data'), port: '0', logLevel: 'silent' }, {}, undefined);
  coordinator = await startCoordinator(config, undefined, pino({ level: 'silent' }));
});
afterAll(async () => {
  await coordinator.close();
  await rm(dir, { recursive: true, force: true });
});

const file = (path: string): string => join(dir, path);

function tacit(...args: string[]): Promise<{ code: number; out: string; json: Record<string, unknown> }> {
  const env = { ...process.env, TACIT_KEY_PASSPHRASE: 'crocus battery 42' };
  return new Promise((resolve) => {
    const [node, bin] = [process.execPath, join(packageRoot, 'bin/tacit.js')];
    execFile(node, [bin, ...args], { cwd: dir, env }, (error, stdout, stderr) => {
      const line = stdout.split('\n').find((l) => l.startsWith('{')) ?? '{}';
      const json = JSON.parse(line) as Record<string, unknown>;
      resolve({ code: error === null ? 0 : Number(error.code), out: `${stdout}${stderr}`, json });
    });
  });
}

test('an approver hands over to a new key by one command; the old file cannot, and a broken-off command goes on', async () => {
  const keys: Record<string, unknown> = {};
  for (const name of ['dpo', 'head']) {
    const { json } = await tacit('approver', 'key', '--name', name, '--key', `${name}.json`);
    keys[name] = json['publicKey'];
    await writeFile(file(`${name}.pub.json`), JSON.stringify(json));
  }
  const set = await tacit('approver', 'set', '--add', 'dpo.pub.json', '--add', 'head.pub.json', '--data-dir', 'data');
  expect(set).toMatchObject({ code: 0, out: expect.stringContaining('Name a third') });
  await copyFile(file('dpo.json'), file('stolen.json'));
  const where = ['--coordinator', coordinator.localUrl];
  const rotate = (...more: string[]) =>
    tacit('approver', 'rotate', '--name', 'dpo', '--reason', 'new laptop', ...where, '--json', ...more);
  const done = await rotate('--key', 'dpo.json');
  expect(done).toMatchObject({ code: 0, json: { rotated: 'dpo', ledgerIndex: 1 } });
  expect(done.json['publicKey']).not.toBe(keys['dpo']);
  expect((await readdir(dir)).filter((name) => name.endsWith('.next'))).toEqual([]);
  const listed = await tacit('approver', 'list', '--data-dir', 'data', '--json');
  expect(listed.json).toEqual({ name: 'dpo', publicKey: done.json['publicKey'] });
  const own = await tacit('approver', 'key', '--name', 'dpo', '--key', 'dpo.json');
  expect(own.json['publicKey']).toBe(done.json['publicKey']);

  expect(await rotate('--key', 'stolen.json')).toMatchObject({ code: 3, out: expect.stringContaining('BUDGET_STATE') });
  expect(await rotate('--key', 'nowhere.json')).toMatchObject({ code: 2, out: expect.stringContaining('USAGE') });
  // The coordinator has it, the rename did not happen: the command is typed again.
  const before = await readFile(file('dpo.json'));
  const again = await rotate('--key', 'dpo.json');
  await copyFile(file('dpo.json'), file('dpo.json.next'));
  await writeFile(file('dpo.json'), before);
  const finished = await tacit(
    ...['approver', 'rotate', '--name', 'dpo', '--reason', 'another word', ...where, '--json', '--key', 'dpo.json'],
  );
  expect(finished.json).toEqual(again.json);
  expect((await coordinator.service.ledger.entries(0)).map(({ entry }) => entry.kind)).toEqual([
    'roster.update',
    'key.rotate',
    'key.rotate',
  ]);
}, 240_000);

test('a site changes its key by one command, before and after anything is in its ledger, and keeps its id', async () => {
  const rotate = () => tacit('client', 'rotate-key', '--state', 'site', '--reason', 'yearly', '--json');
  const first = await rotate();
  expect(first).toMatchObject({ code: 0, json: { rotated: true, ledgerIndex: 0 } });
  const before = await readFile(file('site/identity.json'), 'utf8');
  const second = await rotate();
  expect(second.json).toEqual({ ...first.json, ledgerIndex: 1 });
  expect(await readFile(file('site/identity.json'), 'utf8')).not.toBe(before);
  expect((await readdir(file('site'))).filter((name) => name.startsWith('identity'))).toEqual(['identity.json']);
  // The old key is put back from somewhere: it opens, and signs nothing any more.
  await writeFile(file('site/identity.json'), before);
  expect(await rotate()).toMatchObject({ code: 1, out: expect.stringContaining('LEDGER_KEY_UNKNOWN') });
  expect(await tacit('client', 'rotate-key', '--state', 'site')).toMatchObject({ code: 2 });
  expect((await tacit('client', '--help')).out).toContain('tacit client rotate-key --help');
}, 240_000);
