import { afterEach, expect, test } from 'vitest';
import { openTransport, type ParticipantTransport } from '../../shared/participant/transport.ts';
import { type CuttingProxy, startCuttingProxy } from '../support/cutting-proxy.ts';
import { createTestRun, openTestBudget, type TestCoordinator, until } from '../support/federation.ts';
import { freshSites } from '../support/fresh-sites.ts';

let site: TestCoordinator;
let proxy: CuttingProxy;
const { start, takePart } = freshSites();

afterEach(async () => {
  await proxy.close();
});

test('an upload whose connection breaks goes on: sent again when it did not arrive, not when only the answer was lost', async () => {
  site = await start();
  await openTestBudget(site.coordinator, 3);
  const run = await createTestRun(site.coordinator, { rounds: 1 });
  const { hostname: host, port } = new URL(site.url);
  proxy = await startCuttingProxy({ host, port: Number(port) });
  const asked: string[] = [];
  const breaking = (): ParticipantTransport => {
    const inner = openTransport(`http://127.0.0.1:${proxy.port}`);
    return {
      ...inner,
      putChunk(...args) {
        asked.push('PUT');
        if (asked.length === 1) proxy.cutInside('PUT /api');
        else proxy.cutAnswerTo('PUT /api');
        return inner.putChunk(...args);
      },
      async heldChunk(...args) {
        const held = await inner.heldChunk(...args);
        asked.push(held === undefined ? 'HEAD: nothing there' : 'HEAD: there');
        return held;
      },
    };
  };
  for (const index of [1, 2, 3, 4]) takePart({ link: run.link, index });
  takePart({ link: run.link, index: 5, transport: breaking });
  await until(() => site.coordinator.run(run.id)?.state === 'finished', 'the run to finish');
  expect(asked).toEqual(['PUT', 'HEAD: nothing there', 'PUT', 'HEAD: there']);
  expect(proxy.cuts()).toBe(2);
  expect(site.coordinator.rounds(run.id)).toMatchObject([{ phase: 'done', attempt: 1, funnel: { survived: 5 } }]);
});
