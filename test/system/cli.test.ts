import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const bin = new URL('../../bin/tacit.js', import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), 'tacit-cli-'));

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the built command as people do. */
function tacit(args: readonly string[], env: Record<string, string> = {}): Promise<Result> {
  return run(bin, args, env);
}

function run(program: string, args: readonly string[], env: Record<string, string>): Promise<Result> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: dir,
      env: { PATH: process.env['PATH'] ?? '', HOME: dir, ...env },
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (d: Buffer) => {
      out += d.toString();
    });
    child.stderr.on('data', (d: Buffer) => {
      err += d.toString();
    });
    child.stdin.end();
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

/** `tacit coordinator` on a free port; `stop` ends it as a service manager would. */
async function serve(data: string): Promise<{ localUrl: string; fingerprint: string; stop(): Promise<number | null> }> {
  const args = ['coordinator', '--port', '0', '--data-dir', data, '--json', '--log-level', 'error'];
  const child = spawn(process.execPath, [bin, ...args], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const first = await new Promise<string>((resolve) => child.stdout.once('data', (d: Buffer) => resolve(d.toString())));
  const stop = (): Promise<number | null> => {
    child.kill('SIGTERM');
    return ended;
  };
  return { ...(JSON.parse(first) as { localUrl: string; fingerprint: string }), stop };
}

const written = async (name: string, text: string): Promise<string> => {
  await writeFile(join(dir, name), text);
  return join(dir, name);
};

/** `CODE: what (where). fix` on one line, no stack. */
function expectCoded({ code, err }: Result, exit: number, errorCode: string): void {
  expect([code, err]).toEqual([exit, expect.stringMatching(new RegExp(`^${errorCode}: .+\\n$`))]);
}

describe('tacit', () => {
  it('refuses mistakes with one coded sentence and exit code 2', async () => {
    for (const args of [[], ['frobnicate'], ['client', '--frobnicate']]) expectCoded(await tacit(args), 2, 'USAGE');
  });

  it('says that it was not built, where it was not', async () => {
    const bare = join(dir, 'bare', 'bin');
    await mkdir(bare, { recursive: true });
    await copyFile(bin, join(bare, 'tacit.js'));
    await writeFile(join(bare, '..', 'package.json'), '{"type":"module"}');
    const result = await run(join(bare, 'tacit.js'), ['--help'], {});
    expect([result.code, result.err]).toEqual([2, expect.stringMatching(/^NOT_BUILT: .* Run "npm ci"/)]);
  });

  it('prints problems as JSON where JSON was asked for', async () => {
    const { code, out, err } = await tacit(['run', 'list', '--json', '--coordinator', 'http://127.0.0.1:9']);
    expect([code, out, JSON.parse(err)]).toEqual([
      1,
      '',
      {
        event: 'error',
        code: 'COORDINATOR_UNREACHABLE',
        what: expect.any(String),
        where: expect.any(String),
        fix: expect.any(String),
      },
    ]);
  });

  it('shows where each setting came from', async () => {
    const file = await written('tacit.yaml', 'name: From file\nstore: mongodb://user:secret@db.example/tacit\n');
    const { out } = await tacit(['config', 'print', '--json', '--config', file, '--port', '7500'], {
      TACIT_HOST: '0.0.0.0',
    });
    const rows = out
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l) as { setting: string; value: unknown; source: string });
    const row = (setting: string) => rows.find((r) => r.setting === setting);
    expect(row('port')).toEqual({ setting: 'port', value: 7500, source: '--port' });
    expect(row('host')).toEqual({ setting: 'host', value: '0.0.0.0', source: 'TACIT_HOST' });
    expect(row('name')).toEqual({ setting: 'name', value: 'From file', source: file });
    expect(out).not.toContain('secret');
    expectCoded(await tacit(['config', 'print', '--port', 'high']), 2, 'CONFIG_INVALID');
  });
});

describe('tacit privacy', () => {
  it('agrees with itself: noise for a promise keeps the promise', async () => {
    const noise = await tacit(['privacy', 'noise', '--epsilon', '3', '--delta', '1e-5', '--rounds', '100', '--json']);
    const { noiseMultiplier } = JSON.parse(noise.out) as { noiseMultiplier: number };
    expect(noiseMultiplier).toBeGreaterThan(13.9);
    expect(noiseMultiplier).toBeLessThan(13.92);
    const back = await tacit([
      'privacy',
      'epsilon',
      '--noise-multiplier',
      String(noiseMultiplier),
      '--delta',
      '1e-5',
      '--rounds',
      '100',
      '--json',
    ]);
    expect((JSON.parse(back.out) as { epsilon: number }).epsilon).toBeCloseTo(3, 4);
    const rounds = await tacit([
      'privacy',
      'rounds',
      '--epsilon',
      '3',
      '--delta',
      '1e-5',
      '--noise-multiplier',
      '13.91',
    ]);
    expect(rounds.out).toMatch(/^100 rounds: the most for epsilon 3 at delta 0.00001\n/);
  });
});

describe('tacit client, before anything is sent', () => {
  const join_ = 'http://127.0.0.1:9/#join=AAAAAAAAAAAAAAAAAAAAAA.1a2b-3c4d-5e6f-7081';

  it('refuses a wrong join code, a missing policy, a bad policy', async () => {
    expectCoded(await tacit(['client', '--join', 'nonsense', '--data', 'x', '--policy', 'y']), 2, 'JOIN_CODE_INVALID');
    expectCoded(await tacit(['client', '--join', join_, '--data', 'x']), 2, 'POLICY_MISSING');
    expectCoded(await tacit(['client', '--join', join_, '--data', 'x', '--policy', 'none.yaml']), 2, 'POLICY_MISSING');
    const bad = await tacit([
      'client',
      '--join',
      join_,
      '--data',
      'x',
      '--policy',
      await written('policy.yaml', 'maximumEpsilon: -1\n'),
    ]);
    expectCoded(bad, 2, 'POLICY_INVALID');
    expect(bad.err).toMatch(/maximumEpsilon: .*; maximumDelta: .*scopes: /);
  });
});

describe('tacit coordinator', () => {
  it('says that a port is taken, and what to do', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const result = await tacit(['coordinator', '--port', String(port), '--data-dir', join(dir, 'taken')]);
    server.close();
    expectCoded(result, 2, 'PORT_TAKEN');
    expect(result.err).toContain('choose another with --port');
  });

  it('starts, serves, refuses a plan that is none, and ends at SIGTERM', async () => {
    const data = join(dir, 'served');
    const { localUrl, fingerprint, stop } = await serve(data);
    const at = ['--coordinator', localUrl, '--data-dir', data];
    expect(((await (await fetch(`${localUrl}/api/v1/about`)).json()) as { fingerprint: string }).fingerprint).toBe(
      fingerprint,
    );
    expect((await tacit(['run', 'list', ...at])).code).toBe(0);
    const texts = await written('texts.jsonl', '{"text":"a","label":"ham"}\n');
    const held = ['--validation', texts, '--test', texts];
    expectCoded(await tacit(['run', 'create', 'none.yaml', ...held, ...at]), 2, 'FILE_MISSING');
    expectCoded(
      await tacit(['run', 'create', await written('plan.yaml', 'name: X\n'), ...held, ...at]),
      2,
      'PLAN_INVALID',
    );
    const quickstart = new URL('../../plans/head.yaml', import.meta.url).pathname;
    expectCoded(await tacit(['run', 'create', quickstart, ...held, ...at]), 3, 'BUDGET_UNKNOWN');
    const stranger = await tacit(['run', 'create', quickstart, ...held, '--coordinator', localUrl, '--data-dir', dir]);
    expectCoded(stranger, 2, 'NOT_AUTHORISED');
    expectCoded(await tacit(['run', 'show', 'none', ...at]), 1, 'NOT_FOUND');
    expectCoded(await tacit(['model', 'predict', 'current', 'hello', ...at]), 1, 'NOT_FOUND');
    expect(await stop()).toBe(0);
  });
});

describe('tacit budget and ledger', () => {
  const opening =
    'budget: { scope: mail, unit: record, period: "2026" }\nepsilon: "3"\ndelta: "1e-5"\nrevision: 0\npurpose: filter\nlegalBasis: consent\n';

  it('opens a budget with two signatures and not with one, and accounts for it', async () => {
    const document = await written('opening.yaml', opening);
    await mkdir(join(dir, 'keys'), { recursive: true });
    for (const name of ['a', 'b']) {
      const { out } = await tacit([
        'budget',
        'approve',
        document,
        '--name',
        name,
        '--key',
        join(dir, 'keys', name, 'key.json'),
      ]);
      await written(`${name}.json`, out);
    }
    const data = ['--data-dir', join(dir, 'budget')];
    expectCoded(
      await tacit(['budget', 'open', document, '--approval', join(dir, 'a.json'), join(dir, 'a.json'), ...data]),
      3,
      'BUDGET_UNAPPROVED',
    );
    expect(
      (await tacit(['budget', 'open', document, '--approval', join(dir, 'a.json'), join(dir, 'b.json'), ...data])).code,
    ).toBe(0);
    const list = await tacit(['budget', 'list', '--json', ...data]);
    expect(JSON.parse(list.out)).toMatchObject({ epsilon: 3, spent: 0, left: 3 });

    expect((await tacit(['ledger', 'show', ...data])).out).toMatch(/^#0 .* budget\.open +ε 3 at δ .*2 approvals\n$/);
    const bundle = join(dir, 'bundle');
    expect((await tacit(['ledger', 'export', '--out', bundle, ...data])).code).toBe(0);
    const vkey = (await readFile(join(dir, 'budget', 'log.vkey'), 'utf8')).trim();
    const verified = await tacit(['ledger', 'verify', bundle, '--vkey', vkey]);
    expect([verified.code, verified.out]).toEqual([
      0,
      expect.stringMatching(/1 entries, root [0-9a-f]{64}: verified\n/),
    ]);
    expect((await tacit(['ledger', 'verify', bundle])).out).toContain('internally consistent, signer not established');

    const zip = join(dir, 'bundle.zip');
    expect((await tacit(['ledger', 'export', '--out', zip, ...data])).code).toBe(0);
    expect((await tacit(['ledger', 'verify', zip, '--vkey', vkey])).out).toContain(': verified');
    expectCoded(await tacit(['ledger', 'verify', await written('no.zip', 'no zip')]), 2, 'DOCUMENT_INVALID');
    expectCoded(await tacit(['ledger', 'verify', 'none']), 2, 'FILE_MISSING');

    const entries = join(bundle, 'tile', 'entries', '000.p', '1');
    const bytes = await readFile(entries);
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    await writeFile(entries, bytes);
    expectCoded(await tacit(['ledger', 'verify', bundle, '--vkey', vkey]), 4, 'VERIFICATION_FAILED');
    expectCoded(await tacit(['ledger', 'export', '--out', bundle, ...data]), 2, 'FILE_EXISTS');
  });
});

describe('tacit client, at a coordinator', () => {
  it('is told in one sentence why it may not take part, and disturbs nobody', async () => {
    const data = join(dir, 'joined');
    const opening = await written(
      'joined.yaml',
      'budget: { scope: mail, unit: record, period: "2026" }\nepsilon: "3"\ndelta: "1e-5"\nrevision: 0\npurpose: filter\nlegalBasis: consent\n',
    );
    for (const name of ['c', 'd']) {
      const { out } = await tacit([
        'budget',
        'approve',
        opening,
        '--name',
        name,
        '--key',
        join(dir, 'keys', name, 'key.json'),
      ]);
      await written(`${name}.json`, out);
    }
    await tacit([
      'budget',
      'open',
      opening,
      '--approval',
      join(dir, 'c.json'),
      join(dir, 'd.json'),
      '--data-dir',
      data,
    ]);
    const { localUrl, stop } = await serve(data);
    const at = ['--coordinator', localUrl, '--data-dir', data];
    const texts = await written(
      'held.jsonl',
      '{"text":"win a prize","label":"spam"}\n{"text":"see you at noon","label":"ham"}\n',
    );
    const plan = new URL('../../plans/head.yaml', import.meta.url).pathname;
    const created = await tacit(['run', 'create', plan, '--validation', texts, '--test', texts, '--json', ...at]);
    const { id } = JSON.parse(created.out) as { id: string };
    const invite = async (...more: string[]): Promise<string> =>
      (await tacit(['run', 'invite', id, ...more, ...at])).out.trim();
    const link = await invite('--uses', '4');
    const rules =
      'maximumDelta: 1e-5\nmaximumEpsilonPerPeriod: 3\nminimumCohort: 4\nminimumColluders: 1\nmaximumRounds: 200\nscopes: [mail]\n';
    const policy = await written('allows.yaml', `maximumEpsilon: 3\n${rules}`);
    const join_ = (state: string, overrides: Record<string, string> = {}) => {
      const flags = {
        join: link,
        data: texts,
        policy,
        organisation: state,
        state: join(dir, 'states', state),
        ...overrides,
      };
      return tacit(['client', ...Object.entries(flags).flatMap(([k, v]) => [`--${k}`, v])]);
    };

    expectCoded(
      await join_('mislabelled', { data: await written('wrong.jsonl', '{"text":"a","label":"junk"}\n') }),
      2,
      'DATA_LABELS',
    );
    expectCoded(
      await join_('columns', { data: await written('wrong.csv', 'body,class\na,spam\n') }),
      2,
      'DATA_COLUMNS',
    );
    expectCoded(await join_('nodata', { data: join(dir, 'nothing.jsonl') }), 2, 'DATA_UNREADABLE');
    const strict = await written('strict.yaml', `maximumEpsilon: 1\n${rules}`);
    const refused = await join_('strict', { policy: strict });
    expectCoded(refused, 3, 'POLICY_REFUSED');
    expect(refused.err).toContain("epsilon 3 is above this site's 1");

    expectCoded(
      await join_('stranger', { join: link.replace(/join=[^.]*/, `join=${'A'.repeat(22)}`) }),
      2,
      'INVITATION_UNKNOWN',
    );
    expectCoded(await join_('fooled', { join: link.replace(/[0-9a-f]{4}$/, '0000') }), 4, 'COORDINATOR_UNKNOWN');
    const once = await invite('--uses', '1');
    expectCoded(await join_('first', { join: once, policy: strict }), 3, 'POLICY_REFUSED');
    expectCoded(await join_('second', { join: once }), 2, 'INVITATION_USED');
    const brief = await invite('--hours', '0.0000001');
    expectCoded(await join_('late', { join: brief }), 2, 'INVITATION_EXPIRED');

    const run = JSON.parse((await tacit(['run', 'show', id, '--json', ...at])).out) as {
      round: number;
      phase: string | null;
    };
    expect(run).toMatchObject({ round: 0, phase: null });
    const stopped = JSON.parse((await tacit(['run', 'stop', id, '--json', ...at])).out) as { state: string };
    expect(stopped.state).toBe('stopped');
    expect(JSON.parse((await tacit(['budget', 'list', '--json', '--data-dir', data])).out)).toMatchObject({
      spent: 0,
      reserved: 0,
      left: 3,
    });
    expect(await stop()).toBe(0);
  }, 120_000);
});
