import { afterEach, describe, expect, test, vi } from 'vitest';
import { selfMaskKey } from '../../shared/secagg/keys.ts';
import { addStreams } from '../../shared/secagg/mask.ts';
import { rosterHash } from '../../shared/secagg/messages.ts';
import { impersonate, Puppets } from '../support/secagg-puppets.ts';
import { configOf, identity, names, rosterOf, Session } from '../support/secagg-session.ts';

/** Attacks by the lists that a client is shown: who is in the session, who survived. Each twice, as in secagg-attacks. */
const seam = vi.hoisted(() => ({ off: new Set<string>() }));
vi.mock('../../shared/secagg/client-checks.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off);
});
afterEach(() => seam.off.clear());

const six = names(6);
const [c1, c2, c3, c4, c5, c6] = six as [string, string, string, string, string, string];

describe('the server fills the session with enrolled clients from outside the cohort', () => {
  const outsiders = names(11).slice(6);
  async function attack(): Promise<{ puppets: Puppets; stolen: Uint32Array | undefined }> {
    const roster = rosterOf(names(11));
    const puppets = new Puppets();
    await puppets.start(c1, { ...configOf({ n: 6 }), rosterHash: rosterHash(roster) }, { roster });
    return { puppets, stolen: await impersonate(puppets, c1, outsiders, identity) };
  }

  test('caught: whoever is in the list was in the cohort that the client agreed to', async () => {
    const { puppets, stolen } = await attack();
    expect(puppets.code(c1)).toBe('SECAGG_ROSTER');
    expect(stolen).toBeUndefined();
  });

  test('without that check five of the server’s friends open the victim’s vector', async () => {
    seam.off.add('checkSortedSubset');
    const { puppets, stolen } = await attack();
    expect(stolen).toEqual(puppets.get(c1).input);
  });
});

describe('two clients cloned together with their randomness', () => {
  /** The key of the clone that is said to have dropped is the key of the one that stayed. */
  async function attack(): Promise<Puppets> {
    const puppets = new Puppets();
    for (const id of six) await puppets.start(id, configOf({ n: 6 }), { randomnessOf: id === c2 ? c1 : id });
    await puppets.relayKeys();
    if (puppets.code(c1) !== undefined) return puppets;
    await puppets.relayShares();
    const survivors = six.filter((id) => id !== c2);
    await puppets.openFor(survivors, survivors);
    return puppets;
  }

  test('caught: no key stands twice in the list', async () => {
    const puppets = await attack();
    expect(six.map((id) => puppets.code(id))).toEqual(six.map(() => 'SECAGG_DUPLICATE'));
  });

  test('without that check the server holds both secrets of one client, and its vector lies open', async () => {
    seam.off.add('checkDistinct');
    const puppets = await attack();
    const stolen = puppets.get(c1).upload as Uint32Array;
    const seed = puppets.secret(c1, 'seed') as Uint8Array;
    const secretKey = puppets.secret(c2, 'key') as Uint8Array;
    await addStreams(stolen, [
      { key: selfMaskKey(seed, puppets.context(c1), c1), sign: -1 },
      ...puppets.pairStreams(c1, secretKey, six),
    ]);
    expect(stolen).toEqual(puppets.get(c1).input);
  });
});

describe('a thief runs a second process under a stolen identity', () => {
  async function attack(): Promise<Session> {
    const thief = new Puppets();
    const session = new Session({ n: 6 });
    await thief.start(c1, session.config, { seed: 'thief' });
    const theirs = thief.get(c1).said.get('advertise');
    session.toServer = ({ to, name, signed }) => (to === c1 && name === 'advertise' ? theirs : signed);
    return session.run();
  }

  test('caught: the list holds what this client advertised, and the others finish without it', async () => {
    const session = await attack();
    expect(session.clients.get(c1)?.code).toBe('SECAGG_OWN_ENTRY');
    expect(session.survivors).toEqual(six.slice(1));
    expect(session.accumulator).toEqual(session.expectedSum());
  });

  test('without that check the robbed client ends the round for everybody and is blamed for it', async () => {
    seam.off.add('checkOwnEntry');
    const session = await attack();
    expect(session.abort?.code).toBe('SECAGG_SHARE');
    expect(session.abort?.culprits).toEqual([c1]);
  });
});

describe('a survivor set filled with clients that never shared', () => {
  /** c6 advertised and was never heard of again, c5 went before its upload: four uploads where five are the minimum. */
  async function attack(): Promise<Puppets> {
    const puppets = new Puppets();
    await puppets.startAll(configOf({ n: 6, minimumCohort: 5 }));
    await puppets.relayKeys();
    await puppets.relayShares([c1, c2, c3, c4, c5]);
    await puppets.openFor([c1, c2, c3, c4], [c1, c2, c3, c4, c6]);
    return puppets;
  }

  test('caught: who survives has shared', async () => {
    const puppets = await attack();
    expect(puppets.code(c1)).toBe('SECAGG_SURVIVORS');
    expect((await puppets.openSum()).of).toEqual([]);
  });

  test('without that check a sum of four opens where five is the minimum', async () => {
    seam.off.add('checkSurvivors');
    const puppets = await attack();
    const { of, sum } = await puppets.openSum();
    expect(of).toEqual([c1, c2, c3, c4]);
    expect(sum).toEqual(puppets.truth(of));
  });
});

describe('a client that uploaded is left out of the sum', () => {
  async function attack(): Promise<Puppets> {
    const puppets = new Puppets();
    await puppets.startAll(configOf({ n: 6 }));
    await puppets.relayKeys();
    await puppets.relayShares();
    const survivors = [c2, c3, c4, c5, c6];
    const signatures = [];
    for (const id of six) {
      const signature = await puppets.askToSign(id, survivors);
      if (id !== c1) signatures.push(signature);
    }
    for (const id of six) await puppets.askToUnmask(id, signatures);
    return puppets;
  }

  test('caught: it does not help to open a sum that it is not in', async () => {
    const puppets = await attack();
    expect(puppets.code(c1)).toBe('SECAGG_SURVIVORS');
    expect(puppets.body(c1, 'unmask')).toBeUndefined();
  });

  test('without that check it signs away its own update and believes that all is well', async () => {
    seam.off.add('checkSurvivors');
    const puppets = await attack();
    expect(puppets.code(c1)).toBeUndefined();
    expect(puppets.body(c1, 'unmask').shares.map(({ of }) => of)).toContain(c1);
    expect((await puppets.openSum()).of).not.toContain(c1);
  });
});
