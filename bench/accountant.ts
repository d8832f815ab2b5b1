/**
 * Times of the accountant's queries in Node, in Chromium, and beside dp_accounting (each by its own processor time):
 * `npm run bench -- accountant [--python DIR] [--keep-python] [--no-peers] [--no-browser]`. `--python` names the virtual
 * environment to use or make; `--keep-python` leaves it for the next time. Every row is one JSON line.
 */
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs, promisify } from 'node:util';
import { packageRoot } from '../shared/node/package-root.ts';
import { milliseconds, type Query, queries } from './accountant-queries.ts';
import { inChromium, withPages } from './in-chromium.ts';
import { type Peers, pythonWith, removePeers } from './python.ts';
import { absent, atMost, type BenchRow } from './row.ts';

const NODE_MS = 300;
const CHROMIUM_MS = 600;
const script = join(packageRoot, 'bench', 'peers', 'accounting_times.py');

/** Processor time: other programs on the machine do not count. */
const processorMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

const message = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

async function chromiumRows(): Promise<BenchRow[]> {
  try {
    const page = join(packageRoot, 'bench', 'accountant-page');
    const times = await withPages(page, (pages) => inChromium<[string, number][]>(pages, ''));
    return times.map(([name, value]) => atMost('accountant', `Chromium: ${name}`, { value, unit: 'ms' }, CHROMIUM_MS));
  } catch (cause) {
    return [absent('accountant', 'Chromium', message(cause))];
  }
}

/** The same question to dp_accounting; a ratio below 1 is faster than it. */
async function peerRow({ name, run, peer }: Query, peers: Peers): Promise<BenchRow | undefined> {
  if (peer === undefined) return undefined;
  const row = `${name} ÷ dp_accounting`;
  if ('reason' in peers) return absent('accountant', row, peers.reason);
  try {
    const { stdout } = await promisify(execFile)(peers.python, [script, ...peer.map(String)]);
    const baseline = Number(stdout);
    return atMost('accountant', row, { value: milliseconds(run, processorMs), unit: 'ms', baseline }, 1);
  } catch (cause) {
    return absent('accountant', row, message(cause).trim().split('\n').at(-1) as string);
  }
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    options: { python: { type: 'string' }, 'keep-python': flag, 'no-peers': flag, 'no-browser': flag },
  });
  const print = (row: BenchRow): void => console.log(JSON.stringify(row));
  for (const { name, run } of queries)
    print(atMost('accountant', name, { value: milliseconds(run, processorMs), unit: 'ms' }, NODE_MS));
  if (!values['no-browser']) for (const row of await chromiumRows()) print(row);
  const home = values.python ?? join(tmpdir(), 'tacit-bench-accounting');
  const peers: Peers = values['no-peers']
    ? { reason: 'left out with --no-peers' }
    : await pythonWith(home, ['dp-accounting==0.6.0'], 'dp_accounting');
  for (const query of queries) {
    const row = await peerRow(query, peers);
    if (row !== undefined) print(row);
  }
  if ('python' in peers && !values['keep-python'] && values.python === undefined) await removePeers(home);
}
