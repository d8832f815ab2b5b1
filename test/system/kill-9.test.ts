import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { signerFromSeed } from '../../shared/core/signing.ts';
import { exportBundle } from '../../shared/ledger/bundle.ts';
import { openLedger } from '../../shared/ledger/log.ts';
import { verifyBundle } from '../../shared/ledger/verify.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import { openSqliteStore } from '../../shared/node/store/sqlite.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import type { RunView } from '../../shared/protocol/views.ts';
import { startParticipant, type TestParticipant } from '../support/federation.ts';

const children: ChildProcess[] = [];
const participants: TestParticipant[] = [];

afterEach(() => {
  for (const p of participants.splice(0)) p.stop();
  for (const c of children.splice(0)) c.kill('SIGKILL');
});

/** Where the coordinator dies with SIGKILL, all in round 2 of 3 or at the end of the run. */
const instants = [
  'train',
  'advertise',
  'shares',
  'upload',
  'inside an upload',
  'manifest',
  'consistent',
  'unmask',
  'before-ledger',
  'after-ledger',
  'before-close',
  'after-close',
];

test.each(instants)(
  'killed at "%s", the coordinator restarts, the run finishes, the budget is charged once and the ledger verifies',
  async (instant) => {
    const dir = mkdtempSync(join(tmpdir(), 'tacit-kill-'));
    const port = await freePort();
    const first = await start(dir, port, instant);
    const { id, link } = JSON.parse(readFileSync(join(dir, 'run.json'), 'utf8')) as { id: string; link: string };
    for (let index = 1; index <= 5; index++) participants.push(startParticipant({ link, index }));
    expect(await ended(first)).toBe('SIGKILL');

    const second = await start(dir, port);
    await Promise.all(participants.map((p) => p.ended));
    for (const { events } of participants)
      expect(events.filter((e) => e.kind === 'failed' || e.kind === 'refused')).toEqual([]);
    const run = (await (await fetch(`http://127.0.0.1:${port}/api/v1/runs/${id}`)).json()) as RunView;
    expect(run).toMatchObject({ state: 'finished', reason: null, round: 3 });
    second.kill('SIGKILL');
    await ended(second);

    const store = await openSqliteStore(join(dir, 'store'));
    const ledger = await openLedger({
      store,
      stream: 'ledger',
      origin: 'test.example/tacit',
      signer: signerFromSeed(new Uint8Array(32).fill(1)),
      clock: Date,
    });
    await ledger.checkpoint();
    const report = await verifyBundle(await exportBundle(ledger, { vkey: ledger.vkey }), {
      vkeys: [ledger.vkey],
      recompute: recomputeCertificate,
    });
    expect(report.failures).toEqual([]);
    expect(report.verdict).toBe('verified');
    expect(report.budgets).toHaveLength(1);
    expect(report.budgets[0]).toMatchObject({ spent: 3, reserved: 0, left: 0 });
    const kinds = (await ledger.entries(0)).map((r) => r.entry.kind);
    expect(kinds.filter((k) => k === 'round.release')).toHaveLength(3);
    expect(kinds.filter((k) => k === 'plan.close')).toHaveLength(1);
    await store.close();
  },
  240_000,
);

async function start(dir: string, port: number, instant?: string): Promise<ChildProcess> {
  const script = join(packageRoot, 'dist', 'test', 'support', 'mortal-coordinator.js');
  const child = spawn(process.execPath, [script, dir, String(port), ...(instant === undefined ? [] : [instant])], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (text: Buffer) => {
      if (text.toString().includes('ready')) resolve();
    });
    child.once('exit', (code, signal) =>
      signal === 'SIGKILL' ? resolve() : reject(new Error(`the coordinator ended (${code ?? signal})`)),
    );
  });
  return child;
}

function ended(child: ChildProcess): Promise<NodeJS.Signals | number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.signalCode ?? child.exitCode);
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
