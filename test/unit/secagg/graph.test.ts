import { describe, expect, test, vi } from 'vitest';
import { sha256 } from '../../../shared/core/hash.ts';
import { completeGraph, type Graph, hararyGraph, sessionGraph } from '../../../shared/secagg/graph.ts';
import { searchGraph } from '../../../shared/secagg/graph-search.ts';
import { sharingParameters } from '../../../shared/secagg/parameters.ts';
import { type DropStage, names, Session } from '../../support/secagg-session.ts';

vi.mock('../../../shared/core/signing.ts', async (original) => {
  const { memoSigning } = await import('../../support/memo-signing.ts');
  return memoSigning(await original());
});

const sid = sha256(Uint8Array.of(1));

function reachable(graph: Graph): number {
  const seen = new Set([0]);
  const open = [0];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const next of graph.neighbours(at)) {
      if (!seen.has(next)) open.push(next);
      seen.add(next);
    }
  }
  return seen.size;
}

describe('graphs', () => {
  test.each([
    [9, 4],
    [100, 32],
    [1001, 150],
  ])('Harary graph of %i clients: regular of degree %i, mutual, connected, without loops', (size, degree) => {
    const graph = hararyGraph(size, degree, sid);
    const sets = Array.from({ length: size }, (_, position) => new Set(graph.neighbours(position)));
    expect(sets.every((set) => set.size === degree)).toBe(true);
    expect(sets.every((set, position) => !set.has(position))).toBe(true);
    expect(sets.every((set, position) => [...set].every((other) => sets[other]?.has(position)))).toBe(true);
    expect(graph.holders(3)).toEqual([...graph.neighbours(3), 3].sort((x, y) => x - y));
    for (const position of [0, 3, size - 1])
      expect(graph.holders(position).map((h) => graph.shareOf(position, h) - 1)).toEqual(
        graph.holders(position).map((_, j) => j),
      );
    expect(reachable(graph)).toBe(size);
  });

  test('the same session gives the same graph, another session another', () => {
    const ties = (graph: Graph): string =>
      JSON.stringify(Array.from({ length: graph.size }, (_, i) => graph.neighbours(i)));
    expect(ties(hararyGraph(50, 8, sid))).toBe(ties(hararyGraph(50, 8, sid)));
    expect(ties(hararyGraph(50, 8, sid))).not.toBe(ties(hararyGraph(50, 8, sha256(Uint8Array.of(2)))));
  });

  test('a degree that reaches everybody is the complete graph', () => {
    expect(sessionGraph(6, 5, sid).holders(3)).toEqual(completeGraph(6).holders(3));
    expect(sessionGraph(20, 32, sid).neighbours(3)).toHaveLength(19);
    expect(
      completeGraph(6)
        .holders(3)
        .map((h) => completeGraph(6).shareOf(3, h)),
    ).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

/** C(n, k) exactly. */
function choose(n: number, k: number): bigint {
  if (k < 0 || k > n) return 0n;
  let out = 1n;
  for (let i = 1; i <= k; i++) out = (out * BigInt(n - k + i)) / BigInt(i);
  return out;
}

/** n · P[X ≥ least] as an exact fraction, X hypergeometric: `draws` of `others`, of which `marked` count. */
function unionTail(n: number, others: number, marked: number, draws: number, least: number): [bigint, bigint] {
  let sum = 0n;
  for (let x = Math.max(0, least); x <= draws; x++) sum += choose(marked, x) * choose(others - marked, draws - x);
  return [sum * BigInt(n), choose(others, draws)];
}

describe('degree and threshold', () => {
  test.each([
    [65, 6, 6, 28, 22],
    [100, 10, 10, 44, 34],
    [1000, 100, 100, 172, 127],
    [200, 20, 40, 124, 84],
  ])(
    'n = %i, T_c = %i, %i drops: %i/%i keeps its promise, in exact arithmetic',
    (clients, colluders, drops, degree, threshold) => {
      expect(searchGraph({ clients, colluders, drops })).toEqual({ degree, threshold });
      // The server may have the session be of the fewest: colluders stand densest there.
      const others = clients - drops - 1;
      const [attack, of] = unionTail(clients, others, colluders, degree, 2 * threshold - degree - 1);
      expect(attack << 100n <= of).toBe(true);
      const half = degree / 2;
      const [cut, ofCuts] = unionTail(clients, others, colluders, half, threshold - half - 1);
      expect((cut * cut) << 99n <= ofCuts * ofCuts).toBe(true);
      const [failure, all] = unionTail(clients, clients - 1, drops, degree, degree - threshold + 1);
      expect(failure << 30n <= all).toBe(true);
    },
  );

  test('a demand that no degree meets is refused', () => {
    expect(searchGraph({ clients: 1000, colluders: 400, drops: 300 })).toBeUndefined();
    expect(() => sharingParameters({ cohortSize: 1000, colluders: 400, minimumCohort: 700 })).toThrow(
      expect.objectContaining({ code: 'SECAGG_PARAMETERS' }),
    );
    expect(sharingParameters({ cohortSize: 100, colluders: 10, minimumCohort: 90 })).toEqual({
      degree: 44,
      threshold: 34,
    });
  });
});

describe('a session on the k-regular graph', () => {
  test('70 clients, six of them gone at six stages: the exact sum', async () => {
    const stages: readonly DropStage[] = ['advertise', 'shares', 'upload', 'masked', 'consistent', 'unmask'];
    const session = new Session({ n: 70, colluders: 5, minimumCohort: 64 });
    expect(session.config.degree).toBeLessThan(69);
    stages.forEach((stage, i) => {
      session.drops.set(names(70)[i * 11] as string, stage);
    });
    await session.run();
    expect(session.outcome).toBe('finished');
    expect(session.survivors).toHaveLength(66);
    expect(session.accumulator).toEqual(session.expectedSum());
    expect([...session.clients.values()].filter((c) => c.code !== undefined)).toEqual([]);
  });
});
