import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../coordinator/config.ts';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.ts';
import { fromUtf8, utf8 } from '../../shared/core/bytes.ts';
import { canonicalJson } from '../../shared/core/canonical.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { type Signer, signerFromSeed } from '../../shared/core/signing.ts';
import { formatCheckpoint } from '../../shared/ledger/checkpoint.ts';
import type { EntryKind } from '../../shared/ledger/entries.ts';
import { parseVkey } from '../../shared/ledger/keys.ts';
import { leafHash, MerkleTree } from '../../shared/ledger/merkle.ts';
import { formatNote, signLine } from '../../shared/ledger/note.ts';
import { formatEntryBundle, parseEntryBundle, tileBytes, tilePath, tilesOf } from '../../shared/ledger/tiles.ts';
import { openKeystore } from '../../shared/node/keystore.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import { openSqliteStore } from '../../shared/node/store/sqlite.ts';
import { createTestRun, openTestBudget, startParticipant, until } from '../support/federation.ts';
import { flipped } from '../support/run-ledger.ts';

/** The auditor's commands as they are typed, on the ledger of a real run of five sites over SQLite. */
let dir: string;
let coordinator: RunningCoordinator;
let vkey: string;
let runId: string;
/** What an auditor kept from before the run ended. */
let since: string;

interface Ran {
  readonly code: number;
  readonly out: string;
}

function tacit(...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(packageRoot, 'bin/tacit.js'), ...args], { cwd: dir }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), out: `${stdout}${stderr}` }),
    );
  });
}

async function run(): Promise<void> {
  const { service } = coordinator;
  await openTestBudget(service, 3);
  const { id, link } = await createTestRun(service, { rounds: 2 });
  runId = id;
  const sites = await Promise.all(
    [1, 2, 3, 4, 5].map(async (index) => {
      const store = await openSqliteStore(join(dir, `site-${index}`, 'store'));
      return { store, participant: startParticipant({ link, index, store }) };
    }),
  );
  await until(() => service.rounds(id).some((r) => r.phase === 'done'), 'the first round', 120_000);
  since = await service.ledger.checkpoint();
  await until(() => service.run(id)?.state === 'finished', 'the run to finish', 120_000);
  for (const { store, participant } of sites) {
    await participant.ended;
    await store.close();
  }
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tacit-ledger-cli-'));
  const { config } = await loadConfig({ dataDir: join(dir, 'data'), port: '0', logLevel: 'silent' }, {}, undefined);
  coordinator = await startCoordinator(config, undefined, pino({ level: 'silent' }));
  vkey = coordinator.service.ledger.vkey;
  await run();
  await writeFile(join(dir, 'since'), since);
  expect(await tacit('ledger', 'export', '--data-dir', 'data', '--out', 'bundle')).toMatchObject({ code: 0 });
}, 300_000);

afterAll(async () => {
  await coordinator.close();
  const keep = process.env['TACIT_KEEP_BUNDLE'];
  if (keep !== undefined) {
    await cp(join(dir, 'bundle'), keep, { recursive: true });
    await cp(join(dir, 'since'), `${keep}.since`);
    await cp(join(dir, 'deployments'), `${keep}.deployments`, { recursive: true });
    await cp(join(dir, 'report.html'), `${keep}.report.html`);
  }
  await rm(dir, { recursive: true, force: true });
});

const file = (path: string): string => join(dir, path);

describe('verify', () => {
  it('the bundle, a zip of it, and the running coordinator by its address', async () => {
    const bundle = await tacit('ledger', 'verify', 'bundle', '--vkey', vkey, '--since', 'since');
    console.log(bundle.out);
    expect(bundle).toMatchObject({ code: 0, out: expect.stringContaining(': verified') });
    expect(bundle.out).toMatch(
      /finished, 2 rounds released, 5 consents, 0 refusals, eps 3\.000000 \(recomputed (3\.00000|2\.99999)/,
    );
    expect(await tacit('ledger', 'export', '--data-dir', 'data', '--out', 'bundle.zip')).toMatchObject({ code: 0 });
    expect(await tacit('ledger', 'verify', 'bundle.zip', '--vkey', vkey)).toMatchObject({ code: 0 });
    const remote = await tacit(
      'ledger',
      'verify',
      `${coordinator.localUrl}/ledger`,
      '--vkey',
      vkey,
      '--since',
      'since',
    );
    expect(remote).toMatchObject({ code: 0, out: expect.stringContaining(': verified') });
    const absent = await tacit('ledger', 'verify', 'http://127.0.0.1:9/ledger');
    expect(absent).toMatchObject({ code: 1, out: expect.stringContaining('LOG_UNREACHABLE') });
  });

  it('what is not a ledger fails, it does not crash', async () => {
    const elsewhere = await tacit('ledger', 'verify', `${coordinator.localUrl}/nothing-here`, '--vkey', vkey);
    expect(elsewhere).toMatchObject({ code: 4, out: expect.stringContaining('CHECKPOINT_MISSING') });
  });
});

describe('seven forgeries, each with exit code 4 and the entry named', () => {
  let texts: string[];
  let key: Signer;
  const indexOf = (kind: EntryKind, nth = 0): number =>
    texts.flatMap((t, i) => (JSON.parse(t).kind === kind ? [i] : []))[nth] as number;

  beforeAll(async () => {
    const [name] = await readdir(file('bundle/tile/entries'));
    const [partial] = await readdir(file(`bundle/tile/entries/${name}`));
    texts = parseEntryBundle(new Uint8Array(await readFile(file(`bundle/tile/entries/${name}/${partial}`)))).map(
      fromUtf8,
    );
    const keystore = join(dir, 'data', 'keys', 'coordinator.json');
    key = signerFromSeed((await openKeystore(keystore, { rng: systemRng })).seed);
  });

  /** A copy of the bundle, changed. */
  async function changed(name: string, change: (path: string) => Promise<void>): Promise<Ran> {
    await cp(file('bundle'), file(name), { recursive: true });
    await change(file(name));
    const ran = await tacit('ledger', 'verify', name, '--vkey', vkey, '--since', 'since');
    const shown = ran.out.split('\n').filter((l) => /FAILED|FAILURE/.test(l));
    console.log(`--- ${name}: exit code ${ran.code}\n${shown.slice(0, 5).join('\n')}`);
    return ran;
  }

  /** An operator who has the key rewrites the log and signs it again; the proofs that were handed out stay as they are. */
  const resigned = (list: readonly string[]) => async (path: string) => {
    const tree = new MerkleTree();
    for (const text of list) tree.append(leafHash(utf8(text)));
    const body = formatCheckpoint({ origin: parseVkey(vkey).name, size: list.length, root: tree.root() });
    await rm(join(path, 'tile'), { recursive: true, force: true });
    const files = [
      ['checkpoint', utf8(formatNote(body, [signLine(body, parseVkey(vkey), key)]))],
      [`tile/entries/000.p/${list.length}`, formatEntryBundle(list.map(utf8))],
      ...tilesOf(list.length).map((t) => [tilePath(t), tileBytes(tree, { ...t, level: t.level as number })]),
    ] as const;
    for (const [name, bytes] of files) await write(join(path, name as string), bytes as Uint8Array);
  };
  const edited = (index: number, change: (entry: Record<string, unknown>) => object): string[] =>
    texts.map((t, i) => (i === index ? canonicalJson({ ...JSON.parse(t), ...change(JSON.parse(t)) }) : t));

  it('one byte of an entry', async () => {
    const at = indexOf('round.release');
    const ran = await changed('entry', async (path) => {
      const bundle = `${path}/tile/entries/000.p/${texts.length}`;
      const list = texts.map((t, i) => (i === at ? t.replace('"survivors":5', '"survivors":6') : t));
      await writeFile(bundle, formatEntryBundle(list.map(utf8)));
    });
    expect(ran).toMatchObject({ code: 4, out: expect.stringContaining(`entry ${at}: ENTRY_CHANGED`) });
  });

  it('the root in the checkpoint', async () => {
    const ran = await changed('root', async (path) => {
      const lines = (await readFile(`${path}/checkpoint`, 'utf8')).split('\n');
      lines[2] = flipped(lines[2] as string);
      await writeFile(`${path}/checkpoint`, lines.join('\n'));
    });
    expect(ran.code).toBe(4);
    expect(ran.out).toMatch(/entry \d+: NOTE_UNSIGNED: checkpoint of \d+ entries/);
    expect(ran.out).toContain('ROOT_WRONG');
  });

  it('a signature: of a client in its consent, and of the log', async () => {
    const at = indexOf('consent', 2);
    const client = await changed(
      'signature',
      resigned(edited(at, (e) => ({ signature: flipped(e['signature'] as string) }))),
    );
    expect(client).toMatchObject({ code: 4, out: expect.stringContaining(`entry ${at}: SIGNATURE_WRONG`) });
    const log = await changed('log-signature', async (path) => {
      const note = await readFile(`${path}/checkpoint`, 'utf8');
      await writeFile(
        `${path}/checkpoint`,
        note.replace(/ (\S+)\n(?=—|$)/u, (_, s: string) => ` ${flipped(s)}\n`),
      );
    });
    expect(log.code).toBe(4);
    expect(log.out).toMatch(/entry \d+: NOTE_UNSIGNED: checkpoint of \d+ entries/);
  });

  it('an ε: both values are named', async () => {
    const at = indexOf('plan.commit');
    const ran = await changed(
      'epsilon',
      resigned(edited(at, (e) => ({ certificate: { ...(e['certificate'] as object), epsilon: '2.9' } }))),
    );
    expect(ran.code).toBe(4);
    expect(ran.out).toMatch(new RegExp(`entry ${at}: EPSILON_WRONG: .*expected (3|2\\.99999)\\d*.*found 2\\.9`));
  });

  it('a deleted entry', async () => {
    const at = indexOf('consent', 1);
    const ran = await changed('deleted', resigned(texts.filter((_, i) => i !== at)));
    expect(ran.code).toBe(4);
    expect(ran.out).toMatch(new RegExp(`VERIFICATION_FAILED: .*entry ${at}\\)`));
    expect(ran.out).toContain('LOG_SHRANK');
  });

  it('two entries in another order', async () => {
    const [a, b] = [indexOf('consent', 0), indexOf('consent', 1)];
    const list = texts.map((t, i) => (i === a ? texts[b] : i === b ? texts[a] : t) as string);
    const ran = await changed('reordered', resigned(list));
    expect(ran.code).toBe(4);
    expect(ran.out).toMatch(new RegExp(`entry ${a}: `));
    expect(ran.out).toMatch(new RegExp(`entry ${b}: `));
  });

  it('a checkpoint from a fork', async () => {
    const at = indexOf('round.release', 1);
    const ran = await changed('fork', async (path) => {
      await resigned(edited(at, () => ({ survivors: 4 })))(file('fork-log'));
      await cp(file('fork-log/checkpoint'), `${path}/checkpoint`);
    });
    expect(ran.code).toBe(4);
    expect(ran.out).toMatch(/entry \d+: LOG_FORKED: two histories are signed/);
  });
});

describe('report, registry, reconcile', () => {
  it('a report names the budget, what was spent on what, and where each line comes from', async () => {
    await writeFile(
      file('about.yaml'),
      'controller: { name: Clinic A, contact: privacy@clinic-a.example }\nregion: Portugal\n',
    );
    const args = ['bundle', '--vkey', vkey, '--about', 'about.yaml'];
    expect(await tacit('ledger', 'report', ...args, '--out', 'report.html')).toMatchObject({ code: 0 });
    const html = await readFile(file('report.html'), 'utf8');
    for (const words of [
      'mail, one record, 2026',
      runId,
      'Art. 30(1)(b)',
      'SP 800-226',
      '§ 1798.105',
      'Clinic A',
      'Art. 7(3)',
      'Art. 35(7)(c)',
    ])
      expect(html).toContain(words);
    expect(html).not.toMatch(/<script|https?:\/\//);
    expect(await tacit('ledger', 'report', ...args, '--out', 'report.json')).toMatchObject({ code: 0 });
    const report = JSON.parse(await readFile(file('report.json'), 'utf8'));
    expect(report.scopes[0]).toMatchObject({
      epsilon: 3,
      spent: 3,
      left: 0,
      runs: [{ run: runId, state: 'finished' }],
    });
    for (const fact of [
      ...report.scopes[0].article30,
      ...report.scopes[0].ccpa,
      ...report.scopes[0].rights,
      ...report.scopes[0].impactAssessment,
      ...report.scopes[0].pyramids[0].layers,
    ])
      expect(fact.source).toMatch(/entr|organisation\.yaml|software|ledger/);
  });

  it('a registry draft has the fields of the OpenDP registry', async () => {
    expect(await tacit('ledger', 'registry', 'bundle', '--out', 'deployments')).toMatchObject({ code: 0 });
    const record = parse(await readFile(file(`deployments/${runId}.yaml`), 'utf8'));
    expect(Object.keys(record)).toEqual(['url_slug', 'status', 'tier', 'deployment']);
    expect(record.deployment.privacy_loss.privacy_parameters).toEqual({ epsilon: 3, delta: 1e-5 });
    expect(record.deployment.deployment_model.model_name).toBe('Federated');
  });

  it('a site exports its own account, which an auditor verifies by its own key and holds against the coordinator’s', async () => {
    const done = await tacit('ledger', 'export', '--site', 'site-2', '--out', 'site-2.zip', '--json');
    expect(done).toMatchObject({ code: 0 });
    const { vkey: siteKey, entries } = JSON.parse(done.out) as { vkey: string; entries: number };
    expect(siteKey).toMatch(/^tacit\.client\//);
    const verified = await tacit('ledger', 'verify', 'site-2.zip', '--vkey', siteKey);
    expect(verified).toMatchObject({ code: 0, out: expect.stringContaining(`${entries} entries`) });
    expect(verified.out).toMatch(/: verified$/m);
    // The other site's key is not this one's.
    const other = await tacit('ledger', 'export', '--site', 'site-1', '--out', 'site-1-bundle', '--json');
    const { vkey: otherKey } = JSON.parse(other.out) as { vkey: string };
    const wrong = await tacit('ledger', 'verify', 'site-2.zip', '--vkey', otherKey);
    expect(wrong.out).not.toMatch(/: verified$/m);
    expect(await tacit('ledger', 'reconcile', 'bundle', '--site', 'site-2.zip', '--vkey', vkey)).toMatchObject({
      code: 0,
      out: expect.stringContaining('they agree'),
    });
    expect(await tacit('ledger', 'export', '--site', 'nowhere', '--out', 'x')).toMatchObject({
      code: 2,
      out: expect.stringContaining('FILE_MISSING: this is not the state folder of a client'),
    });
  });

  it('a site and the coordinator agree, until one of them says something else', async () => {
    const agrees = await tacit('ledger', 'reconcile', 'bundle', '--site', 'site-1', '--vkey', vkey);
    console.log(agrees.out);
    expect(agrees).toMatchObject({ code: 0, out: expect.stringContaining('they agree') });
    // Another coordinator's ledger knows nothing of what this site set aside.
    const { config } = await loadConfig({ dataDir: file('other'), port: '0', logLevel: 'silent' }, {}, undefined);
    const other = await startCoordinator(config, undefined, pino({ level: 'silent' }));
    const parts = await tacit('ledger', 'reconcile', `${other.localUrl}/ledger`, '--site', 'site-1');
    await other.close();
    console.log(parts.out);
    expect(parts).toMatchObject({ code: 4, out: expect.stringContaining('RUN_UNKNOWN') });
  });
});

describe('budgets of a running coordinator', () => {
  const budget = { scope: 'mail', unit: 'record', period: '2026' };
  const post = async (path: string, body: unknown) => {
    const response = await fetch(`${coordinator.localUrl}/api/v1/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${coordinator.operatorToken}` },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as { error?: { code: string } } };
  };

  it('the token alone opens nothing; people who are named, by command, do; lowering is at once', async () => {
    const names = ['dpo', 'head'];
    for (const name of names) {
      const made = await tacit('approver', 'key', '--name', name, '--key', `${name}.json`);
      await writeFile(
        file(`${name}.pub.json`),
        made.out
          .split('\n')
          .filter((l) => l.startsWith('{'))
          .join(''),
      );
    }
    const people = names.flatMap((n) => ['--add', `${n}.pub.json`]);
    expect(await tacit('approver', 'set', ...people, '--data-dir', 'data')).toMatchObject({ code: 0 });
    expect(await tacit('approver', 'set', '--remove', 'dpo', '--data-dir', 'data')).toMatchObject({ code: 3 });
    const opening = { budget, epsilon: '5', delta: '0.001', revision: 1, purpose: 'more', legalBasis: 'none' };
    await writeFile(file('opening.yaml'), JSON.stringify(opening));
    const approvals = await Promise.all(
      names.map(async (name) => {
        const { out } = await tacit('budget', 'approve', 'opening.yaml', '--name', name, '--key', `${name}.json`);
        return JSON.parse(out) as object;
      }),
    );
    // A second process never writes beside the coordinator: what has no address there is refused.
    const { length } = await coordinator.service.ledger.entries(0);
    const rotate = await tacit('ledger', 'rotate-key', '--reason', 'x', '--data-dir', 'data');
    expect(rotate).toMatchObject({ code: 2, out: expect.stringContaining('DATA_DIR_IN_USE') });
    const files = names.flatMap((_, i) => ['--approval', `${i}.approval.json`]);
    for (const [i, approval] of approvals.entries())
      await writeFile(file(`${i}.approval.json`), JSON.stringify(approval));
    const once = await tacit('budget', 'open', 'opening.yaml', ...files.slice(0, 2), '--data-dir', 'data');
    expect(once).toMatchObject({ code: 3, out: expect.stringContaining('BUDGET_UNAPPROVED') });
    expect(await coordinator.service.ledger.entries(0)).toHaveLength(length);
    const alone = await post('budgets', { opening, approvals: [approvals[0], approvals[0]] });
    expect(alone.body.error?.code).toBe('BUDGET_UNAPPROVED');
    // The command asks the coordinator.
    expect(await tacit('budget', 'open', 'opening.yaml', ...files, '--data-dir', 'data')).toMatchObject({ code: 0 });
    expect(coordinator.service.budgets()).toMatchObject([{ epsilon: 5 }]);
    expect(await post('budgets', { opening, approvals })).toMatchObject({ status: 201 });
    expect((await post('budgets', { opening: { ...opening, revision: 2, epsilon: '3' }, approvals })).status).not.toBe(
      201,
    );
    const where = ['--coordinator', coordinator.localUrl, '--data-dir', 'data'];
    const key = ['--scope', 'mail', '--unit', 'record', '--period', '2026', '--delta', '0.001', '--reason', 'less'];
    expect(await tacit('budget', 'lower', ...key, '--epsilon', '4', ...where)).toMatchObject({ code: 0 });
    expect(await tacit('budget', 'lower', ...key, '--epsilon', '6', ...where)).toMatchObject({ code: 3 });
    const report = await tacit('ledger', 'verify', `${coordinator.localUrl}/ledger`, '--vkey', vkey);
    expect(report).toMatchObject({
      code: 0,
      out: expect.stringMatching(/mail +record +2026 +4\.000 +3\.000 +0\.000 +1\.000/),
    });
    expect(report.out).not.toContain('who approved');
  }, 180_000);
});

async function write(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, bytes);
}
