import { describe, expect, test } from 'vitest';
import { base64, fromBase64 } from '../../../shared/core/bytes.ts';
import { clientReduce } from '../../../shared/secagg/client.ts';
import type { ClientRecord } from '../../../shared/secagg/client-checks.ts';
import { type MessageBody, type SecaggConfig, type Signed, signMessage } from '../../../shared/secagg/messages.ts';
import { Puppets } from '../../support/secagg-puppets.ts';
import { configOf, identity, names } from '../../support/secagg-session.ts';

/** Clause by clause, what a client insists on: one honest session up to a step, then one thing that is not as it has to be. */

const six = names(6);
const [c1, c2, c3] = six as [string, string, string];
const other = 'ab'.repeat(32);

type Lie = (puppets: Puppets) => Promise<void>;
const config = (change: Partial<SecaggConfig> = {}): SecaggConfig => ({ ...configOf({ n: 6 }), ...change });

async function at(step: 'advertised' | 'shared' | 'uploaded' | 'signed', minimumCohort = 4): Promise<Puppets> {
  const puppets = new Puppets();
  await puppets.startAll(configOf({ n: 6, minimumCohort }));
  if (step === 'advertised') return puppets;
  await puppets.relayKeys();
  if (step === 'shared') return puppets;
  await puppets.relayShares();
  if (step === 'signed') for (const id of six) await puppets.askToSign(id, six);
  return puppets;
}

const advertisement = (p: Puppets, id: string): Signed => p.get(id).said.get('advertise') as Signed;

/** `keys` to the first client: the advertisements of these, after a change. */
const keys =
  (of: readonly string[], change: (list: Signed[]) => Signed[] = (x) => x, session?: string): Lie =>
  async (p) => {
    const advertisements = change(of.map((id) => advertisement(p, id)));
    await p.tell(c1, 'keys', { session: session ?? p.session(c1), advertisements });
  };

const inbox =
  (change: (body: MessageBody<'inbox'>) => Partial<MessageBody<'inbox'>>): Lie =>
  async (p) => {
    const shares = six.flatMap((from) => {
      const entry = p.body(from, 'shares').shares.find((s) => s.to === c1);
      if (from === c1 || entry === undefined) return [];
      const { to: _, ...dealt } = entry;
      return [{ from, ...dealt }];
    });
    const body = { session: p.session(c1), sid: p.sid(c1), members: [...six], shares };
    await p.tell(c1, 'inbox', { ...body, ...change(body) });
  };

/** U2 without these, and their boxes gone as well. */
const without = (...gone: string[]) =>
  inbox(({ members, shares }) => ({
    members: members.filter((id) => !gone.includes(id)),
    shares: shares.filter(({ from }) => !gone.includes(from)),
  }));

const survivors =
  (list: readonly string[], change: Partial<MessageBody<'survivors'>> = {}): Lie =>
  (p) =>
    p.tell(c1, 'survivors', { session: p.session(c1), sid: p.sid(c1), survivors: [...list], ...change });

const signatures =
  (change: (list: Signed[], p: Puppets) => Signed[], body: Partial<MessageBody<'signatures'>> = {}): Lie =>
  async (p) => {
    const list = six.map((id) => p.get(id).said.get('consistent') as Signed);
    await p.tell(c1, 'signatures', { session: p.session(c1), sid: p.sid(c1), signatures: change(list, p), ...body });
  };

/** The first client's own advertisement with one field changed, under its own key: what a thief of the key would send. */
const readvertised = (field: 'channelKey' | 'maskKey' | 'nonce'): Lie =>
  keys(six, ([own, ...rest]) => {
    const body = { ...(own?.body as MessageBody<'advertise'>), [field]: base64(new Uint8Array(32).fill(9)) };
    return [signMessage('advertise', body, identity(c1)), ...rest];
  });

const resigned = (message: Signed | undefined, by: string, change: Partial<MessageBody<'consistent'>>): Signed =>
  signMessage('consistent', { ...(message?.body as MessageBody<'consistent'>), ...change }, identity(by));

describe('M0', () => {
  const rows: readonly [string, Partial<SecaggConfig>, string][] = [
    ['another threshold', { threshold: 5 }, 'SECAGG_PARAMETERS'],
    ['another degree', { degree: 4 }, 'SECAGG_PARAMETERS'],
    ['another roster', { rosterHash: other }, 'SECAGG_ROSTER'],
    ['a cohort with a stranger', { cohort: [...names(5), 'stranger'] }, 'SECAGG_ROSTER'],
    ['a cohort twice the same', { cohort: [c1, c1, ...names(6).slice(2)] }, 'SECAGG_ROSTER'],
    ['a cohort out of order', { cohort: [...six].reverse() }, 'SECAGG_ROSTER'],
    ['more pieces than an upload may have', { dimension: 1_000_000, chunkBytes: 4 }, 'SECAGG_MALFORMED'],
  ];

  test.each(rows)('%s', async (_, change, code) => {
    const puppets = new Puppets();
    // The roster is the pinned one, whatever the configuration says.
    const roster = six.map((clientId) => ({ clientId, publicKey: identity(clientId).publicKey }));
    await puppets.start(c1, config(change), { roster });
    expect(puppets.code(c1)).toBe(code);
    expect(puppets.get(c1).said.size).toBe(0);
  });

  test('a cohort without this client', async () => {
    const puppets = new Puppets();
    const roster = names(7).map((clientId) => ({ clientId, publicKey: identity(clientId).publicKey }));
    await puppets.start('client-007', config({ rosterHash: rosterHashOf(7) }), { roster });
    expect(puppets.code('client-007')).toBe('SECAGG_ROSTER');
  });

  const rosterHashOf = (n: number): string => configOf({ n }).rosterHash;

  test('another configuration in the middle of a session', async () => {
    const puppets = await at('advertised');
    const signed = signMessage('config', config({ weightsSha256: other }), identity('server'));
    const { state } = clientReduce(puppets.get(c1).state, { kind: 'message', name: 'config', signed });
    expect(state.progress).toMatchObject({ step: 'aborted', code: 'SECAGG_WRONG_SESSION' });
  });

  test.each([
    [{ round: 2, attempt: 1 }, { round: 1, attempt: 9 }, 'SECAGG_REPLAY'],
    [{ round: 2, attempt: 2 }, { round: 2, attempt: 2, chunkBytes: 8 }, 'SECAGG_REPLAY'],
    [{ round: 2, attempt: 2 }, { round: 2, attempt: 1 }, 'SECAGG_REPLAY'],
    [{ round: 2, attempt: 2 }, { round: 2, attempt: 3 }, undefined],
    [{ round: 2, attempt: 2 }, { round: 3, attempt: 1 }, undefined],
    [{ round: 2, attempt: 2, run: 'run-0' }, { round: 1, attempt: 1 }, undefined],
  ])('after %o, %o: %s', async (before, after, code) => {
    const puppets = new Puppets();
    await puppets.start(c1, config(before));
    const last = puppets.get(c1).record;
    await puppets.start(c1, config(after), { last, seed: 'again' });
    expect(puppets.code(c1)).toBe(code);
  });

  test.each([
    [{ round: 2, attempt: 3 }, 'SECAGG_REPLAY'],
    [{ round: 3, attempt: 1 }, undefined],
  ])('after an answer in round 2.2, %o: %s', async (after, code) => {
    const puppets = new Puppets();
    await puppets.start(c1, config({ round: 2, attempt: 2 }));
    const joined = puppets.get(c1).record as ClientRecord;
    await puppets.start(c1, config(after), { last: { ...joined, step: 'answered' }, seed: 'again' });
    expect(puppets.code(c1)).toBe(code);
  });
});

const lies: readonly [step: Parameters<typeof at>[0], what: string, lie: Lie, code: string][] = [
  ['advertised', 'keys of another session', keys(six, (x) => x, other), 'SECAGG_WRONG_SESSION'],
  ['advertised', 'keys of too few', keys(six.slice(0, 3)), 'SECAGG_COHORT_TOO_SMALL'],
  ['advertised', 'keys out of order', keys(six, (x) => x.reverse()), 'SECAGG_ROSTER'],
  ['advertised', 'keys without its own', keys(six.slice(1)), 'SECAGG_OWN_ENTRY'],
  ['advertised', 'its own channel key changed', readvertised('channelKey'), 'SECAGG_OWN_ENTRY'],
  ['advertised', 'its own mask key changed', readvertised('maskKey'), 'SECAGG_OWN_ENTRY'],
  ['advertised', 'its own nonce changed', readvertised('nonce'), 'SECAGG_OWN_ENTRY'],
  [
    'advertised',
    'the inbox before the keys',
    (p) => p.tell(c1, 'inbox', { session: p.session(c1), sid: p.sid(c1), members: [...six], shares: [] }),
    'SECAGG_WRONG_PHASE',
  ],
  ['shared', 'an inbox of another session', inbox(() => ({ session: other })), 'SECAGG_WRONG_SESSION'],
  ['shared', 'an inbox of another sid', inbox(() => ({ sid: other })), 'SECAGG_WRONG_SESSION'],
  [
    'shared',
    'a member that never advertised',
    inbox((b) => ({ members: [...b.members, 'client-9'] })),
    'SECAGG_SURVIVORS',
  ],
  ['shared', 'members out of order', inbox((b) => ({ members: [...b.members].reverse() })), 'SECAGG_SURVIVORS'],
  ['shared', 'a member twice', inbox((b) => ({ members: [...b.members, 'client-006'] })), 'SECAGG_SURVIVORS'],
  ['shared', 'members without itself', without(c1), 'SECAGG_OWN_ENTRY'],
  ['shared', 'too few members', without('client-004', 'client-005', 'client-006'), 'SECAGG_COHORT_TOO_SMALL'],
  ['shared', 'a box too few', inbox((b) => ({ shares: b.shares.slice(1) })), 'SECAGG_SURVIVORS'],
  ['shared', 'the last box too few', inbox((b) => ({ shares: b.shares.slice(0, -1) })), 'SECAGG_SURVIVORS'],
  ['shared', 'a box too many', inbox((b) => ({ shares: [...b.shares, ...b.shares.slice(-1)] })), 'SECAGG_SURVIVORS'],
  ['shared', 'boxes of swapped dealers', inbox((b) => ({ shares: [...b.shares].reverse() })), 'SECAGG_SURVIVORS'],
  ['shared', 'survivors before the upload', survivors(six), 'SECAGG_WRONG_PHASE'],
  ['uploaded', 'survivors of another sid', survivors(six, { sid: other }), 'SECAGG_WRONG_SESSION'],
  ['uploaded', 'survivors of another session', survivors(six, { session: other }), 'SECAGG_WRONG_SESSION'],
  ['uploaded', 'survivors out of order', survivors([c2, c1, ...six.slice(2)]), 'SECAGG_SURVIVORS'],
  ['uploaded', 'a survivor counted twice', survivors([c1, c2, c2, c3]), 'SECAGG_SURVIVORS'],
  ['uploaded', 'too few survivors', survivors([c1, c2, c3]), 'SECAGG_COHORT_TOO_SMALL'],
  ['uploaded', 'signatures before the survivors', signatures(() => []), 'SECAGG_WRONG_PHASE'],
  ['signed', 'signatures of another sid', signatures((x) => x, { sid: other }), 'SECAGG_WRONG_SESSION'],
  ['signed', 'too few signatures', signatures((x) => x.slice(0, 3)), 'SECAGG_SIGNATURES'],
  ['signed', 'one signature as often as it takes', signatures(([x]) => Array(4).fill(x)), 'SECAGG_SIGNATURES'],
  [
    'signed',
    'a signature on another set',
    signatures(([x, ...rest]) => [resigned(x, c1, { survivorsHash: other }), ...rest]),
    'SECAGG_SIGNATURES',
  ],
  [
    'signed',
    'a signature of another sid',
    signatures(([x, ...rest]) => [resigned(x, c1, { sid: other }), ...rest]),
    'SECAGG_WRONG_SESSION',
  ],
  [
    'signed',
    'a signature in another name',
    signatures(([x, ...rest]) => [resigned(x, c2, {}), ...rest]),
    'SECAGG_SIGNATURE',
  ],
  [
    'signed',
    'a signature by a stranger',
    signatures(([x, ...rest]) => [resigned(x, 'stranger', { clientId: 'stranger' }), ...rest]),
    'SECAGG_SIGNATURES',
  ],
];

describe('what the server says', () => {
  test.each(lies)('%s: %s', async (step, _, lie, code) => {
    const puppets = await at(step);
    const said = puppets.get(c1).said.size;
    await lie(puppets);
    expect(puppets.code(c1)).toBe(code);
    expect(puppets.get(c1).said.size).toBe(said);
  });

  test('an advertisement of another session, or by a stranger', async () => {
    const changed = (by: string, change: object): Lie =>
      keys(six, ([own, second, ...rest]) => {
        const body = { ...(second?.body as MessageBody<'advertise'>), ...change };
        return [own as Signed, signMessage('advertise', body, identity(by)), ...rest];
      });
    for (const [lie, code] of [
      [changed(c2, { session: other }), 'SECAGG_WRONG_SESSION'],
      [changed('stranger', { clientId: 'client-0015' }), 'SECAGG_ROSTER'],
    ] as const) {
      const puppets = await at('advertised');
      await lie(puppets);
      expect(puppets.code(c1)).toBe(code);
    }
  });

  test('members that would be enough for the threshold, but not for the minimum cohort', async () => {
    const puppets = await at('shared', 5);
    await without('client-005', 'client-006')(puppets);
    expect(puppets.code(c1)).toBe('SECAGG_COHORT_TOO_SMALL');
  });

  test('of who survived it opens the seed, of who dropped the key, and never both', async () => {
    const puppets = await at('uploaded');
    const five = six.slice(0, 5);
    const list = [];
    for (const id of five) list.push(await puppets.askToSign(id, five));
    await puppets.askToUnmask(c1, list);
    expect(
      puppets
        .body(c1, 'unmask')
        .shares.map(({ of, kind }) => [of, kind])
        .sort(),
    ).toEqual([...five.map((id) => [id, 'seed']), ['client-006', 'key']]);
  });

  test('a signature by a client that is not in the set', async () => {
    const puppets = await at('uploaded');
    const list = [];
    for (const id of six.slice(0, 5)) list.push(await puppets.askToSign(id, six.slice(0, 5)));
    list.pop();
    const outsider = resigned(list[0], 'client-006', { clientId: 'client-006' });
    await puppets.askToUnmask(c1, [...list, outsider]);
    expect(puppets.code(c1)).toBe('SECAGG_SIGNATURES');
  });

  test('all that is honest', async () => {
    const puppets = await at('signed');
    await signatures((x) => x.slice(0, 4))(puppets);
    expect(puppets.code(c1)).toBeUndefined();
    expect(puppets.body(c1, 'unmask').shares).toHaveLength(6);
  });

  test('survivors in the words of its own answer again: the same answer; another set: none, and its secrets are gone', async () => {
    const puppets = await at('signed');
    const before = puppets.get(c1).said.get('consistent');
    await puppets.askToSign(c1, six);
    expect(puppets.get(c1).said.get('consistent')).toEqual(before);
    await puppets.askToSign(c1, six.slice(0, 5));
    expect(puppets.code(c1)).toBe('SECAGG_EQUIVOCATION');
    const { state } = puppets.get(c1);
    await signatures((x) => x)(puppets);
    expect(puppets.get(c1).state).toBe(state);
    expect(puppets.body(c1, 'unmask')).toBeUndefined();
  });

  test('after its answer, the same question brings the same answer, and another one nothing', async () => {
    const puppets = await at('signed');
    await signatures((x) => x)(puppets);
    const answer = puppets.get(c1).said.get('unmask');
    puppets.get(c1).said.delete('unmask');
    await signatures((x) => x)(puppets);
    expect(puppets.get(c1).said.get('unmask')).toEqual(answer);
    puppets.get(c1).said.delete('unmask');
    await signatures((x) => x.slice(1))(puppets);
    expect(puppets.code(c1)).toBe('SECAGG_EQUIVOCATION');
    expect(puppets.get(c1).said.get('unmask')).toBeUndefined();
  });
});

describe('what its own shell says', () => {
  test.each([
    ['an upload before there is a mask', 'shared', 1],
    ['an upload twice', 'uploaded', 2],
  ] as const)('%s', async (_, step, chunks) => {
    const puppets = await at(step);
    const event = { kind: 'masked', chunks: Array.from({ length: chunks }, () => other) } as const;
    const { state } = clientReduce(puppets.get(c1).state, event);
    expect(state.progress).toMatchObject({ step: 'aborted', code: 'SECAGG_WRONG_PHASE' });
  });

  test('an upload of another number of chunks', async () => {
    const puppets = await at('uploaded');
    const { state } = puppets.get(c1);
    if (state.progress.step !== 'uploaded') throw new Error(state.progress.step);
    const masking = { ...state, progress: { ...state.progress, step: 'masking' } } as const;
    for (const chunks of [[], [other], [other, other, other]]) {
      const step = clientReduce(masking, { kind: 'masked', chunks });
      expect(step.state.progress).toMatchObject({ step: 'aborted', code: 'SECAGG_SHAPE' });
    }
  });

  test('cancelled: nothing of its secrets is left, and nothing is said any more', async () => {
    const puppets = await at('shared');
    const { state } = puppets.get(c1);
    if (state.progress.step !== 'shared') throw new Error(state.progress.step);
    const { seed, noiseSeed, channel, mask, ownShare } = state.progress;
    const step = clientReduce(state, { kind: 'cancel', reason: 'enough' });
    expect(step.effects).toEqual([{ kind: 'abort', code: 'SECAGG_CANCELLED', reason: 'enough' }]);
    for (const secret of [seed, noiseSeed, channel.secretKey, mask.secretKey, ownShare.seed.share, ownShare.key.share])
      expect(secret.every((byte) => byte === 0)).toBe(true);
    expect(clientReduce(step.state, { kind: 'cancel', reason: 'again' }).effects).toEqual([]);
  });

  test('answered: shares that it held are erased, and what it said is not', async () => {
    const puppets = await at('signed');
    const { progress } = puppets.get(c1).state;
    if (progress.step !== 'signed') throw new Error(progress.step);
    await signatures((x) => x)(puppets);
    for (const held of progress.held.values())
      for (const part of [held?.seed, held?.key, ...(held?.surplus ?? [])])
        expect([...(part?.share ?? []), ...(part?.blinding ?? [])].every((byte) => byte === 0)).toBe(true);
    const [own] = puppets.body(c1, 'unmask').shares;
    expect(own?.kind === 'seed' && fromBase64(own.share).some((byte) => byte !== 0)).toBe(true);
    expect(clientReduce(puppets.get(c1).state, { kind: 'cancel', reason: 'late' }).effects).toEqual([]);
  });
});
