import { removeMasks } from '../../shared/secagg/mask.ts';
import type { ServerEffect } from '../../shared/secagg/server-state.ts';
import { openOnce } from '../../test/support/open-once.ts';
import { names, Session } from '../../test/support/secagg-session.ts';
import type { BenchRow } from '../row.ts';
import { atMost, spent } from './measure.ts';

/** From the first answer to the opened sum: the reducer's checks and reconstructions, and all masks and surplus noise taken away. */
export async function unmaskRow(clients: number, gone: number, dimension: number): Promise<BenchRow> {
  const session = new Session({ n: clients, dimension, chunkBytes: 4 * dimension });
  session.open = openOnce();
  for (const id of names(clients).slice(0, gone)) session.drops.set(id, 'masked');
  let reducer = 0;
  const reduce = session.event.bind(session);
  session.event = (event) => {
    const answer = event.kind === 'message' && event.name === 'unmask';
    const { user, system } = process.cpuUsage();
    reduce(event);
    const after = process.cpuUsage();
    if (answer) reducer += (after.user + after.system - user - system) / 1e6;
  };
  await session.run();
  const expected = session.expectedSum();
  if (!session.accumulator.every((word, i) => word === expected[i])) throw new Error('the sum is not exact');
  const plan = session.effects.find((effect) => effect.kind === 'unmask') as Extract<ServerEffect, { kind: 'unmask' }>;
  const removed = await spent(() => removeMasks(new Uint32Array(dimension), plan));
  const { degree, threshold } = session.config;
  const taken = plan.selfSeeds.length + plan.pairwise.length;
  return atMost(
    `server: unmask through the reducer, processor time, n = ${clients}, degree ${degree}, threshold ${threshold}, ${gone} drops, d = ${dimension}: ${taken} masks and ${plan.surplus.length} noise components removed`,
    reducer + removed.cpu,
    's',
    1,
  );
}
