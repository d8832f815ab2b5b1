import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BenchRow } from '../row.ts';
import { atMost } from './measure.ts';
import type { SimulatedSession } from './simulation-session.ts';

/** A thousand clients in one process make much that is short-lived: room for it, or the collector copies it over and over. */
const YOUNG = '--max-semi-space-size=64';

export async function simulationRows(clients: number, dimension: number): Promise<BenchRow[]> {
  const script = join(import.meta.dirname, 'simulation-session.js');
  const run = await promisify(execFile)(process.execPath, [YOUNG, script, String(clients), String(dimension)]);
  const done = JSON.parse(run.stdout) as SimulatedSession;
  const label = `${clients} clients, d = ${dimension}, ${done.drops} gone over six stages`;
  return [
    atMost(
      `simulation: ${label}, degree ${done.degree}, threshold ${done.threshold}, time on the wall`,
      done.wall,
      's',
      60,
    ),
    atMost(`simulation: ${label}, processor time`, done.cpu, 's', 60),
    atMost(`simulation: server's reducer, ${label}`, done.serverSeconds, 's', null),
    atMost(`simulation: most memory, ${label}`, done.held / 2 ** 20, 'MiB', null),
    atMost(
      `simulation: sum of ${done.survivors} (${clients - done.survivors} gone before it) differs: 0 no, 1 yes`,
      done.exact ? 0 : 1,
      '',
      0,
    ),
  ];
}
