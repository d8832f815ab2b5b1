import nacl from 'tweetnacl';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { base64, fromBase64, hex } from '../../shared/core/bytes.ts';
import { seededRng } from '../../shared/core/rng.ts';
import { dealShares } from '../../shared/secagg/client-secrets.ts';
import { channelKey, keyPair, pairMaskKey, selfMaskKey, sharedSecret } from '../../shared/secagg/keys.ts';
import { addStreams, type MaskStream } from '../../shared/secagg/mask.ts';
import { type MessageBody, type SecaggConfig, type Signed, signMessage } from '../../shared/secagg/messages.ts';
import { surplusSeeds } from '../../shared/secagg/noise-seeds.ts';
import { openShares } from '../../shared/secagg/shares.ts';
import { lowOrder } from '../support/low-order.ts';
import { forgedAdvertisement, impersonate, Puppets } from '../support/secagg-puppets.ts';
import { addTo, configOf, identity, names, Session } from '../support/secagg-session.ts';

/**
 * One attack per row of PROTOCOL.md's table, each run twice: caught, and with the one check that stops it switched off, in
 * which case it works. Checks are switched off by replacing their module here; the product has no such switch.
 */
const seam = vi.hoisted(() => ({ off: new Set<string>() }));
const wrap = vi.hoisted(
  () =>
    async <M extends object>(real: M, instead: Record<string, (...args: never[]) => unknown> = {}): Promise<M> => {
      const { switchable } = await import('../support/switchable.ts');
      return switchable(real, seam.off, instead);
    },
);

vi.mock('../../shared/secagg/client-checks.ts', async (original) => {
  const real = await original<typeof import('../../shared/secagg/client-checks.ts')>();
  return wrap(real, { checkAdvertisement: (message: Signed) => message.body });
});
vi.mock('../../shared/secagg/parameters.ts', async (original) =>
  wrap(await original<object>(), { signaturesNeeded: () => 3 }),
);
vi.mock('../../shared/secagg/server-checks.ts', async (original) => wrap(await original<object>()));
vi.mock('../../shared/secagg/key-checks.ts', async (original) => wrap(await original<object>()));
vi.mock('../../shared/secagg/shares.ts', async (original) =>
  wrap(await original<object>(), { opensCommitments: () => true }),
);
vi.mock('../../shared/core/signing.ts', async (original) => {
  const real = await original<typeof import('../../shared/core/signing.ts')>();
  return wrap(real, {
    verifySignature: (key: Uint8Array, message: Uint8Array, signature: Uint8Array) =>
      nacl.sign.detached.verify(message, signature, key),
  });
});
vi.mock('../../shared/secagg/messages.ts', async (original) => {
  const real = await original<typeof import('../../shared/secagg/messages.ts')>();
  return wrap(real, { sidOf: (_: string, list: MessageBody<'advertise'>[]) => real.sidOf('', list) });
});
vi.mock('../../shared/secagg/keys.ts', async (original) => {
  const real = await original<typeof import('../../shared/secagg/keys.ts')>();
  const unbound =
    <A extends unknown[]>(
      derive: (secret: Uint8Array, context: import('../../shared/secagg/keys.ts').KeyContext, ...rest: A) => Uint8Array,
    ) =>
    (secret: Uint8Array, context: import('../../shared/secagg/keys.ts').KeyContext, ...rest: A) =>
      derive(secret, seam.off.has('sidOf') ? { ...context, weightsSha256: '00'.repeat(32) } : context, ...rest);
  return {
    ...real,
    channelKey: unbound(real.channelKey),
    pairMaskKey: unbound(real.pairMaskKey),
    selfMaskKey: unbound(real.selfMaskKey),
  };
});

afterEach(() => seam.off.clear());

function without(...checks: readonly string[]): void {
  for (const check of checks) seam.off.add(check);
}

const six = names(6);
const [c1, c2, c3, c4, c5, c6] = six as [string, string, string, string, string, string];
const except = (...gone: string[]): string[] => six.filter((id) => !gone.includes(id));

async function uploaded(config: SecaggConfig): Promise<Puppets> {
  const puppets = new Puppets();
  await puppets.startAll(config);
  if (puppets.code(c1) !== undefined) return puppets;
  await puppets.relayKeys();
  await puppets.relayShares();
  return puppets;
}

describe('the server asks for both secrets of one client', () => {
  /** Half of the clients hear that the victim survived, half that it dropped; t = n/2 lets both halves answer. */
  async function attack(): Promise<Puppets> {
    const puppets = await uploaded({ ...configOf({ n: 6 }), threshold: 3, minimumCohort: 3 });
    if (puppets.code(c1) !== undefined) return puppets;
    await puppets.openFor([c1, c2, c3], six);
    await puppets.openFor([c4, c5, c6], [c4, c5, c6]);
    return puppets;
  }

  test('caught: 2t > n + T_c is recomputed by every client', async () => {
    const puppets = await attack();
    expect(six.map((id) => puppets.code(id))).toEqual(six.map(() => 'SECAGG_PARAMETERS'));
  });

  test('without that check no half has the signatures of more than half of all', async () => {
    without('checkParameters');
    const puppets = await attack();
    expect(six.map((id) => puppets.code(id))).toEqual(six.map(() => 'SECAGG_SIGNATURES'));
  });

  test('without both checks the victim’s own vector lies open', async () => {
    without('checkParameters', 'signaturesNeeded');
    const puppets = await attack();
    const seed = puppets.secret(c1, 'seed') as Uint8Array;
    const secretKey = puppets.secret(c1, 'key') as Uint8Array;
    const streams: MaskStream[] = [{ key: selfMaskKey(seed, puppets.context(c1), c1), sign: -1 }];
    for (const id of except(c1)) {
      const secret = sharedSecret(secretKey, fromBase64(puppets.body(id, 'advertise').maskKey));
      streams.push({ key: pairMaskKey(secret, puppets.context(c1), c1, id), sign: -1 });
    }
    const stolen = puppets.get(c1).upload as Uint32Array;
    await addStreams(stolen, streams);
    expect(stolen).toEqual(puppets.get(c1).input);
  });
});

/** Views in which every client is dropped for four others or for nobody: their overlap opens a sum of three. */
const views: Readonly<Record<string, string[]>> = {
  [c1]: except(c2, c3),
  [c2]: except(c1, c3),
  [c3]: except(c1, c2),
  [c4]: except(c1, c2),
  [c5]: except(c1, c3),
  [c6]: except(c2, c3),
};

describe('the server lies about dropouts and shows split views', () => {
  async function attack(): Promise<Puppets> {
    const puppets = await uploaded(configOf({ n: 6 }));
    const signatures = new Map<string, Signed>();
    for (const id of six) signatures.set(id, await puppets.askToSign(id, views[id] as string[]));
    for (const id of six) {
      const some = (views[id] as string[]).map((other) => signatures.get(other) as Signed);
      await puppets.askToUnmask(id, some);
    }
    return puppets;
  }

  test('caught: t signatures on the very set that the client signed', async () => {
    const puppets = await attack();
    expect(six.map((id) => puppets.code(id))).toEqual(six.map(() => 'SECAGG_SIGNATURES'));
    expect((await puppets.openSum()).of).toEqual([]);
  });

  test('without that check a sum of three opens, where four is the minimum', async () => {
    without('checkSignatures');
    const puppets = await attack();
    const { of, sum } = await puppets.openSum();
    expect(of).toEqual([c4, c5, c6]);
    expect(sum).toEqual(puppets.truth(of));
  });
});

describe('the server has one client sign several survivor sets', () => {
  async function attack(): Promise<Puppets> {
    const puppets = await uploaded(configOf({ n: 6 }));
    const sets = [except(c2, c3), except(c1, c3), except(c1, c2)];
    const signed = new Map<string, Signed[]>(sets.map((set) => [set.join(), []]));
    for (const id of six) {
      const last = views[id] as string[];
      for (const set of [...sets.filter((s) => s.join() !== last.join() && s.includes(id)), last]) {
        if (puppets.code(id) === undefined) signed.get(set.join())?.push(await puppets.askToSign(id, set));
      }
    }
    for (const id of six) await puppets.askToUnmask(id, signed.get((views[id] as string[]).join()) as Signed[]);
    return puppets;
  }

  test('caught: a client signs once in a session', async () => {
    const puppets = await attack();
    expect([c4, c5, c6].map((id) => puppets.code(id))).toEqual([
      'SECAGG_EQUIVOCATION',
      'SECAGG_EQUIVOCATION',
      'SECAGG_EQUIVOCATION',
    ]);
    expect((await puppets.openSum()).of).toEqual([]);
  });

  test('without that check every view has its t signatures, and a sum of three opens', async () => {
    without('checkFirst');
    const puppets = await attack();
    expect(six.map((id) => puppets.code(id))).toEqual(six.map(() => undefined));
    const { of, sum } = await puppets.openSum();
    expect(of).toEqual([c4, c5, c6]);
    expect(sum).toEqual(puppets.truth(of));
  });
});

describe('key substitution', () => {
  test('caught: keys are signed by identities that the client pinned', async () => {
    const puppets = new Puppets();
    await puppets.start(c1, configOf({ n: 6 }));
    expect(await impersonate(puppets, c1, except(c1), () => identity('server'))).toBeUndefined();
    expect(puppets.code(c1)).toBe('SECAGG_SIGNATURE');
  });

  test('without that check the server plays everybody else and reads the victim’s vector before the round ends', async () => {
    without('checkAdvertisement');
    const puppets = new Puppets();
    await puppets.start(c1, configOf({ n: 6 }));
    expect(await impersonate(puppets, c1, except(c1), () => identity('server'))).toEqual(puppets.get(c1).input);
  });
});

describe('roster substitution', () => {
  const sybils = six.map((id) => ({ clientId: id, publicKey: identity(id === c1 ? c1 : `sybil ${id}`).publicKey }));

  test('caught: the roster handed over is not the one whose hash is in the log', async () => {
    const puppets = new Puppets();
    await puppets.start(c1, configOf({ n: 6 }), { roster: sybils });
    expect(puppets.code(c1)).toBe('SECAGG_ROSTER');
  });

  test('without that check five Sybils surround the victim', async () => {
    without('checkRoster');
    const puppets = new Puppets();
    await puppets.start(c1, configOf({ n: 6 }), { roster: sybils });
    expect(await impersonate(puppets, c1, except(c1), (id) => identity(`sybil ${id}`))).toEqual(puppets.get(c1).input);
  });
});

describe('different models to different clients', () => {
  /** The others get a model on which their updates vanish, so that the sum would be the victim's update. */
  async function attack(): Promise<Puppets> {
    const puppets = new Puppets();
    for (const id of six)
      await puppets.start(id, configOf({ n: 6, weights: id === c1 ? 'aimed at the victim' : 'makes updates vanish' }));
    await puppets.relayKeys();
    if (puppets.code(c1) === undefined) {
      await puppets.relayShares();
      await puppets.openFor(six, six);
    }
    return puppets;
  }

  test('caught: the weights’ hash is in H(M0), which every advertisement signs', async () => {
    const puppets = await attack();
    expect(six.map((id) => puppets.code(id))).toEqual(six.map(() => 'SECAGG_WRONG_SESSION'));
  });

  test('without that check nothing opens: the sid is in every key, so masks do not cancel and shares do not open', async () => {
    without('checkSession', 'checkSignatures');
    const puppets = await attack();
    const { of, sum } = await puppets.openSum();
    expect(of).toEqual(except(c1));
    expect(sum).not.toEqual(puppets.truth(of));
  });

  test('without the binding of keys as well, the sum opens', async () => {
    without('checkSession', 'checkSignatures', 'sidOf');
    const puppets = await attack();
    const { of, sum } = await puppets.openSum();
    expect(of).toEqual(six);
    expect(sum).toEqual(puppets.truth(six));
  });
});

describe('the same malicious model to all', () => {
  const dimension = 4000;
  async function victimInSum(): Promise<{ seen: Float64Array; noise: Float64Array; sigma: number }> {
    const session = await new Session({ n: 6, dimension, chunkBytes: 4000 }).run();
    const noise = new Uint32Array(dimension);
    // Nobody dropped, so of each client's noise the first component is left.
    for (const id of six) addTo(noise, session.noises.get(id)?.[0] as Uint32Array);
    const signed = (words: Uint32Array): Float64Array => Float64Array.from(words, (x) => x | 0);
    return { seen: signed(session.accumulator), noise: signed(noise), sigma: session.config.committedSigma };
  }
  const deviation = (x: Float64Array): number => {
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    return Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length);
  };

  test('is not stopped by masking: the noise of every survivor is in the sum', async () => {
    const { seen, sigma } = await victimInSum();
    expect(deviation(seen) / sigma).toBeGreaterThan(0.95);
    expect(deviation(seen) / sigma).toBeLessThan(1.05);
  });

  test('without the noise, the sum lies open to within the rounding', async () => {
    const { seen, noise } = await victimInSum();
    expect(deviation(seen.map((x, i) => x - (noise[i] as number)))).toBeLessThan(2);
  });
});

describe('a small cohort, by claimed dropouts', () => {
  async function attack(): Promise<Puppets> {
    const puppets = await uploaded(configOf({ n: 6, minimumCohort: 6 }));
    await puppets.openFor([c1, c2, c3, c4], [c1, c2, c3, c4]);
    return puppets;
  }

  test('caught: nobody signs a survivor set below the minimum cohort', async () => {
    const puppets = await attack();
    expect(puppets.code(c1)).toBe('SECAGG_COHORT_TOO_SMALL');
    expect((await puppets.openSum()).of).toEqual([]);
  });

  test('without that check a sum of four opens where six is the minimum', async () => {
    without('checkCohort');
    const puppets = await attack();
    const { of, sum } = await puppets.openSum();
    expect(of).toEqual([c1, c2, c3, c4]);
    expect(sum).toEqual(puppets.truth(of));
  });
});

describe('replay of an old round, and a client rolled back', () => {
  async function again(last: { config: SecaggConfig; next: SecaggConfig }): Promise<Puppets> {
    const first = await uploaded(last.config);
    await first.openFor(six, six);
    const second = new Puppets();
    for (const id of six) await second.start(id, last.next, { last: first.get(id).record, seed: 'again' });
    if (second.code(c1) !== undefined) return second;
    await second.relayKeys();
    await second.relayShares();
    await second.openFor(except(c1), except(c1));
    return second;
  }
  const rows = [
    {
      name: 'a round before the last one',
      config: configOf({ n: 6, round: 2 }),
      next: configOf({ n: 6, round: 1 }),
      code: 'SECAGG_REPLAY',
    },
    {
      name: 'the very session, after a restart',
      config: configOf({ n: 6 }),
      next: configOf({ n: 6 }),
      code: 'SECAGG_STATE_LOST',
    },
    {
      name: 'an aborted round retried under its old number',
      config: configOf({ n: 6 }),
      next: { ...configOf({ n: 6 }), chunkBytes: 4 },
      code: 'SECAGG_REPLAY',
    },
  ];

  test.each(rows)('caught: $name', async ({ config, next, code }) => {
    const second = await again({ config, next });
    expect(six.map((id) => second.code(id))).toEqual(six.map(() => code));
  });

  test.each(rows)(
    'without that check, $name opens a second sum of the same data that nobody charged for',
    async ({ config, next }) => {
      without('checkNewer');
      const second = await again({ config, next });
      const { of, sum } = await second.openSum();
      expect(of).toEqual(except(c1));
      expect(sum).toEqual(second.truth(of));
    },
  );

  test('an honest retry is a new session: no key of the first attempt comes back', async () => {
    const first = new Session({ n: 5, attempt: 1 }, 'first');
    first.toServer = ({ to, name, signed }) => (name === 'consistent' && to > 'client-002' ? undefined : signed);
    await first.run();
    expect(first.outcome).toBe('aborted');
    const second = await new Session({ n: 5, attempt: 2 }, 'second').run();
    const keys = [first, second].flatMap((s) =>
      [...s.clients.values()].flatMap((c) => c.streams.map(({ key }) => hex(key))),
    );
    // In each session 5 self masks and 10 pairs, whose key both ends derive.
    expect(keys).toHaveLength(2 * (5 + 2 * 10));
    expect(new Set(keys).size).toBe(2 * (5 + 10));
    expect(second.outcome).toBe('finished');
  });
});

describe('a client lies', () => {
  function withWrongShare(): Session {
    const session = new Session({ n: 6 });
    session.toServer = ({ to, name, signed }) => {
      if (to !== c3 || name !== 'unmask') return signed;
      const body = structuredClone(signed.body) as MessageBody<'unmask'>;
      for (const answer of body.shares)
        if (answer.kind !== 'complaint') answer.share = base64(new Uint8Array(32).fill(5));
      return signMessage('unmask', body, identity(c3));
    };
    return session;
  }

  test('about the share it holds — caught: its commitment names the liar, and the round goes on', async () => {
    const session = await withWrongShare().run();
    expect(session.ejections.get(c3)).toBe('SECAGG_SHARE');
    expect(session.outcome).toBe('finished');
    expect(session.accumulator).toEqual(session.expectedSum());
  });

  test('about the share it holds — without that check the round dies and an innocent dealer is blamed', async () => {
    without('checkShare');
    const session = await withWrongShare().run();
    expect(session.abort?.code).toBe('SECAGG_RECONSTRUCTION');
    expect(session.abort?.culprits).not.toContain(c3);
  });

  /** Shares of another secret than the committed one, each with its honest commitment. */
  function withWrongDealer(secret: 'seed' | 'key' | 'noise', dropped: boolean): Session {
    const session = new Session({ n: 6 });
    session.toServer = ({ to, name, signed }) => {
      if (to === c3 && name === 'masked' && dropped) return undefined;
      if (to !== c3 || name !== 'shares') return signed;
      const { progress } = (session.clients.get(c3) as NonNullable<ReturnType<typeof session.clients.get>>).state;
      if (progress.step !== 'shared') throw new Error('unexpected');
      const other = keyPair(seededRng('other'));
      const seed = secret === 'seed' ? other.secretKey : progress.seed;
      const mask = secret === 'key' ? other : progress.mask;
      const noiseSeed = secret === 'noise' ? other.secretKey : progress.noiseSeed;
      const noise = surplusSeeds(noiseSeed, progress.ladder, progress.context, c3);
      const dealt = dealShares({
        ...progress,
        seed,
        mask,
        noise,
        threshold: session.config.threshold,
        rng: seededRng('dealer'),
      });
      const body = { ...(signed.body as MessageBody<'shares'>), shares: dealt.message.shares };
      return signMessage('shares', body, identity(c3));
    };
    return session;
  }

  test.each([
    { secret: 'seed', dropped: false, check: 'checkSeed' },
    { secret: 'key', dropped: true, check: 'checkMaskKey' },
  ] as const)(
    'about the $secret it shares — caught by what it advertised, and without $check the sum is silently wrong',
    async ({ secret, dropped, check }) => {
      const caught = await withWrongDealer(secret, dropped).run();
      expect(caught.abort?.code).toBe('SECAGG_RECONSTRUCTION');
      expect(caught.abort?.culprits).toEqual([c3]);
      without(check);
      const wrong = await withWrongDealer(secret, dropped).run();
      expect(wrong.outcome).toBe('finished');
      expect(wrong.accumulator).not.toEqual(wrong.expectedSum());
    },
  );

  test('about the noise it shares — caught by what it committed to: its surplus stays in the sum, and the round goes on', async () => {
    const session = await withWrongDealer('noise', false).run();
    expect(session.outcome).toBe('finished');
    expect(session.noise?.unremoved).toEqual([c3]);
    expect(session.noise?.sigma).toBeGreaterThan(session.config.committedSigma);
    expect(session.accumulator).toEqual(session.expectedSum());
  });

  test('about the noise it shares — without checkNoise noise that nobody added is taken away', async () => {
    without('checkNoise');
    const session = await withWrongDealer('noise', false).run();
    expect(session.noise?.unremoved).toEqual([]);
    expect(session.accumulator).not.toEqual(session.expectedSum());
  });

  /** A box for `victims` that does not hold what the commitments say. */
  function withBadBox(victims: readonly string[]): Session {
    const session = new Session({ n: 6 });
    session.toServer = ({ to, name, signed }) => {
      if (to !== c3 || name !== 'shares') return signed;
      const body = structuredClone(signed.body) as MessageBody<'shares'>;
      for (const entry of body.shares)
        if (victims.includes(entry.to)) entry.seedCommitment = base64(new Uint8Array(32).fill(1));
      return signMessage('shares', body, identity(c3));
    };
    return session;
  }

  test('in one box — caught: its holder complains, and the round goes on', async () => {
    const session = await withBadBox([c1]).run();
    expect(session.outcome).toBe('finished');
    expect(session.accumulator).toEqual(session.expectedSum());
    expect(session.ejections.size).toBe(0);
  });

  test('in one box — without that check the honest holder is taken for the liar', async () => {
    without('opensCommitments');
    const session = await withBadBox([c1]).run();
    expect(session.ejections.get(c1)).toBe('SECAGG_SHARE');
  });

  test('in more boxes than can be missing — the round ends and names the dealer', async () => {
    const session = await withBadBox([c1, c2, c4]).run();
    expect(session.abort?.code).toBe('SECAGG_SHARE');
    expect(session.abort?.culprits).toEqual([c3]);
  });
});

describe('an advertised key of small order', () => {
  function withLowOrderKey(): Session {
    const session = new Session({ n: 6 });
    session.toServer = ({ to, name, signed }) => {
      if (to !== c6 || name !== 'advertise') return signed;
      const { session: id } = signed.body as MessageBody<'advertise'>;
      return forgedAdvertisement(id, c6, lowOrder[1] as Uint8Array, lowOrder[2] as Uint8Array, identity(c6));
    };
    return session;
  }

  test('caught by the server: its sender loses the seat and nobody else notices', async () => {
    const session = await withLowOrderKey().run();
    expect(session.ejections.get(c6)).toBe('SECAGG_LOW_ORDER_KEY');
    expect(session.accumulator).toEqual(session.expectedSum());
  });

  test('without the server’s check every client refuses, and one bad key ends the round', async () => {
    without('checkKeys');
    const session = await withLowOrderKey().run();
    expect(session.outcome).toBe('aborted');
    expect(session.clients.get(c1)?.code).toBe('SECAGG_LOW_ORDER_KEY');
  });

  test('without the clients’ check either, anybody on the wire opens the boxes for it', async () => {
    without('checkKeys', 'checkNonZero');
    const session = await withLowOrderKey().run();
    const { sid } = session.server.group as NonNullable<typeof session.server.group>;
    const { weightsSha256, layoutSha256 } = session.config;
    const key = channelKey(new Uint8Array(32), { sid, weightsSha256, layoutSha256 }, c1, c6);
    const box = session.server.answers.shares.get(c1)?.body.shares[5]?.box as string;
    expect(openShares(fromBase64(box), 6, key, 2)).toBeDefined();
  });
});

describe('signatures that a lax verifier accepts', () => {
  /** S + L: another encoding of the same signature (RFC 8032 §5.1.7 requires S < L). */
  function malleated(signature: string): string {
    const bytes = fromBase64(signature);
    const order = [
      0xed,
      0xd3,
      0xf5,
      0x5c,
      0x1a,
      0x63,
      0x12,
      0x58,
      0xd6,
      0x9c,
      0xf7,
      0xa2,
      0xde,
      0xf9,
      0xde,
      0x14,
      ...new Array(15).fill(0),
      0x10,
    ];
    let carry = 0;
    for (let i = 0; i < 32; i++) {
      const sum = (bytes[32 + i] as number) + (order[i] as number) + carry;
      bytes[32 + i] = sum & 255;
      carry = sum >> 8;
    }
    return base64(bytes);
  }
  async function run(): Promise<Session> {
    const session = new Session({ n: 6 });
    session.toServer = ({ to, signed }) => (to === c2 ? { ...signed, signature: malleated(signed.signature) } : signed);
    return session.run();
  }

  test('caught: a malleated signature is not a signature', async () => {
    expect((await run()).ejections.get(c2)).toBe('SECAGG_SIGNATURE');
  });

  test('with a lax verifier it passes', async () => {
    without('verifySignature');
    expect((await run()).ejections.size).toBe(0);
  });
});

describe('frames from a client that are malformed, oversized, out of order or twice', () => {
  const huge = 'A'.repeat(2_000_000);
  const garbage: readonly [string, unknown, string][] = [
    ['nothing', null, 'SECAGG_MALFORMED'],
    ['a number', 7, 'SECAGG_MALFORMED'],
    ['an empty object', {}, 'SECAGG_MALFORMED'],
    ['an oversized field', { body: { session: huge }, signature: huge }, 'SECAGG_MALFORMED'],
    ['an unknown field', { body: {}, signature: base64(new Uint8Array(64)), more: 1 }, 'SECAGG_MALFORMED'],
    ['a prototype', JSON.parse('{"__proto__":{"body":{}},"signature":""}'), 'SECAGG_MALFORMED'],
  ];

  test.each(garbage)('caught: %s costs its sender the seat and nobody else anything', async (_, frame, code) => {
    for (const phase of ['advertise', 'shares', 'masked', 'consistent', 'unmask']) {
      const session = new Session({ n: 6 });
      session.toServer = ({ to, name, signed }) => (to === c4 && name === phase ? (frame as Signed) : signed);
      await session.run();
      expect(session.ejections.get(c4), phase).toBe(code);
      expect(session.outcome, phase).toBe('finished');
      expect(session.accumulator, phase).toEqual(session.expectedSum());
    }
  });

  test('caught: a message of a later phase', async () => {
    const session = new Session({ n: 6 });
    session.toServer = ({ to, name, signed }) => {
      if (to === c4 && name === 'advertise') session.event({ kind: 'message', from: c4, name: 'unmask', signed });
      return signed;
    };
    await session.run();
    expect(session.ejections.get(c4)).toBe('SECAGG_WRONG_PHASE');
    expect(session.accumulator).toEqual(session.expectedSum());
  });

  test('a frame that arrives twice, or again after its phase, changes nothing', async () => {
    const session = new Session({ n: 6 });
    const seen: { to: string; name: string; signed: Signed }[] = [];
    session.toServer = (message) => {
      for (const { to, name, signed } of [...seen, message]) {
        if (name === 'masked') session.event({ kind: 'uploaded', from: to, manifest: signed });
        else session.event({ kind: 'message', from: to, name: name as 'unmask', signed });
      }
      seen.push(message);
      return message.signed;
    };
    await session.run();
    expect(session.ejections.size).toBe(0);
    expect(session.accumulator).toEqual(session.expectedSum());
  });

  test('caught: two different messages where one is allowed', async () => {
    const session = new Session({ n: 6 });
    session.toServer = ({ to, name, signed }) => {
      if (to === c4 && name === 'shares') {
        const body = { ...(signed.body as MessageBody<'shares'>), seedCommitment: base64(new Uint8Array(32)) };
        session.event({ kind: 'message', from: c4, name: 'shares', signed: signMessage('shares', body, identity(c4)) });
      }
      return signed;
    };
    await session.run();
    expect(session.ejections.get(c4)).toBe('SECAGG_EQUIVOCATION');
    expect(session.accumulator).toEqual(session.expectedSum());
  });

  function inAnotherName(): Session {
    const session = new Session({ n: 6 });
    session.toServer = ({ to, name, signed }) => {
      if (to !== c4 || name !== 'advertise') return signed;
      return signMessage('advertise', { ...(signed.body as MessageBody<'advertise'>), clientId: c5 }, identity(c4));
    };
    return session;
  }

  test('caught: a message in another client’s name', async () => {
    const session = await inAnotherName().run();
    expect(session.ejections.get(c4)).toBe('SECAGG_MALFORMED');
    expect(session.accumulator).toEqual(session.expectedSum());
  });

  test('without that check one client ends the round for everybody', async () => {
    without('checkAddress');
    const session = await inAnotherName().run();
    expect(session.outcome).toBe('aborted');
  });
});
