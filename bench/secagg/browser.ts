import { join } from 'node:path';
import { packageRoot } from '../../shared/node/package-root.ts';
import { inChromium, withPages } from '../in-chromium.ts';
import { absent, type BenchRow } from '../row.ts';
import { timedRound } from './client-round.ts';
import { atMost } from './measure.ts';
import type { PageResult } from './page/main.ts';

/** The same round in a worker of Chromium, over its time in Node measured before and after. */
export async function browserRows(dimension: number, clients: number): Promise<BenchRow[]> {
  const demand = { dimension, clients, components: 1 };
  const row = `client: whole round in a worker of Chromium over Node, on the wall, d = ${dimension / 1e6} M`;
  try {
    const before = await timedRound(demand);
    const page = await withPages(join(packageRoot, 'bench', 'secagg', 'page'), (pages) =>
      inChromium<PageResult>(pages, JSON.stringify(demand)),
    );
    if ('error' in page) return [absent('secagg', row, page.error)];
    const node = Math.min(before, await timedRound(demand));
    return [atMost(row, page.seconds, 's', 2.5, node, 'ratio')];
  } catch (cause) {
    return [absent('secagg', row, cause instanceof Error ? cause.message : String(cause))];
  }
}
