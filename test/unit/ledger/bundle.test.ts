import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../../shared/core/bytes.ts';
import { canonicalJson } from '../../../shared/core/canonical.ts';
import { sha256Hex } from '../../../shared/core/hash.ts';
import { BudgetBook } from '../../../shared/ledger/budget-book.ts';
import { exportBundle } from '../../../shared/ledger/bundle.ts';
import { formatCheckpoint } from '../../../shared/ledger/checkpoint.ts';
import type { Entry } from '../../../shared/ledger/entries.ts';
import { type Ledger, openLedger } from '../../../shared/ledger/log.ts';
import { leafHash, MerkleTree } from '../../../shared/ledger/merkle.ts';
import { formatNote, signLine } from '../../../shared/ledger/note.ts';
import { formatEntryBundle, tileBytes, tilePath, tilesOf } from '../../../shared/ledger/tiles.ts';
import { type VerifyOptions, type VerifyReport, verifyBundle } from '../../../shared/ledger/verify.ts';
import { createMemoryStore } from '../../../shared/store/memory.ts';
import { incident, mailBudget, opening, testSigner, tickingClock } from '../../support/ledger.ts';
import { flipped, origin, runLedger } from '../../support/run-ledger.ts';

const { ledger } = await runLedger();
const recompute: VerifyOptions['recompute'] = () => ({ epsilon: 1 });
const honest = await exportBundle(ledger, { vkey: ledger.vkey });
const bundle = (): Map<string, Uint8Array> => new Map(honest);
const options = { vkeys: [ledger.vkey], recompute };

/** What is wrong, as `code@entry`. */
const faults = (report: VerifyReport): string[] => report.failures.map((f) => `${f.code}@${f.index}`);

/** All files of a log that consists of `texts` and is signed by the real log key: a log operator who lies consistently. */
function forge(texts: readonly string[]): Map<string, Uint8Array> {
  const tree = new MerkleTree();
  for (const text of texts) tree.append(leafHash(utf8(text)));
  const body = formatCheckpoint({ origin, size: texts.length, root: tree.root() });
  const files = new Map<string, Uint8Array>([
    ['checkpoint', utf8(formatNote(body, [signLine(body, ledger.key, testSigner('log'))]))],
    ['log.vkey', utf8(`${ledger.vkey}\n`)],
    [`tile/entries/000.p/${texts.length}`, formatEntryBundle(texts.map(utf8))],
  ]);
  for (const tile of tilesOf(texts.length))
    files.set(tilePath(tile), tileBytes(tree, { ...tile, level: tile.level as number }));
  return files;
}

const texts = (await ledger.entries(0)).map((r) => r.text);
const edit = (index: number, change: (entry: Record<string, unknown>) => object): string[] =>
  texts.map((t, i) => (i === index ? canonicalJson({ ...JSON.parse(t), ...change(JSON.parse(t)) }) : t));
const indexOf = (kind: Entry['kind'], nth = 0): number =>
  texts.flatMap((t, i) => (JSON.parse(t).kind === kind ? [i] : []))[nth] as number;

describe('an honest bundle', () => {
  it('verifies with a key from outside and says what was not checked', async () => {
    const report = await verifyBundle(bundle(), options);
    expect(report).toMatchObject({ verdict: 'verified', origin, size: 14, failures: [] });
    expect(report.witnesses.map((w) => [w.name, w.established])).toEqual([
      ['clinic-a.test/witness', false],
      ['clinic-b.test/witness', false],
    ]);
    expect(report.runs).toMatchObject([
      { run: 'r1', epsilon: 1, recomputedEpsilon: 1, consents: 5, released: 3, state: 'finished' },
    ]);
    expect(report.budgets).toMatchObject([{ epsilon: 3, spent: 1, left: 2 }]);
    expect(report.unchecked.join()).toMatch(/--since/);
  });

  it('with its own keys only it is internally consistent, signer not established', async () => {
    const report = await verifyBundle(bundle(), { recompute });
    expect(report.verdict).toBe('consistent');
    expect(report.unchecked.join()).toMatch(/who signed/);
  });

  it('extends an earlier checkpoint', async () => {
    const report = await verifyBundle(bundle(), { ...options, since: ledger.checkpointAt(10) as string });
    expect(report.verdict).toBe('verified');
    expect(report.unchecked).toEqual([]);
  });

  it('without an accountant it says that no ε was checked', async () => {
    expect((await verifyBundle(bundle(), { vkeys: [ledger.vkey] })).unchecked.join()).toMatch(/every ε/);
  });

  it('holds the files that TLOG.md names', () => {
    expect([...honest.keys()].filter((k) => !/^(proofs|plans)\//.test(k)).sort()).toEqual(
      ['README.txt', 'checkpoint', 'log.vkey', 'tile/0/000.p/14', 'tile/entries/000.p/14', 'witnesses.vkeys'].sort(),
    );
    expect([...honest.keys()].filter((k) => k.startsWith('proofs/'))).toHaveLength(28);
  });

  it('of more than one tile verifies', async () => {
    const store = createMemoryStore();
    const large = await openLedger({
      store,
      stream: 'ledger',
      origin,
      signer: testSigner('log'),
      clock: tickingClock(),
    });
    for (let i = 0; i < 600; i++) await large.append(incident(i), `op/${i}`);
    const files = await exportBundle(large, { vkey: large.vkey, prove: (i) => i % 100 === 0 });
    expect(await verifyBundle(files, options)).toMatchObject({ verdict: 'verified', size: 600 });
    const tile = (files.get('tile/1/000.p/2') as Uint8Array).slice();
    tile[40] = (tile[40] as number) ^ 1;
    expect(faults(await verifyBundle(new Map(files).set('tile/1/000.p/2', tile), options))).toEqual([
      'TILE_WRONG@null',
    ]);
  });
});

describe('one changed byte', () => {
  it('in an entry names the entry', async () => {
    const files = bundle();
    const path = 'tile/entries/000.p/14';
    const changed = Buffer.from(
      Buffer.from(files.get(path) as Uint8Array)
        .toString('latin1')
        .replace('"records":100', '"records":101'),
      'latin1',
    );
    const report = await verifyBundle(files.set(path, changed), options);
    expect(report.verdict).toBe('failed');
    expect(faults(report)).toContain('ENTRY_CHANGED@3');
    expect(faults(report)).toContain('PROOF_INVALID@3');
    expect(new Set(report.failures.flatMap((f) => (f.index === null ? [] : [f.index])))).toEqual(new Set([3]));
    const failure = report.failures.find((f) => f.code === 'ENTRY_CHANGED');
    expect(failure?.expected).not.toBe(failure?.actual);
  });

  it.each(Array.from({ length: 14 }, (_, i) => i))('in the bytes of entry %i names it', async (index) => {
    const files = bundle();
    const path = 'tile/entries/000.p/14';
    const bytes = (files.get(path) as Uint8Array).slice();
    const at = texts.slice(0, index).reduce((n, t) => n + 2 + utf8(t).length, 0) + 2 + 8;
    bytes[at] = (bytes[at] as number) ^ 1;
    const report = await verifyBundle(files.set(path, bytes), options);
    expect(report.verdict).toBe('failed');
    expect(faults(report)).toContain(`ENTRY_CHANGED@${index}`);
  });

  it('in a proof file or a .entry file names the entry', async () => {
    const proof = bundle();
    const lines = fromUtf8(proof.get('proofs/5.tlog-proof') as Uint8Array).split('\n');
    lines[2] = flipped(lines[2] as string);
    expect(faults(await verifyBundle(proof.set('proofs/5.tlog-proof', utf8(lines.join('\n'))), options))).toEqual([
      'PROOF_INVALID@5',
    ]);
    const entry = bundle();
    const bytes = (entry.get('proofs/6.entry') as Uint8Array).slice();
    bytes[20] = (bytes[20] as number) ^ 1;
    expect(faults(await verifyBundle(entry.set('proofs/6.entry', bytes), options))).toEqual([
      'ENTRY_CHANGED@6',
      'PROOF_INVALID@6',
    ]);
  });

  it('in a tile names the leaf', async () => {
    const files = bundle();
    const tile = (files.get('tile/0/000.p/14') as Uint8Array).slice();
    tile[7 * 32] = (tile[7 * 32] as number) ^ 1;
    expect(faults(await verifyBundle(files.set('tile/0/000.p/14', tile), options))).toEqual(['TILE_WRONG@7']);
  });

  it('in the root, the log signature or a cosignature rejects the checkpoint', async () => {
    const note = fromUtf8(honest.get('checkpoint') as Uint8Array);
    const lines = note.split('\n');
    for (const at of [2, 4, 5]) {
      const changed = [...lines];
      const words = (changed[at] as string).split(' ');
      words[words.length - 1] = flipped(words.at(-1) as string);
      changed[at] = words.join(' ');
      const report = await verifyBundle(bundle().set('checkpoint', utf8(changed.join('\n'))), options);
      expect(report.verdict, `line ${at}`).toBe('failed');
      expect(
        report.failures.map((f) => f.code),
        `line ${at}`,
      ).toContain('NOTE_UNSIGNED');
    }
  });

  it('in the key from outside rejects the whole bundle', async () => {
    const other = await openLedger({
      store: createMemoryStore(),
      stream: 'l',
      origin,
      signer: testSigner('someone else'),
      clock: tickingClock(),
    });
    const report = await verifyBundle(bundle(), { vkeys: [other.vkey], recompute });
    expect(report.verdict).toBe('failed');
    expect(faults(report)).toContain('NOTE_UNSIGNED@13');
  });
});

describe('a log operator with the key who rewrites history', () => {
  const since = ledger.checkpointAt(14) as string;

  it('deleting an entry: caught by an earlier checkpoint, and by the proofs that were handed out', async () => {
    const forged = forge(texts.filter((_, i) => i !== indexOf('round.release', 1)));
    expect(faults(await verifyBundle(forged, { ...options, since }))).toContain('LOG_SHRANK@13');
    const proofs = [...honest].filter(([path]) => path.startsWith('proofs/'));
    const report = await verifyBundle(new Map([...forged, ...proofs]), options);
    expect(faults(report)).toContain('ENTRY_CHANGED@10');
  });

  it('re-ordering entries: caught and named by the proofs', async () => {
    const swapped = [...texts];
    [swapped[4], swapped[5]] = [texts[5] as string, texts[4] as string];
    const proofs = [...honest].filter(([path]) => path.startsWith('proofs/'));
    const found = faults(await verifyBundle(new Map([...forge(swapped), ...proofs]), options));
    expect(found).toEqual(expect.arrayContaining(['ENTRY_CHANGED@4', 'ENTRY_CHANGED@5']));
    expect(faults(await verifyBundle(forge(swapped), { ...options, since }))).toContain('LOG_FORKED@null');
  });

  it('a checkpoint from a fork: two signed roots for one size are named', async () => {
    const fork = forge(edit(9, () => ({ survivors: 6 }))).get('checkpoint') as Uint8Array;
    const found = faults(await verifyBundle(bundle().set('checkpoint', fork), options));
    expect(found).toEqual(expect.arrayContaining(['ROOT_WRONG@null', 'LOG_FORKED@13']));
  });

  it('deleting an entry from the entry bundle alone names where the entries part', async () => {
    const files = bundle().set('tile/entries/000.p/14', formatEntryBundle(texts.filter((_, i) => i !== 6).map(utf8)));
    const found = faults(await verifyBundle(files, options));
    expect(found).toContain('ENTRIES_MISSING@13');
    expect(found.filter((f) => f.startsWith('ENTRY_CHANGED'))[0]).toBe('ENTRY_CHANGED@6');
  });
});

describe('a correctly signed log whose content is false', () => {
  const report = async (index: number, change: (entry: Record<string, unknown>) => object): Promise<VerifyReport> =>
    verifyBundle(forge(edit(index, change)), options);

  it('a wrong ε: named with both values', async () => {
    const at = indexOf('plan.commit');
    const wrong = await report(at, (e) => ({ certificate: { ...(e.certificate as object), epsilon: '0.5' } }));
    expect(wrong.failures).toContainEqual(
      expect.objectContaining({ index: at, code: 'EPSILON_WRONG', expected: '1', actual: '0.5' }),
    );
  });

  it('an ε within 1e-6 of the recomputed one is not a failure', async () => {
    expect(await verifyBundle(bundle(), { ...options, recompute: () => ({ epsilon: 1 + 5e-7 }) })).toMatchObject({
      verdict: 'verified',
    });
    expect(await verifyBundle(bundle(), { ...options, recompute: () => ({ epsilon: 1 + 5e-6 }) })).toMatchObject({
      verdict: 'failed',
    });
    expect(await verifyBundle(bundle(), { ...options, recompute: () => ({ epsilon: Number.NaN }) })).toMatchObject({
      verdict: 'failed',
    });
  });

  it('a claim that the parameters do not give', async () => {
    const found = await verifyBundle(bundle(), {
      ...options,
      recompute: () => ({ epsilon: 1, problems: ['noise under the committed σ'] }),
    });
    expect(faults(found)).toEqual([`CLAIM_FALSE@${indexOf('plan.commit')}`]);
  });

  it.each([
    ['a plan changed after consent', 'plan.commit', () => ({ plan: { name: 'other' } }), 'PLAN_HASH_WRONG'],
    [
      'a consent signature',
      'consent',
      (e: Record<string, unknown>) => ({ signature: flipped(e.signature as string) }),
      'SIGNATURE_WRONG',
    ],
    ['a consent to another plan', 'consent', () => ({ planHash: 'e'.repeat(64) }), 'PLAN_CHANGED'],
    ['a reservation under the certificate', 'reserve', () => ({ epsilon: '0.25' }), 'RESERVATION_SHORT'],
    [
      'a reservation of another budget',
      'reserve',
      () => ({ budgets: [{ scope: 'x', unit: 'record', period: '2026' }] }),
      'RESERVATION_OTHER',
    ],
    ['an overspend', 'reserve', () => ({ epsilon: '3.5' }), 'BUDGET_EXCEEDED'],
    ['a release without reservation', 'round.release', () => ({ reservation: null }), 'UNRESERVED'],
    ['a small cohort', 'round.release', () => ({ survivors: 4 }), 'COHORT_SMALL'],
    [
      'less noise left in a sum than the plan commits to',
      'round.release',
      () => ({ noise: { sigma: '139999', unremoved: 0 } }),
      'NOISE_SMALL',
    ],
    ['a roster never logged', 'round.release', () => ({ rosterHash: 'c'.repeat(64) }), 'ROSTER_UNKNOWN'],
    ['a charge under the reservation', 'plan.close', () => ({ epsilon: '0.1' }), 'BUDGET_STATE'],
    [
      'a run given back after a release',
      'plan.close',
      () => ({ revealed: false, epsilon: '0', delta: '0' }),
      'RESERVATION_SPENT',
    ],
    ['a wrong count of rounds', 'plan.close', () => ({ roundsReleased: 2 }), 'ROUNDS_WRONG'],
    ['a roster that is not its hash', 'roster.update', () => ({ rosterHash: 'd'.repeat(64) }), 'ROSTER_WRONG'],
    [
      'a budget opened by one',
      'budget.open',
      (e: Record<string, unknown>) => ({ approvals: (e.approvals as object[]).slice(0, 1) }),
      'BUDGET_UNAPPROVED',
    ],
    ['an unknown kind', 'consent', () => ({ kind: 'concent' }), 'LEDGER_ENTRY_INVALID'],
  ] as const)('%s', async (_, kind, change, code) => {
    const at = indexOf(kind);
    expect(faults(await report(at, change as never))).toContain(`${code}@${at}`);
  });

  it.each(['{"not": "a list"}', 'no JSON', '[{"clientId": 7}]'])(
    'a roster kept beside the log that is %s under its true hash',
    async (text) => {
      const rosterHash = sha256Hex(utf8(text));
      const files = forge(edit(0, () => ({ members: null, rosterHash })));
      files.set(`rosters/${rosterHash}.json`, utf8(text));
      expect(faults(await verifyBundle(files, options))).toContain('ROSTER_WRONG@0');
    },
  );

  it('a consent by a key that no roster gives the client', async () => {
    const at = indexOf('consent');
    expect(faults(await report(at, () => ({ clientId: 'clinic-b' })))).toContain(`KEY_UNKNOWN@${at}`);
  });

  it('the committed noise, and more where a surplus could not be taken away, is no failure', async () => {
    for (const noise of [
      { sigma: '140000', unremoved: 0 },
      { sigma: '150000.5', unremoved: 1 },
    ])
      expect(faults(await report(indexOf('round.release'), () => ({ noise })))).not.toContain(
        `NOISE_SMALL@${indexOf('round.release')}`,
      );
  });

  it('more rounds than the certificate covers', async () => {
    const at = indexOf('round.release', 2);
    const more = forge([
      ...texts.slice(0, at + 1),
      canonicalJson({
        ...JSON.parse(texts[at] as string),
        round: 4,
        sid: 'b'.repeat(64),
        previousModelHash: JSON.parse(texts[at] as string).modelHash,
      }),
      ...texts.slice(at + 1),
    ]);
    expect(faults(await verifyBundle(more, options))).toContain(`ROUNDS_EXCEEDED@${at + 1}`);
  });

  it('a session used twice, a broken chain of models, a round after the end', async () => {
    const last = texts[indexOf('round.release', 2)] as string;
    const found = faults(await verifyBundle(forge([...texts, last]), options));
    expect(found).toEqual(
      expect.arrayContaining(['SESSION_REUSED@14', 'MODEL_CHAIN@14', 'RUN_CLOSED@14', 'RESERVATION_CLOSED@14']),
    );
  });
});

describe('documents in blobs', () => {
  it('a long plan is a file of the bundle, checked by its hash', async () => {
    const store = createMemoryStore();
    const log: Ledger = await openLedger({
      store,
      stream: 'ledger',
      origin,
      signer: testSigner('log'),
      clock: tickingClock(),
    });
    const plan = utf8(canonicalJson({ long: 'x'.repeat(70_000) }));
    const hash = await store.putBlob(plan);
    const { version: _, at: __, ...commit } = JSON.parse(texts[indexOf('plan.commit')] as string);
    await log.append({ ...commit, planHash: hash, plan: null, certificate: null }, 'p');
    const files = await exportBundle(log, { vkey: log.vkey, blob: (sha256) => store.getBlob(sha256) });
    expect(await verifyBundle(files, options)).toMatchObject({ verdict: 'verified' });
    expect(faults(await verifyBundle(new Map(files).set(`plans/${hash}.json`, utf8('{}')), options))).toEqual([
      'PLAN_HASH_WRONG@0',
    ]);
    const without = new Map([...files].filter(([p]) => !p.startsWith('plans/')));
    expect((await verifyBundle(without, options)).unchecked.join()).toMatch(/plans\/.* is not in the bundle/);
  });
});

it('garbage of any shape is a report, never a crash', async () => {
  for (const path of honest.keys()) {
    for (const bytes of [new Uint8Array(0), new Uint8Array([255, 254, 0]), utf8('{}'), utf8('\n\n\n')]) {
      const report = await verifyBundle(bundle().set(path, bytes), options);
      if (path !== 'README.txt' && path !== 'log.vkey' && path !== 'witnesses.vkeys')
        expect(report.verdict, path).toBe('failed');
    }
    const without = bundle();
    without.delete(path);
    await verifyBundle(without, options);
  }
  expect((await verifyBundle(new Map(), {})).verdict).toBe('failed');
});

describe("a client's own ledger", () => {
  const own = async (charged: string): Promise<VerifyReport> => {
    const log = await openLedger({
      store: createMemoryStore(),
      stream: 'own',
      origin: 'clinic-a.test/own',
      signer: testSigner('clinic-a'),
      clock: tickingClock(),
    });
    const book = new BudgetBook(log, 'own-data');
    await book.open({ ...opening('3', { approvers: ['clinic-a'] }), authority: 'own-data' });
    await book.reserve({
      kind: 'reserve',
      reservation: 'r',
      run: 'r1',
      planHash: 'a'.repeat(64),
      budgets: [mailBudget],
      epsilon: '1',
      delta: '0',
    });
    await log.append(
      {
        kind: 'charge',
        run: 'r1',
        reservation: 'r',
        budget: mailBudget,
        epsilon: charged,
        delta: '0',
        origin,
        index: 8,
        leafHash: 'a'.repeat(64),
        size: 9,
        root: 'b'.repeat(64),
      },
      'charge/r',
    );
    const files = await exportBundle(log, { vkey: log.vkey });
    return verifyBundle(files, { vkeys: [log.vkey], authority: 'own-data' });
  };

  it('verifies without plans, and shows a charge that is not what was set aside', async () => {
    expect(await own('1')).toMatchObject({ verdict: 'verified', budgets: [{ reserved: 1, left: 2 }] });
    const wrong = await own('2');
    expect(wrong.failures).toMatchObject([
      { index: 2, code: 'CHARGE_OTHER', expected: 'ε 1, δ 0', actual: 'ε 2, δ 0' },
    ]);
  });
});
