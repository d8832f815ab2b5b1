import { describe, expect, test } from 'vitest';
import { base64 } from '../../../shared/core/bytes.ts';
import { type ClientMessageName, type MessageBody, signMessage } from '../../../shared/secagg/messages.ts';
import { messageFor, openManifest } from '../../../shared/secagg/server.ts';
import { lowOrder } from '../../support/low-order.ts';
import { type DropStage, identity, names, Session } from '../../support/secagg-session.ts';

/** Clause by clause, what the server insists on. Each time the liar alone loses its seat, and the others' sum is exact. */

const six = names(6);
const [c1, , c3, , , c6] = six as [string, string, string, string, string, string];
const other = 'ab'.repeat(32);
const low = (i: number): string => base64(lowOrder[i] as Uint8Array);

/** A session in which c3 says something else in one of its messages, under its true signature. */
async function lying<N extends ClientMessageName>(
  name: N,
  change: (body: MessageBody<N>, session: Session) => unknown,
  drops: readonly (readonly [string, DropStage])[] = [],
): Promise<Session> {
  const session = new Session({ n: 6 });
  session.drops = new Map(drops);
  session.toServer = (message) => {
    if (message.to !== c3 || message.name !== name) return message.signed;
    const body = structuredClone(message.signed.body) as MessageBody<N>;
    return signMessage(name, { ...body, ...(change(body, session) as object) }, identity(c3));
  };
  return session.run();
}

const advertise = (change: (body: MessageBody<'advertise'>, s: Session) => object) => () => lying('advertise', change);
const shares = (change: (list: MessageBody<'shares'>['shares']) => unknown) => () =>
  lying('shares', (body) => ({ shares: change(body.shares) }));
const masked = (change: (body: MessageBody<'masked'>) => object) => () => lying('masked', change);
type Answer = MessageBody<'unmask'>['shares'][number];
const unmask = (change: (list: Answer[]) => unknown) => () =>
  lying('unmask', (body) => ({ shares: change(body.shares) }));

const keysOf = (s: Session, id: string): MessageBody<'advertise'> =>
  s.clients.get(id)?.sent[0]?.signed.body as MessageBody<'advertise'>;

const rows: readonly [what: string, attack: () => Promise<Session>, code: string][] = [
  ['keys in another’s name', advertise(() => ({ clientId: c1 })), 'SECAGG_MALFORMED'],
  ['keys for another session', advertise(() => ({ session: other })), 'SECAGG_WRONG_SESSION'],
  ['shares for another session', () => lying('shares', () => ({ session: other })), 'SECAGG_WRONG_SESSION'],
  ['shares for another sid', () => lying('shares', () => ({ sid: other })), 'SECAGG_WRONG_SESSION'],
  ['a channel key of small order', advertise(() => ({ channelKey: low(1) })), 'SECAGG_LOW_ORDER_KEY'],
  ['a mask key of small order', advertise(() => ({ maskKey: low(1) })), 'SECAGG_LOW_ORDER_KEY'],
  ['one key for both purposes', advertise(({ maskKey }) => ({ channelKey: maskKey })), 'SECAGG_DUPLICATE'],
  ['another’s channel key', advertise((_, s) => ({ channelKey: keysOf(s, c1).channelKey })), 'SECAGG_DUPLICATE'],
  ['another’s mask key', advertise((_, s) => ({ maskKey: keysOf(s, c1).maskKey })), 'SECAGG_DUPLICATE'],
  ['another’s channel key for masks', advertise((_, s) => ({ maskKey: keysOf(s, c1).channelKey })), 'SECAGG_DUPLICATE'],
  ['boxes of swapped holders', shares((list) => [...list].reverse()), 'SECAGG_MALFORMED'],
  ['no box for the last holder', shares((list) => list.slice(0, -1)), 'SECAGG_MALFORMED'],
  ['a box too many', shares((list) => [...list, ...list.slice(-1)]), 'SECAGG_MALFORMED'],
  ['a box cut short', shares((l) => l.map((e) => (e.to === c1 ? { ...e, box: 'AAAA' } : e))), 'SECAGG_MALFORMED'],
  ['a box for itself', shares((l) => l.map((e) => (e.to === c3 ? { ...e, box: l[0]?.box } : e))), 'SECAGG_MALFORMED'],
  [
    'a surplus seed too few',
    shares((l) => l.map((e) => ({ ...e, surplusCommitments: e.surplusCommitments.slice(1) }))),
    'SECAGG_MALFORMED',
  ],
  ['an upload of another dimension', masked(({ dimension }) => ({ dimension: dimension + 1 })), 'SECAGG_SHAPE'],
  ['an upload in other chunks', masked(({ chunkBytes }) => ({ chunkBytes: chunkBytes + 4 })), 'SECAGG_SHAPE'],
  ['an upload in more chunks', masked(({ chunks }) => ({ chunks: [...chunks, other] })), 'SECAGG_SHAPE'],
  ['an upload for another sid', masked(() => ({ sid: other })), 'SECAGG_WRONG_SESSION'],
  ['a signature on another set', () => lying('consistent', () => ({ survivorsHash: other })), 'SECAGG_SURVIVORS'],
  ['two answers about one neighbour', unmask((l) => [...l.slice(1), l[1]]), 'SECAGG_MALFORMED'],
  ['all answers, and one of them again', unmask((l) => [...l, l[0]]), 'SECAGG_MALFORMED'],
  ['an answer too few', unmask((l) => l.slice(1)), 'SECAGG_MALFORMED'],
  [
    'an answer about a stranger',
    unmask((l) => [{ of: 'stranger', kind: 'complaint' }, ...l.slice(1)]),
    'SECAGG_MALFORMED',
  ],
  [
    'the key of one that stayed',
    unmask(([a, ...l]) => [{ of: a?.of, kind: 'key', share: low(0), blinding: low(0) }, ...l]),
    'SECAGG_MALFORMED',
  ],
  ['no surplus where it is due', unmask(([a, ...l]) => [{ ...a, surplus: null }, ...l]), 'SECAGG_MALFORMED'],
];

describe('what a client says', () => {
  test.each(rows)('%s', async (_, attack, code) => {
    const session = await attack();
    expect([...session.ejections]).toEqual([[c3, code]]);
    expect(session.outcome).toBe('finished');
    expect(session.accumulator).toEqual(session.expectedSum());
  });

  test('a seed of one that dropped, or surplus noise that is needed', async () => {
    const least: [string, DropStage][] = [
      [c1, 'masked'],
      [c6, 'upload'],
    ];
    const seed = { kind: 'seed', share: low(0), blinding: low(0), surplus: null };
    const given = { share: low(0), blinding: low(0) };
    for (const change of [
      (l: Answer[]) => l.map((a) => (a.kind === 'key' ? { of: a.of, ...seed } : a)),
      (l: Answer[]) => l.map((a) => (a.kind === 'seed' ? { ...a, surplus: given } : a)),
    ]) {
      const session = await lying('unmask', (body) => ({ shares: change(body.shares) }), least);
      expect(session.ejections.get(c3)).toBe('SECAGG_MALFORMED');
      // Four were left and three answered well: fewer than t.
      expect(session.abort?.code).toBe('SECAGG_COHORT_TOO_SMALL');
    }
  });

  test('complaints about dealers who were honest cost nobody anything, up to the answers that are left', async () => {
    const session = await lying('unmask', ({ shares: list }) => ({
      shares: list.map(({ of }) => ({ of, kind: 'complaint' })),
    }));
    expect([session.outcome, session.ejections.size]).toEqual(['finished', 0]);
    expect(session.accumulator).toEqual(session.expectedSum());
  });
});

describe('who may speak, and when', () => {
  test('whoever lost its seat is not heard again in this session, and no message is due to it', async () => {
    const session = new Session({ n: 6 });
    session.toServer = ({ to, name, signed }) => {
      if (to !== c3 || name !== 'shares') return signed;
      session.event({ kind: 'message', from: c3, name, signed: { body: null, signature: '' } });
      expect(messageFor(session.server, c3)).toBeUndefined();
      return signed;
    };
    await session.run();
    expect(session.ejections.get(c3)).toBe('SECAGG_MALFORMED');
    expect(session.server.answers.shares.has(c3)).toBe(false);
    expect(session.survivors).toEqual(six.filter((id) => id !== c3));
    expect(session.accumulator).toEqual(session.expectedSum());
  });

  test('a message after its phase had closed: late, and so out', async () => {
    const session = new Session({ n: 6 });
    session.toServer = ({ to, name, signed }) => {
      if (to !== c3 || name !== 'shares') return signed;
      session.event({ kind: 'deadline', phase: 'shares' });
      return undefined;
    };
    await session.drain();
    // The deadline came before anybody else had answered.
    expect(session.abort?.code).toBe('SECAGG_COHORT_TOO_SMALL');

    const second = new Session({ n: 6 });
    let kept: Parameters<Session['toServer']>[0] | undefined;
    second.toServer = (message) => {
      if (message.to !== c3 || message.name !== 'shares') return message.signed;
      kept = message;
      return undefined;
    };
    await second.drain();
    second.event({ kind: 'deadline', phase: 'shares' });
    expect(second.ejections.get(c3)).toBe('SECAGG_DEADLINE');
    second.event({ kind: 'message', from: c3, name: 'shares', signed: kept?.signed });
    await second.run();
    expect(second.survivors).toEqual(six.filter((id) => id !== c3));
    expect(second.accumulator).toEqual(second.expectedSum());
  });

  test('who is gone is waited for again once it has said something', async () => {
    const session = new Session({ n: 6 });
    session.toServer = ({ to, name, signed }) => {
      if (to === c3 && name === 'advertise') session.event({ kind: 'gone', from: c3 });
      return signed;
    };
    session.event({ kind: 'gone', from: 'stranger' });
    expect(session.server.gone.size).toBe(0);
    await session.run();
    expect(session.server.gone.has(c3)).toBe(false);
    expect(session.survivors).toEqual(six);
  });

  test('no manifest is opened before its phase, after it, or for one that has no seat', async () => {
    const session = new Session({ n: 6 });
    const codes: unknown[] = [];
    const attempt = (from: string, signed: unknown): void => {
      try {
        openManifest(session.server, from, signed);
        codes.push(undefined);
      } catch (error) {
        codes.push((error as { code: string }).code);
      }
    };
    session.drops.set(c1, 'shares');
    let manifest: unknown;
    session.toServer = ({ to, name, signed }) => {
      if (to === c3 && name === 'advertise') attempt(c3, signed);
      if (to === c3 && name === 'masked') {
        manifest = signed;
        attempt(c3, signed);
        attempt(c1, signed);
      }
      return signed;
    };
    await session.run();
    attempt(c3, manifest);
    const wrong = 'SECAGG_WRONG_PHASE';
    expect(codes).toEqual([wrong, undefined, wrong, wrong]);
  });
});
