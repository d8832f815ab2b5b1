import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { seededRng } from '../../shared/core/rng.ts';
import { clientReduce } from '../../shared/secagg/client.ts';
import {
  CLIENT_MESSAGES,
  type MessageName,
  parseBody,
  SERVER_MESSAGES,
  type Signed,
  signMessage,
} from '../../shared/secagg/messages.ts';
import { serverReduce } from '../../shared/secagg/server.ts';
import { PHASES, type ServerEvent } from '../../shared/secagg/server-state.ts';
import { combineShares, splitSecret } from '../../shared/secagg/shamir.ts';
import { anything, cases, mutated, onlyCoded, paths } from '../support/hostile.ts';
import { type DropStage, identity, names, Session, serverSigner } from '../support/secagg-session.ts';

vi.mock('../../shared/core/signing.ts', async (original) => {
  const { memoSigning } = await import('../support/memo-signing.ts');
  return memoSigning(await original());
});

const recorded = await (async () => {
  const session = new Session({ n: 5 }, 'fuzz');
  const toServer: { to: string; name: (typeof CLIENT_MESSAGES)[number]; signed: Signed }[] = [];
  session.toServer = (message) => {
    toServer.push(message as (typeof toServer)[number]);
    return message.signed;
  };
  await session.run();
  const toClients = session.effects.flatMap((e) => (e.kind === 'send' ? [e] : []));
  return { toServer, toClients, events: session.events, session };
})();

describe('decoders', () => {
  const all = [...recorded.toServer, ...recorded.toClients];
  const everyName: readonly MessageName[] = [...SERVER_MESSAGES, ...CLIENT_MESSAGES];

  test('anything at all is a message or a coded error', () => {
    fc.assert(
      fc.property(fc.constantFrom(...everyName), anything, (name, value) => {
        onlyCoded('SECAGG_', () => parseBody(name, value));
        onlyCoded('SECAGG_', () => parseBody(name, { body: value, signature: 'A'.repeat(88) }));
      }),
      { numRuns: cases(1000) },
    );
  });

  test('a real message changed in one place is a message or a coded error', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...all),
        fc.constantFrom(...everyName),
        fc.boolean(),
        paths,
        anything,
        (message, other, own, path, value) => {
          onlyCoded('SECAGG_', () => parseBody(own ? message.name : other, mutated(message.signed, path, value)));
        },
      ),
      { numRuns: cases(2000) },
    );
  });
});

describe('the server', () => {
  const hostile = fc.record({
    at: fc.nat(100),
    message: fc.constantFrom(...recorded.toServer),
    path: paths,
    value: anything,
    resign: fc.boolean(),
    from: fc.constantFrom(...names(5)),
  });
  const noise = fc.oneof(
    hostile.map((h) => ({ ...h, kind: 'hostile' as const })),
    fc.record({ at: fc.nat(100), kind: fc.constant('deadline' as const), phase: fc.constantFrom(...PHASES) }),
    fc.record({ at: fc.nat(100), kind: fc.constant('gone' as const), from: fc.constantFrom(...names(5), 'stranger') }),
    fc.record({ at: fc.nat(100), kind: fc.constant('again' as const), index: fc.nat(100) }),
  );

  function asEvent(item: typeof noise extends fc.Arbitrary<infer T> ? T : never): ServerEvent {
    if (item.kind === 'deadline') return { kind: 'deadline', phase: item.phase };
    if (item.kind === 'gone') return { kind: 'gone', from: item.from };
    if (item.kind === 'again') return recorded.events[item.index % recorded.events.length] as ServerEvent;
    let signed = mutated(item.message.signed, item.path, item.value);
    const body = (signed as Signed | null)?.body;
    if (item.resign && body !== undefined) {
      onlyCoded('', () => {
        signed = signMessage(item.message.name, body as never, identity(item.from));
      });
    }
    const { name } = item.message;
    return name === 'masked'
      ? { kind: 'uploaded', from: item.from, manifest: signed }
      : { kind: 'message', from: item.from, name, signed };
  }

  test('any sequence of events is taken without an exception, and replays to the same effects', () => {
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 12 }), (items) => {
        const events = [...recorded.events];
        for (const item of items) events.splice(item.at % (events.length + 1), 0, asEvent(item));
        const fold = (): unknown[] => {
          let { server } = new Session({ n: 5 }, 'fuzz');
          return events.flatMap((event) => {
            const step = serverReduce(server, event);
            server = step.state;
            return [...step.effects];
          });
        };
        const effects = fold() as { kind: string }[];
        expect(effects.filter((e) => e.kind === 'finished' || e.kind === 'abort').length).toBeLessThanOrEqual(1);
        expect(fold()).toEqual(effects);
      }),
      { numRuns: cases(40) },
    );
  });

  test('with clients that send garbage, the sum is right or the session is aborted with a code', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            client: fc.nat(5),
            name: fc.constantFrom(...CLIENT_MESSAGES),
            path: paths,
            value: fc.jsonValue(),
            resign: fc.boolean(),
          }),
          { maxLength: 3 },
        ),
        async (faults) => {
          const session = new Session({ n: 6 }, 'garbage');
          session.toServer = ({ to, name, signed }) => {
            const fault = faults.find((f) => names(6)[f.client] === to && f.name === name);
            if (fault === undefined) return signed;
            const body = mutated(signed.body, fault.path, fault.value);
            return fault.resign ? signMessage(fault.name, body as never, identity(to)) : { ...signed, body };
          };
          await session.run();
          expect(session.outcome).toBeDefined();
          if (session.outcome === 'finished') expect(session.accumulator).toEqual(session.expectedSum());
          else expect(session.abort?.code).toMatch(/^SECAGG_/);
          const innocent = names(6).filter((id) => !faults.some((f) => names(6)[f.client] === id));
          for (const id of innocent) expect(session.ejections.has(id)).toBe(false);
        },
      ),
      { numRuns: cases(30) },
    );
  });
});

describe('the client', () => {
  test('whatever the server signs, it goes on or aborts with a code, and answers for at most one survivor set', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            at: fc.nat(20),
            message: fc.constantFrom(...recorded.toClients.filter((m) => m.name !== 'config')),
            path: paths,
            value: fc.jsonValue(),
          }),
          { maxLength: 6 },
        ),
        async (faults) => {
          const session = new Session({ n: 5 }, 'fuzz');
          session.toClient = ({ to, name, signed }) => {
            const client = session.clients.get(to);
            for (const fault of client === undefined
              ? []
              : faults.filter((f) => f.message.name === name && f.message.to === to)) {
              const body = mutated(fault.message.signed.body, fault.path, fault.value);
              const forged = signMessage(fault.message.name, body as never, serverSigner);
              const step = clientReduce((client as NonNullable<typeof client>).state, {
                kind: 'message',
                name: fault.message.name,
                signed: forged,
              });
              if (step.state.progress.step === 'aborted')
                expect(step.effects.every((e) => e.kind === 'abort' || e.kind === 'send')).toBe(true);
              (client as NonNullable<typeof client>).state = step.state;
            }
            return signed;
          };
          await session.run();
          for (const { sent, records } of session.clients.values()) {
            expect(
              new Set(sent.filter((m) => m.name === 'consistent').map((m) => m.signed.signature)).size,
            ).toBeLessThanOrEqual(1);
            expect(
              new Set(sent.filter((m) => m.name === 'unmask').map((m) => m.signed.signature)).size,
            ).toBeLessThanOrEqual(1);
            expect(records.filter((r) => r.step === 'signed').length).toBeLessThanOrEqual(1);
          }
        },
      ),
      { numRuns: cases(30) },
    );
  });
});

describe('n = 20: random drops', () => {
  const stages: readonly DropStage[] = ['advertise', 'shares', 'upload', 'masked', 'consistent', 'unmask'];

  test('up to n − t clients vanish anywhere and the sum is exact', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(names(20), { maxLength: 9 }),
        fc.array(fc.constantFrom(...stages), { minLength: 9, maxLength: 9 }),
        async (gone, when) => {
          const session = new Session({ n: 20 }, 'twenty');
          gone.forEach((id, i) => {
            session.drops.set(id, when[i] as DropStage);
          });
          await session.run();
          expect(session.outcome).toBe('finished');
          expect(session.accumulator).toEqual(session.expectedSum());
        },
      ),
      { numRuns: cases(6) },
    );
  });
});

test('Shamir: any t of n shares give the secret, for any n, t and secret', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 40 }),
      fc.nat(),
      fc.string(),
      (secret, count, pick, seed) => {
        const threshold = 1 + (pick % count);
        const shares = splitSecret(secret, count, threshold, seededRng(seed)).map((share, j) => ({ x: j + 1, share }));
        const some = shares.filter((_, i) => (i + pick) % count < threshold);
        expect(combineShares(some)).toEqual(secret);
      },
    ),
    { numRuns: cases(200) },
  );
});
