import { afterEach, describe, expect, test, vi } from 'vitest';
import { base64 } from '../../shared/core/bytes.ts';
import type { ClientMessageName, MessageBody, Signed } from '../../shared/secagg/messages.ts';
import { signMessage } from '../../shared/secagg/messages.ts';
import type { HeldShares } from '../../shared/secagg/shares.ts';
import { identity, names, Session } from '../support/secagg-session.ts';

/** One enrolled client answers wrongly under its true signature. Each twice, as in secagg-attacks. */
const seam = vi.hoisted(() => ({ off: new Set<string>() }));
vi.mock('../../shared/secagg/server-checks.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  const real = await original<typeof import('../../shared/secagg/server-checks.ts')>();
  const given = { share: '', blinding: '' };
  /** Without the one clause about surplus, and without the check of surplus shares; all else is as it is. */
  const parts: Pick<typeof real, 'checkAnswers' | 'checkShare'> = {
    checkAnswers: (body, expected, withSurplus) => {
      if (!seam.off.has('surplus clause')) return real.checkAnswers(body, expected, withSurplus);
      const shares = body.shares.map((a) => (a.kind === 'seed' ? { ...a, surplus: withSurplus ? given : null } : a));
      real.checkAnswers({ ...body, shares }, expected, withSurplus);
    },
    checkShare: (label, kind, answer, commitment) => {
      if (seam.off.has('surplus shares') && kind.startsWith('surplus')) return;
      real.checkShare(label, kind, answer, commitment);
    },
  };
  return switchable({ ...real, ...parts }, seam.off);
});
vi.mock('../../shared/secagg/messages.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off, { openMessage: (_: string, message: Signed) => message.body });
});
afterEach(() => seam.off.clear());

const six = names(6);
const [c1, c2, c3, c4, c5, c6] = six as [string, string, string, string, string, string];

/** A session in which c3 says something else in one of its messages. */
async function lying<N extends ClientMessageName>(
  name: N,
  change: (body: MessageBody<N>) => unknown,
): Promise<Session> {
  const session = new Session({ n: 6 });
  session.toServer = (message) => {
    if (message.to !== c3 || message.name !== name) return message.signed;
    const body = structuredClone(message.signed.body) as MessageBody<N>;
    return signMessage(name, change(body) as MessageBody<N>, identity(c3));
  };
  return session.run();
}

/** c3 alone loses its seat, and the others get the right sum. */
function expectOnlyLiarOut(session: Session, code: string): void {
  expect([...session.ejections]).toEqual([[c3, code]]);
  expect(session.outcome).toBe('finished');
  expect(session.accumulator).toEqual(session.expectedSum());
}

describe('a dealer leaves a holder out', () => {
  const attack = (): Promise<Session> =>
    lying('shares', (body) => ({ ...body, shares: body.shares.filter(({ to }) => to !== c1) }));

  test('caught: one box for each holder', async () => {
    expectOnlyLiarOut(await attack(), 'SECAGG_MALFORMED');
  });

  test('without that check innocent holders miss their box and refuse the session', async () => {
    seam.off.add('checkShares');
    const session = await attack();
    expect(session.clients.get(c6)?.code).toBe('SECAGG_SURVIVORS');
    expect(session.survivors).not.toContain(c6);
  });
});

describe('an upload of another shape', () => {
  const attack = (): Promise<Session> => lying('masked', (body) => ({ ...body, chunks: body.chunks.slice(0, 1) }));

  test('caught: as many numbers and chunks as the session has', async () => {
    expectOnlyLiarOut(await attack(), 'SECAGG_SHAPE');
  });

  test('without that check half a vector is in the sum, and the sum is silently wrong', async () => {
    seam.off.add('checkManifest');
    const session = await attack();
    expect(session.outcome).toBe('finished');
    expect(session.accumulator).not.toEqual(session.expectedSum());
  });
});

describe('a signature on another survivor set', () => {
  const attack = (): Promise<Session> => lying('consistent', (body) => ({ ...body, survivorsHash: '0'.repeat(64) }));

  test('caught: the server does not hand it on', async () => {
    expectOnlyLiarOut(await attack(), 'SECAGG_SURVIVORS');
  });

  test('without that check everybody else sees a split view and nobody opens the sum', async () => {
    seam.off.add('checkSigned');
    const session = await attack();
    expect([c1, c2, c4, c5, c6].map((id) => session.clients.get(id)?.code)).toEqual(
      [c1, c2, c4, c5, c6].map(() => 'SECAGG_SIGNATURES'),
    );
    expect(session.outcome).toBe('aborted');
  });
});

describe('the other secret of a neighbour, with an honest share of it', () => {
  async function attack(): Promise<Session> {
    const session = new Session({ n: 6 });
    let share: MessageBody<'unmask'>['shares'][number] | undefined;
    session.toClient = ({ to, name, signed }) => {
      const progress = session.clients.get(c3)?.state.progress;
      if (to === c3 && name === 'signatures' && progress?.step === 'signed') {
        const { key } = progress.held.get(c1) as HeldShares;
        share = { of: c1, kind: 'key', share: base64(key.share), blinding: base64(key.blinding) };
      }
      return signed;
    };
    session.toServer = ({ to, name, signed }) => {
      if (to !== c3 || name !== 'unmask') return signed;
      const body = structuredClone(signed.body) as MessageBody<'unmask'>;
      const shares = body.shares.map((answer) => (answer.of === c1 && share !== undefined ? share : answer));
      return signMessage('unmask', { ...body, shares }, identity(c3));
    };
    return session.run();
  }

  test('caught: of each neighbour the one kind that the survivor set asks for', async () => {
    expectOnlyLiarOut(await attack(), 'SECAGG_MALFORMED');
  });

  test('without that check the shares do not combine, and the innocent dealer is blamed', async () => {
    seam.off.add('checkAnswers');
    const session = await attack();
    expect(session.abort?.code).toBe('SECAGG_RECONSTRUCTION');
    expect(session.abort?.culprits).toEqual([c1]);
  });
});

describe('a holder that opens no surplus, or another one', () => {
  const answers = (surplus: (given: { share: string; blinding: string }) => typeof given | null): Promise<Session> =>
    lying('unmask', (body) => ({
      ...body,
      shares: body.shares.map((answer) =>
        answer.kind === 'seed' && answer.surplus !== null ? { ...answer, surplus: surplus(answer.surplus) } : answer,
      ),
    }));
  const rows = [
    { what: 'none', surplus: () => null, code: 'SECAGG_MALFORMED', check: 'surplus clause' },
    {
      what: 'another one',
      surplus: ({ blinding }: { blinding: string }) => ({ share: base64(new Uint8Array(32).fill(5)), blinding }),
      code: 'SECAGG_SHARE',
      check: 'surplus shares',
    },
  ];

  test.each(rows)('caught: $what costs the liar its seat, and all surplus is taken away', async ({ surplus, code }) => {
    const session = await answers(surplus);
    expectOnlyLiarOut(session, code);
    expect(session.noise?.unremoved).toEqual([]);
  });

  test.each(rows)(
    '$what — without that check everybody’s surplus stays in the sum, and innocent dealers are named for it',
    async ({ surplus, check }) => {
      seam.off.add(check);
      const session = await answers(surplus);
      expect(session.ejections.size).toBe(0);
      expect(session.outcome).toBe('finished');
      expect(session.noise?.unremoved).toEqual(six);
    },
  );
});

describe('a body that is no body', () => {
  const attack = (): Promise<Session> => lying('shares', () => ({ clientId: c3 }));

  test('caught: every message is parsed before anything reads it', async () => {
    expectOnlyLiarOut(await attack(), 'SECAGG_MALFORMED');
  });

  test('without the schema one frame brings the coordinator down', async () => {
    seam.off.add('openMessage');
    seam.off.add('checkAddress');
    await expect(attack()).rejects.toThrow(TypeError);
  });
});
