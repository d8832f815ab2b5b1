import { describe, expect, test, vi } from 'vitest';
import { serverReduce, startServer } from '../../../shared/secagg/server.ts';
import {
  type DropStage,
  effectsDigest,
  names,
  rosterOf,
  Session,
  serverSigner,
  subsets,
} from '../../support/secagg-session.ts';

/** Six clients in one process verify the same signatures six times; here each is verified once. */
vi.mock('../../../shared/core/signing.ts', async (original) => {
  const { memoSigning } = await import('../../support/memo-signing.ts');
  return memoSigning(await original());
});

describe('a session in which everybody stays', () => {
  test.each([
    { n: 5 },
    { n: 5, colluders: 1 },
    { n: 6, colluders: 2 },
    { n: 9, dimension: 1000, chunkBytes: 512 },
    { n: 20, dimension: 1 },
  ])('opens the exact sum of everybody: %o', async (options) => {
    const session = await new Session(options).run();
    expect(session.outcome).toBe('finished');
    expect(session.survivors).toEqual(names(options.n));
    expect(session.accumulator).toEqual(session.expectedSum());
    expect([...session.clients.values()].every((c) => c.done && c.code === undefined)).toBe(true);
  });

  test('a vector longer than one piece of keystream', async () => {
    const session = await new Session({ n: 5, dimension: 600_001, chunkBytes: 1 << 20 }).run();
    expect(session.accumulator).toEqual(session.expectedSum());
  });

  test('every client leaves three things on stable storage before it goes on, and no secret', async () => {
    const session = await new Session({ n: 5 }).run();
    for (const { records } of session.clients.values()) {
      expect(records.map((r) => r.step)).toEqual(['joined', 'masked', 'signed', 'answered']);
      expect(Object.keys(records[0] as object).sort()).toEqual([
        'attempt',
        'round',
        'run',
        'session',
        'step',
        'survivorsHash',
      ]);
    }
  });

  test('the same events give the same effects and the same state (replay after a crash)', async () => {
    const session = new Session({ n: 6 });
    session.drops.set(names(6)[2] as string, 'masked');
    await session.run();
    const replay = startServer({ config: session.config, signer: serverSigner, roster: rosterOf(names(6)) });
    let state = replay.state;
    const effects = [...replay.effects];
    for (const event of session.events) {
      const step = serverReduce(state, event);
      state = step.state;
      effects.push(...step.effects);
    }
    expect(effectsDigest(effects)).toBe(effectsDigest(session.effects));
    expect(state.phase).toBe('finished');
    expect(state.group?.sidHex).toBe(session.server.group?.sidHex);
  });
});

const stages: readonly DropStage[] = ['advertise', 'shares', 'upload', 'masked', 'consistent', 'unmask'];

describe('n = 6, t = 4: any drop at any stage', () => {
  const everyDrop = [1, 2].flatMap((size) => subsets(names(6), size));
  test.each(stages)('every subset of up to n − t clients gone before %s', async (stage) => {
    for (const gone of everyDrop) {
      const session = new Session({ n: 6 });
      for (const id of gone) session.drops.set(id, stage);
      await session.run();
      expect(session.outcome, gone.join()).toBe('finished');
      expect(session.accumulator, gone.join()).toEqual(session.expectedSum());
      const inSum = stage === 'consistent' || stage === 'unmask';
      expect(session.survivors).toEqual(inSum ? names(6) : names(6).filter((id) => !gone.includes(id)));
    }
  });

  test('two clients gone at two different stages, every pair of stages', async () => {
    for (const first of stages) {
      for (const second of stages) {
        const session = new Session({ n: 6 });
        session.drops.set('client-002', first).set('client-005', second);
        await session.run();
        expect(session.outcome, `${first} and ${second}`).toBe('finished');
        expect(session.accumulator).toEqual(session.expectedSum());
      }
    }
  });

  test.each(stages)('three clients gone before %s: aborted with a code, nothing opened', async (stage) => {
    for (const gone of subsets(names(6), 3)) {
      const session = new Session({ n: 6 });
      for (const id of gone) session.drops.set(id, stage);
      await session.run();
      expect(session.outcome).toBe('aborted');
      expect(session.abort?.code).toBe('SECAGG_COHORT_TOO_SMALL');
      expect(session.effects.some((e) => e.kind === 'unmask')).toBe(false);
    }
  });

  test('a client that is silent rather than gone costs one deadline', async () => {
    for (const stage of ['advertise', 'shares', 'masked', 'consistent', 'unmask']) {
      const session = new Session({ n: 6 });
      session.toServer = ({ to, name, signed }) => (to === 'client-004' && name === stage ? undefined : signed);
      await session.run();
      expect(session.outcome, stage).toBe('finished');
      expect(session.accumulator).toEqual(session.expectedSum());
      const late = stage === 'unmask' ? undefined : 'SECAGG_DEADLINE';
      expect(session.ejections.get('client-004')).toBe(late);
    }
  });
});
