import { afterAll, beforeAll, expect, test } from 'vitest';
import { installNativeCrypto, nativeCrypto } from '../../../shared/core/native.ts';
import { opensslCrypto } from '../../../shared/node/native-crypto.ts';
import { agreeOnce, simulate } from '../../support/simulated-session.ts';

const installed = nativeCrypto();
beforeAll(() => installNativeCrypto(agreeOnce(opensslCrypto)));
afterAll(() => installNativeCrypto(installed));

test('150 clients, each with some of the others as neighbours, some gone at every stage: the sum is exact', async () => {
  const { session, exact } = await simulate(150, 50);
  const { degree, threshold } = session.config;
  expect(degree).toBeLessThan(149);
  expect(threshold).toBeLessThan(degree);
  const stages = [...session.drops.values()];
  expect(new Set(stages)).toEqual(new Set(['advertise', 'shares', 'upload', 'masked', 'consistent', 'unmask']));
  const later = stages.filter((stage) => stage === 'consistent' || stage === 'unmask').length;
  expect(session.outcome).toBe('finished');
  expect(session.survivors).toHaveLength(150 - stages.length + later);
  expect(session.noise?.unremoved).toEqual([]);
  expect(exact).toBe(true);
}, 240_000);
