import { afterEach, describe, expect, test, vi } from 'vitest';
import { seededRng } from '../../shared/core/rng.ts';
import { ChunkSpace } from '../../shared/kernels/chunk-space.ts';
import { addComponents } from '../../shared/privacy/component-noise.ts';
import { mechanismParameters } from '../../shared/privacy/mechanism.ts';
import { varianceOf } from '../../shared/privacy/noise-ladder.ts';
import { type NoisedStream, noisedStream } from '../../shared/privacy/noised-stream.ts';
import { addInto, addStreams, type MaskStream } from '../../shared/secagg/mask.ts';
import { maskStream } from '../../shared/secagg/masked-stream.ts';
import type { SecaggConfig, Signed } from '../../shared/secagg/messages.ts';
import { sessionLadder, surplusOf } from '../../shared/secagg/noise-seeds.ts';
import { ConsentedRounds } from '../support/consented-rounds.ts';
import { Puppets } from '../support/secagg-puppets.ts';
import { addTo, configOf, names } from '../support/secagg-session.ts';

/** Attacks on the noise. Each twice, as in secagg-attacks. */
const seam = vi.hoisted(() => ({ off: new Set<string>() }));
vi.mock('../../shared/secagg/client-checks.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off);
});
vi.mock('../../shared/secagg/mask-once.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off);
});
vi.mock('../../shared/participant/round-terms.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off);
});
vi.mock('../../shared/privacy/mechanism.ts', async (original) => {
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

describe('the same noised vectors under the masks of two sessions', () => {
  const dimension = 100;
  const mechanism = mechanismParameters({
    dimension,
    l2Clip: 1,
    noiseMultiplier: 1,
    minimumCohort: 4,
    colluders: 0,
    cohortMax: 6,
    ringBits: 32,
  });
  const noise = (id: string) => [{ key: seededRng(`noise ${id}`).bytes(32), sigma: mechanism.localSigma }];

  /** The sum of these clients' uploads as a session opens it. */
  async function opened(streams: ReadonlyMap<string, NoisedStream>, ids: readonly string[], session: string) {
    const sum = new Uint32Array(dimension);
    for (const id of ids) {
      const mask = (sign: 1 | -1): MaskStream => ({ key: seededRng(`mask ${session} ${id}`).bytes(32), sign });
      const upload = await maskStream(streams.get(id) as NoisedStream, [mask(1)], 4 * dimension);
      addInto(sum, (await upload.chunk(0)).bytes, 0, 32);
      await addStreams(sum, [mask(-1)]);
    }
    return sum;
  }

  async function attack(): Promise<{ stolen: Uint32Array; own: Uint32Array }> {
    const streams = new Map<string, NoisedStream>();
    for (const [i, id] of six.entries()) {
      const update = new Float32Array(dimension).fill(0.01 * i);
      streams.set(
        id,
        await noisedStream(update, mechanism, seededRng(`dither ${id}`), 1, noise(id), new Uint8Array(32)),
      );
    }
    const stolen = await opened(streams, six, 'round 1.1');
    addTo(stolen, await opened(streams, [c1, c2, c3, c4, c5], 'round 1.2'), -1);
    const victim = streams.get(c6) as NoisedStream;
    const own = await ChunkSpace.use(dimension, async (space) => {
      await victim.chunk(space, 0);
      return space.target.slice(0, dimension);
    });
    return { stolen, own };
  }

  test('caught: a noised vector is masked once', async () => {
    await expect(attack()).rejects.toMatchObject({ code: 'SECAGG_MASK_REUSED' });
  });

  test('without that check one sum minus the other is the vector of the client that the second one lacks', async () => {
    seam.off.add('checkMaskable');
    const { stolen, own } = await attack();
    expect(stolen).toEqual(own);
  });
});

describe('a session with other terms than were consented to', () => {
  const { mechanism } = new ConsentedRounds(6);
  const opened = async (n: number, change: Partial<SecaggConfig>) => new ConsentedRounds(n).open(change);
  /** What the guarantee against the coordinator alone counts on, in the largest cohort of the plan. */
  const promised = mechanism.committedSigma ** 2 * (6 / 5);

  test('as consented to, six clients leave the noise of the guarantee', async () => {
    const { codes, variance } = await opened(6, {});
    expect(codes).toEqual([]);
    expect(variance / promised).toBeGreaterThan(0.96);
    expect(variance / promised).toBeLessThan(1.04);
  });

  const rows = [
    {
      what: 'weaker noise',
      n: 5,
      change: { committedSigma: mechanism.committedSigma * 0.8 },
      left: (0.64 * 5) / 4 / (6 / 5),
    },
    { what: 'a cohort larger than the plan’s', n: 10, change: {}, left: 10 / 9 / (6 / 5) },
  ];

  test.each(rows)(
    '$what — caught before anything is sent: every client recomputes the terms',
    async ({ n, change }) => {
      const { codes } = await opened(n, change);
      expect(codes).toEqual(names(n).map(() => 'PLAN_CLAIM_FALSE'));
    },
  );

  test.each(rows)(
    '$what — without checkAgainstTerms the sum opens with less noise than the guarantee counts on',
    async ({ n, change, left }) => {
      seam.off.add('checkAgainstTerms');
      const { codes, variance } = await opened(n, change);
      expect(codes).toEqual([]);
      expect(variance / promised).toBeLessThan(0.96);
      expect(Math.abs(variance / promised / left - 1)).toBeLessThan(0.04);
    },
  );

  test('another ring than the plan’s — caught before anything is sent', async () => {
    const { codes } = await opened(5, { ringBits: 20, chunkBytes: 1_000_000 });
    expect(codes).toEqual(names(5).map(() => 'PLAN_CLAIM_FALSE'));
  });

  test('hardly any noise — caught again by the mechanism, and without that check the sum lies open', async () => {
    seam.off.add('checkAgainstTerms');
    const none = { committedSigma: 1 };
    expect((await opened(5, none)).codes).toEqual(names(5).map(() => 'PRIVACY_NOISE_TOO_SMALL'));
    seam.off.add('checkComponents');
    const { codes, variance } = await opened(5, none);
    expect(codes).toEqual([]);
    expect(variance / promised).toBeLessThan(1e-3);
  });
});
