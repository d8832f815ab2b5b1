import { join } from 'node:path';
import { packageRoot } from '../../shared/node/package-root.ts';
import { inChromium, withPages } from '../in-chromium.ts';
import { absent, type BenchRow } from '../row.ts';
import { type ClientDemand, timedRound } from './client-round.ts';
import { atMost, type Spent } from './measure.ts';
import type { PageResult } from './page/main.ts';

const inNode = (demand: ClientDemand): Promise<Spent> =>
  timedRound(demand, () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });

/** The same round in a worker of Chromium, over its time in Node measured before and after. */
export async function browserRows(dimension: number, clients: number): Promise<BenchRow[]> {
  const demand = { dimension, clients, components: 1 };
  const row = `client: whole round in one worker of Chromium over Node, d = ${dimension / 1e6} M, n = ${clients}`;
  try {
    const before = await inNode(demand);
    const page = await withPages(join(packageRoot, 'bench', 'secagg', 'page'), (pages) =>
      inChromium<PageResult>(pages, JSON.stringify(demand)),
    );
    if ('error' in page) return [absent('secagg', row, page.error)];
    const after = await inNode(demand);
    const [wall, cpu] = [Math.min(before.wall, after.wall), Math.min(before.cpu, after.cpu)];
    return [
      atMost(`${row}, on the wall`, page.wall, 's', 2.5, wall, 'ratio'),
      page.cpu === null
        ? absent('secagg', `${row}, processor time`, 'only Linux says what a browser has used')
        : atMost(`${row}, processor time of the whole browser and of all of Node's threads`, page.cpu, 's', null, cpu),
    ];
  } catch (cause) {
    return [absent('secagg', row, cause instanceof Error ? cause.message : String(cause))];
  }
}
