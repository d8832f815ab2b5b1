import { describe, expect, test } from 'vitest';
import type { SecaggConfig, Signed } from '../../../shared/secagg/messages.ts';
import { messageFor, openManifest, serverReduce, startServer } from '../../../shared/secagg/server.ts';
import type { Phase } from '../../../shared/secagg/server-state.ts';
import { badlySigned, configOf, names, rosterOf, Session, serverSigner } from '../../support/secagg-session.ts';

describe('the server', () => {
  test.each([
    [{ threshold: 3 }, 'SECAGG_PARAMETERS'],
    [{ degree: 4 }, 'SECAGG_PARAMETERS'],
    [{ cohort: names(4) }, 'SECAGG_PARAMETERS'],
    [{ cohort: [...names(6)].reverse() }, 'SECAGG_ROSTER'],
    [{ cohort: [...names(5), 'stranger'] }, 'SECAGG_ROSTER'],
    [{ rosterHash: '0'.repeat(64) }, 'SECAGG_ROSTER'],
    [{ dimension: 0 }, 'SECAGG_MALFORMED'],
  ] as const)('refuses to open a session that no honest client would join: %o', (change, code) => {
    const config = { ...configOf({ n: 6 }), ...change } as SecaggConfig;
    expect(() => startServer({ config, signer: serverSigner, roster: rosterOf(names(6)) })).toThrow(
      expect.objectContaining({ code }),
    );
  });

  test('tells a client that reconnects what it is waited for, in every phase, and it can go on', async () => {
    for (const [phase, name] of [
      ['advertise', 'config'],
      ['shares', 'keys'],
      ['masked', 'inbox'],
      ['consistent', 'survivors'],
      ['unmask', 'signatures'],
    ] as const) {
      const session = new Session({ n: 5, minimumCohort: 5 });
      let lost = true;
      session.toClient = ({ to, name: sent, signed }) => {
        if (to === 'client-002' && sent === name && lost) {
          session.event({ kind: 'gone', from: 'client-001' });
          lost = false;
          return undefined;
        }
        return signed;
      };
      await session.drain();
      if (phase === 'unmask') {
        expect(session.outcome).toBe('finished');
        continue;
      }
      expect(session.server.phase).toBe(phase);
      expect(messageFor(session.server, 'client-003')).toBeUndefined();
      const again = messageFor(session.server, 'client-002') as { name: string; signed: Signed };
      expect(again.name).toBe(name);
      if (name === 'config') await session.startClient('client-002', again.signed);
      else
        await session.clientEvent(session.clients.get('client-002') as never, {
          kind: 'message',
          name,
          signed: again.signed,
        });
      await session.drain();
      expect(session.outcome, phase).toBe('finished');
      expect(session.accumulator).toEqual(session.expectedSum());
    }
  });

  test('a client repeats its answer when it is asked the same again, byte for byte', async () => {
    const session = new Session({ n: 5 });
    const before = new Map<string, Signed>();
    session.toServer = ({ to, name, signed }) => {
      const first = before.get(to + name);
      if (first !== undefined) expect(signed).toEqual(first);
      before.set(to + name, signed);
      return signed;
    };
    await session.run();
    const client = session.clients.get('client-001') as NonNullable<ReturnType<typeof session.clients.get>>;
    const count = client.sent.length;
    for (const effect of session.effects) {
      if (effect.kind === 'send' && effect.to === client.id && effect.name !== 'config') {
        await session.clientEvent(client, { kind: 'message', name: effect.name, signed: effect.signed });
      }
    }
    expect(client.sent.length - count).toBe(4);
    expect(client.code).toBeUndefined();
  });

  test('a deadline of another phase does nothing, and nothing happens after the end', async () => {
    const session = new Session({ n: 5 });
    for (const phase of ['shares', 'unmask'] as Phase[]) {
      expect(serverReduce(session.server, { kind: 'deadline', phase }).effects).toEqual([]);
    }
    await session.run();
    for (const event of session.events)
      expect(serverReduce(session.server, event)).toEqual({ state: session.server, effects: [] });
  });

  test('asks for one deadline a phase', async () => {
    const session = await new Session({ n: 5 }).run();
    const asked = session.effects.flatMap((e) => (e.kind === 'deadline' ? [[e.phase, e.timeoutMs]] : []));
    expect(asked).toEqual([
      ['advertise', 5000],
      ['shares', 1000],
      ['masked', 1000],
      ['consistent', 1000],
      ['unmask', 1000],
    ]);
  });

  test('checks a manifest before its chunks, with the codes that would eject', async () => {
    const session = new Session({ n: 5 });
    const codeOf = (from: string, signed: unknown): string | undefined => {
      try {
        openManifest(session.server, from, signed);
        return undefined;
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    const seen: (string | undefined)[] = [];
    session.toServer = ({ to, name, signed }) => {
      if (name === 'masked' && to === 'client-001') {
        seen.push(
          codeOf(to, signed),
          codeOf('client-002', signed),
          codeOf(to, badlySigned(signed)),
          codeOf('nobody', signed),
        );
      }
      return signed;
    };
    expect(codeOf('client-001', {})).toBe('SECAGG_WRONG_PHASE');
    await session.run();
    expect(seen).toEqual([undefined, 'SECAGG_SIGNATURE', 'SECAGG_SIGNATURE', 'SECAGG_WRONG_PHASE']);
  });

  test('a bad signature costs the sender its seat, in each phase', async () => {
    for (const phase of ['advertise', 'shares', 'masked', 'consistent', 'unmask']) {
      const session = new Session({ n: 6 });
      session.toServer = ({ to, name, signed }) =>
        to === 'client-001' && name === phase ? badlySigned(signed) : signed;
      await session.run();
      expect(session.ejections.get('client-001'), phase).toBe('SECAGG_SIGNATURE');
      expect(session.accumulator).toEqual(session.expectedSum());
    }
  });

  test('strangers are ignored', () => {
    const session = new Session({ n: 5 });
    for (const event of [
      { kind: 'gone', from: 'x' },
      { kind: 'message', from: 'x', name: 'advertise', signed: 1 },
    ] as const) {
      expect(serverReduce(session.server, event)).toEqual({ state: session.server, effects: [] });
    }
  });
});
