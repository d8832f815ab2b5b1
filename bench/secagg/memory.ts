import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BenchRow } from '../row.ts';
import { atMost } from './measure.ts';

const MEBI = 2 ** 20;

/** Peak resident memory, each in a process of its own. */
export async function memoryRows(dimension: number, clients: number): Promise<BenchRow[]> {
  const model = (4 * dimension) / MEBI;
  const label = `d = ${dimension / 1e6} M`;
  const client = await heldMebi('client', dimension, clients);
  const few = await heldMebi('server', dimension, 10);
  const many = await heldMebi('server', dimension, 30);
  return [
    atMost(`client: most memory over its weights, ${label}`, client, 'MiB', model + 64),
    atMost(
      `server: most memory in a session to the opened sum and the merge, ${label}, 10 clients`,
      few,
      'MiB',
      2 * model + 300,
    ),
    atMost(
      `server: most memory in a session to the opened sum and the merge, ${label}, 30 clients over 10`,
      many,
      'MiB',
      1.05,
      few,
      'ratio',
    ),
  ];
}

async function heldMebi(who: 'client' | 'server', dimension: number, clients: number): Promise<number> {
  const script = join(import.meta.dirname, `memory-${who}.js`);
  const { stdout } = await promisify(execFile)(process.execPath, [script, String(dimension), String(clients)]);
  return (JSON.parse(stdout) as { held: number }).held / MEBI;
}
