import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { base64, fromBase64, hex, utf8 } from '../../shared/core/bytes.ts';
import { sha256 } from '../../shared/core/hash.ts';
import { installNativeCrypto, nativeCrypto } from '../../shared/core/native.ts';
import { seededRng, shuffle } from '../../shared/core/rng.ts';
import { opensslCrypto } from '../../shared/node/native-crypto.ts';
import { sessionGraph } from '../../shared/secagg/graph.ts';
import { channelKey, keyPair, selfMaskKey, sharedSecret } from '../../shared/secagg/keys.ts';
import { addStreams } from '../../shared/secagg/mask.ts';
import { type MessageBody, type Signed, sessionOf, sidOf, signMessage } from '../../shared/secagg/messages.ts';
import { sessionLadder, surplusCount } from '../../shared/secagg/noise-seeds.ts';
import { combineShares } from '../../shared/secagg/shamir.ts';
import { openShares } from '../../shared/secagg/shares.ts';
import { Puppets } from '../support/secagg-puppets.ts';
import { configOf, identity, names } from '../support/secagg-session.ts';
import { agreeOnce } from '../support/simulated-session.ts';

/** Attacks that only a sparse graph makes possible. Each twice, as in secagg-attacks. */
const seam = vi.hoisted(() => ({ off: new Set<string>(), least: 0 }));
vi.mock('../../shared/core/signing.ts', async (original) => {
  const { memoSigning } = await import('../support/memo-signing.ts');
  return memoSigning(await original());
});
vi.mock('../../shared/secagg/client-checks.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off);
});
vi.mock('../../shared/secagg/parameters.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off, { signaturesNeeded: () => seam.least });
});
const installed = nativeCrypto();
beforeAll(() => installNativeCrypto(agreeOnce(opensslCrypto)));
afterAll(() => installNativeCrypto(installed));
afterEach(() => seam.off.clear());

describe('all neighbours of one client are said not to have shared', () => {
  const clients = names(700);
  const victim = clients[123] as string;

  /**
   * Everybody is there. The victim alone hears of another U2, large enough, without one of its neighbours: it masks with
   * nobody, and its neighbours, who know nothing of that, answer for its seed as for any survivor's.
   */
  async function attack(): Promise<{ puppets: Puppets; stolen: Uint32Array | undefined }> {
    const config = configOf({ n: clients.length, minimumCohort: 500 });
    const session = sessionOf(config);
    const puppets = new Puppets();
    await puppets.start(victim, config);
    const keys = (id: string, use: string) => keyPair(seededRng(`${use} ${id}`));
    const advertisements = clients.map((clientId) => {
      if (clientId === victim) return puppets.get(victim).said.get('advertise') as Signed;
      const [channel, mask] = [keys(clientId, 'channel').publicKey, keys(clientId, 'mask').publicKey];
      const nonce = base64(new Uint8Array(32));
      const body = { session, clientId, channelKey: base64(channel), maskKey: base64(mask), nonce };
      return signMessage('advertise', body, identity(clientId));
    });
    await puppets.tell(victim, 'keys', { session, advertisements });
    const sid = sidOf(
      session,
      advertisements.map(({ body }) => body as MessageBody<'advertise'>),
    );
    const graph = sessionGraph(clients.length, config.degree, sid);
    const neighbours = new Set(graph.neighbours(123).map((p) => clients[p] as string));
    const members = clients.filter((id) => !neighbours.has(id));
    expect(members.length).toBeGreaterThanOrEqual(config.minimumCohort);
    await puppets.tell(victim, 'inbox', { session, sid: hex(sid), members, shares: [] });
    if (puppets.code(victim) !== undefined) return { puppets, stolen: undefined };
    const context = { sid, weightsSha256: config.weightsSha256, layoutSha256: config.layoutSha256 };
    const { channelKey: own } = puppets.body(victim, 'advertise');
    const surplus = surplusCount(sessionLadder(config, clients.length));
    const answers = graph.holders(123).flatMap((p, j) => {
      const holder = clients[p] as string;
      if (holder === victim) return [];
      const secret = sharedSecret(keys(holder, 'channel').secretKey, fromBase64(own));
      const box = fromBase64(puppets.body(victim, 'shares').shares[j]?.box as string);
      const held = openShares(box, j + 1, channelKey(secret, context, victim, holder), surplus);
      return [{ x: j + 1, share: held?.seed.share as Uint8Array }];
    });
    const seed = combineShares(answers.slice(0, config.threshold));
    const stolen = puppets.get(victim).upload as Uint32Array;
    await addStreams(stolen, [{ key: selfMaskKey(seed, context, victim), sign: -1 }]);
    return { puppets, stolen };
  }

  test('caught: t of its holders have shared, or it does not mask', async () => {
    const { puppets, stolen } = await attack();
    expect(puppets.code(victim)).toBe('SECAGG_COHORT_TOO_SMALL');
    expect(stolen).toBeUndefined();
  });

  test('without checkHolders the vector of one client lies open before anybody dropped', async () => {
    seam.off.add('checkHolders');
    const { puppets, stolen } = await attack();
    expect(stolen).toEqual(puppets.get(victim).input);
  });
});

describe('one half of the ring sees another survivor set than the other', () => {
  const clients = names(70);

  /**
   * One half hears that six are gone, whose keys open; the other that all are there, and opens the noise that so many do not
   * need. Each client is shown the signatures of its own holders on the set that it signed.
   */
  async function attack() {
    const config = configOf({ n: clients.length, colluders: 0, minimumCohort: 60 });
    seam.least = config.threshold;
    const puppets = new Puppets();
    await puppets.startAll(config);
    await puppets.relayKeys();
    await puppets.relayShares();
    const sid = fromHexSid(puppets);
    const graph = sessionGraph(clients.length, config.degree, sid);
    const ring = shuffle(seededRng(hex(sha256(utf8('secagg/1/graph\0'), sid))), [...clients.keys()]);
    const gone = new Set(ring.slice(14, 20).map((p) => clients[p] as string));
    const fewer = clients.filter((id) => !gone.has(id));
    const viewOf = new Map(ring.map((p, place) => [clients[p] as string, place < 35 ? fewer : clients]));
    const signatures = new Map<string, Signed>();
    for (const id of clients) {
      if (!gone.has(id)) signatures.set(id, await puppets.askToSign(id, viewOf.get(id) as string[]));
    }
    for (const [position, id] of clients.entries()) {
      if (gone.has(id)) continue;
      const holders = graph.holders(position).map((p) => clients[p] as string);
      const alike = holders.filter((h) => viewOf.get(h) === viewOf.get(id) && signatures.has(h));
      await puppets.askToUnmask(
        id,
        alike.map((h) => signatures.get(h) as Signed),
      );
    }
    /** Of whom t holders gave this kind of answer. */
    const opened = (fits: (a: MessageBody<'unmask'>['shares'][number]) => boolean): string[] => {
      const counts = new Map<string, number>();
      for (const id of clients)
        for (const a of puppets.body(id, 'unmask')?.shares ?? [])
          if (fits(a)) counts.set(a.of, (counts.get(a.of) ?? 0) + 1);
      return clients.filter((id) => (counts.get(id) ?? 0) >= config.threshold);
    };
    const dropped = opened(({ kind }) => kind === 'key');
    return { puppets, gone, dropped, opened, fewer };
  }

  const fromHexSid = (puppets: Puppets): Uint8Array => puppets.context(clients[0] as string).sid;

  test('caught: a set is signed by more than half of all clients, not of one’s neighbours', async () => {
    const { puppets, opened, fewer } = await attack();
    expect(new Set(fewer.map((id) => puppets.code(id)))).toContain('SECAGG_SIGNATURES');
    expect(opened(() => true)).toEqual([]);
  });

  test('without that, keys open for clients that others hold for survivors, whose noise they open as not needed', async () => {
    seam.off.add('signaturesNeeded');
    const { opened, gone, dropped } = await attack();
    expect(dropped.length).toBeGreaterThan(0);
    expect(dropped.every((id) => gone.has(id))).toBe(true);
    expect(opened((a) => a.kind === 'seed' && a.surplus !== null).length).toBeGreaterThan(5);
  });
});
