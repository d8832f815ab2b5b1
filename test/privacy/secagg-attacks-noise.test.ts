import { afterEach, describe, expect, test, vi } from 'vitest';
import { addComponents } from '../../shared/privacy/component-noise.ts';
import { varianceOf } from '../../shared/privacy/noise-ladder.ts';
import type { Signed } from '../../shared/secagg/messages.ts';
import { sessionLadder, surplusOf } from '../../shared/secagg/noise-seeds.ts';
import { Puppets } from '../support/secagg-puppets.ts';
import { configOf, names } from '../support/secagg-session.ts';

/** Attacks on the noise. Each twice, as in secagg-attacks. */
const seam = vi.hoisted(() => ({ off: new Set<string>() }));
vi.mock('../../shared/secagg/client-checks.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off);
});
afterEach(() => seam.off.clear());

const six = names(6);
const [c1, c2, c3, c4, c5, c6] = six as [string, string, string, string, string, string];

describe('a larger survivor set shown to some opens noise that the sum needs', () => {
  /**
   * c5 and c6 are said to have dropped; each to four holders, so that their keys open, and only to two both. The other four
   * saw a sum of five and give shares of the noise that a sum of four needs.
   */
  const views: Readonly<Record<string, string[]>> = {
    [c1]: [c1, c2, c3, c4, c6],
    [c2]: [c1, c2, c3, c4, c5],
    [c3]: [c1, c2, c3, c4],
    [c4]: [c1, c2, c3, c4],
    [c5]: [c1, c2, c3, c4, c5],
    [c6]: [c1, c2, c3, c4, c6],
  };
  const fooled = [c1, c2, c5, c6];

  async function attack(): Promise<Puppets> {
    const puppets = new Puppets();
    await puppets.startAll(configOf({ n: 6 }));
    await puppets.relayKeys();
    await puppets.relayShares();
    const signatures = new Map<string, Signed>();
    for (const id of six) signatures.set(id, await puppets.askToSign(id, views[id] as string[]));
    for (const id of six)
      await puppets.askToUnmask(
        id,
        (views[id] as string[]).map((other) => signatures.get(other) as Signed),
      );
    return puppets;
  }

  test('caught: a holder opens noise for the one set that t holders signed', async () => {
    const puppets = await attack();
    expect(six.map((id) => puppets.code(id))).toEqual(six.map(() => 'SECAGG_SIGNATURES'));
    expect(puppets.surplusSeed(c1, fooled)).toBeUndefined();
  });

  test('without that check a sum of four is left with a fifth less noise than was committed', async () => {
    seam.off.add('checkSignatures');
    const puppets = await attack();
    const { of, sum } = await puppets.openSum();
    const survivors = [c1, c2, c3, c4];
    expect(of).toEqual(survivors);
    expect(sum).toEqual(puppets.truth(survivors));
    const { config } = puppets.get(c1);
    const ladder = sessionLadder(config, 6);
    const rest = puppets.truth(survivors);
    for (const id of survivors) {
      const seed = puppets.surplusSeed(id, fooled) as Uint8Array;
      // Position 1 is s_2: what a sum of five can do without, and a sum of four cannot.
      const { surplus } = surplusOf(seed, 1, ladder, puppets.context(id), id);
      await addComponents(sum, surplus, -1);
      await addComponents(rest, puppets.get(id).components.slice(2), -1);
    }
    expect(sum).toEqual(rest);
    const left = (4 * varianceOf(ladder, 2)) / config.committedSigma ** 2;
    expect(left).toBeCloseTo(4 / 5, 9);
  });
});
