/**
 * The training engine, whole steps with Adam on one thread, in CPU time beside PyTorch and Opacus:
 * `npm run bench -- training [tiny|minilm|base …] [--steps 200] [--python DIR] [--keep-python] [--no-peers] [--no-browser]`.
 * `--python` names the virtual environment to use or make; `--keep-python` leaves it for the next time. Every row is one JSON line.
 */

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Peers, removePeers } from './python.ts';
import type { BenchRow } from './row.ts';
import { browserRows } from './training/browser.ts';
import { shapes } from './training/ours.ts';
import { installPeers } from './training/peers.ts';
import { children, memoryRows, startRows, textRows } from './training/processes.ts';
import { stepRows } from './training/steps.ts';

const usage = {
  steps: { type: 'string', default: '200' },
  python: { type: 'string' },
  child: { type: 'boolean' },
} as const;
const flags = {
  'keep-python': { type: 'boolean' },
  'no-peers': { type: 'boolean' },
  'no-browser': { type: 'boolean' },
} as const;

async function* trainingRows(
  names: readonly string[],
  options: ReturnType<typeof parsed>['values'],
): AsyncGenerator<BenchRow> {
  const home = options.python ?? join(tmpdir(), 'tacit-bench-python');
  const peers: Peers = options['no-peers'] ? { reason: 'left out with --no-peers' } : await installPeers(home);
  let privateStep: number | undefined;
  for (const name of names) {
    for (const row of await stepRows(name, peers)) {
      if (row.row === 'minilm private step ÷ plain step') privateStep = row.value ?? undefined;
      yield row;
    }
  }
  if (privateStep !== undefined) yield* [...(await textRows(privateStep)), ...(await startRows())];
  const largest = names.includes('base') ? 'base' : names.at(-1);
  if (largest !== undefined) yield* await memoryRows(largest, Number(options.steps));
  if (!options['no-browser']) yield* await browserRows();
  if (options.python === undefined && !options['keep-python'] && 'python' in peers) await removePeers(home);
}

function parsed(args: string[]) {
  return parseArgs({ args, allowPositionals: true, options: { ...usage, ...flags } });
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const { values, positionals } = parsed(process.argv.slice(2));
  const [child = '', ...words] = positionals;
  if (values.child === true) console.log(JSON.stringify(await children[child]?.(words)));
  else {
    const names = positionals.length > 0 ? positionals.filter((name) => name in shapes) : ['tiny', 'minilm', 'base'];
    for await (const row of trainingRows(names, values)) console.log(JSON.stringify(row));
  }
}
