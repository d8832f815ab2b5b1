import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openMongoStore } from '../../coordinator/store/mongo/store.ts';
import { equalBytes } from '../../shared/core/bytes.ts';
import { errorCode } from '../../shared/core/errors.ts';
import { type Rng, seededRng, uniformInt } from '../../shared/core/rng.ts';
import { BudgetProjection } from '../../shared/ledger/budget.ts';
import { BudgetBook } from '../../shared/ledger/budget-book.ts';
import { budgetProblem } from '../../shared/ledger/budget-rules.ts';
import type { Durable } from '../../shared/ledger/durable.ts';
import type { EntryInput, EntryKind } from '../../shared/ledger/entries.ts';
import { type Ledger, openLedger } from '../../shared/ledger/log.ts';
import { openSqliteStore } from '../../shared/node/store/sqlite.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import type { Store } from '../../shared/store/port.ts';
import { mailBudget, opening, release, testPlanHash, testSigner, tickingClock } from '../support/ledger.ts';
import { type MongoForTests, mongoForTests } from '../support/mongo.ts';

/** TACIT_PROPERTY_SCALE=10 tries ten times as many interleavings. ε in tenths, so that this test adds integers where the ledger adds decimals. */
const tenths = (n: number): string => `${Math.floor(n / 10)}.${n % 10}`;
const BUDGET = 12;

type Operation =
  | { readonly do: 'run'; readonly epsilon: number; readonly revealed: boolean; readonly leak: boolean }
  | { readonly do: 'lower'; readonly epsilon: number }
  | { readonly do: 'raise'; readonly by: number };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('run' as const),
      epsilon: fc.integer({ min: 1, max: 12 }),
      revealed: fc.boolean(),
      leak: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lower' as const), epsilon: fc.integer({ min: 5, max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('raise' as const), by: fc.integer({ min: 1, max: 10 }) }) },
);

class Crash extends Error {}
const tally = { interleavings: 0, crashes: 0, entries: 0 };

/** A store under a process that may die before or after any append, and is scheduled at random. */
function mortal(store: Store, rng: Rng): Store {
  const wait = async (): Promise<void> => {
    for (let turns = uniformInt(rng, 4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    ...store,
    async read(...args) {
      await wait();
      return store.read(...args);
    },
    async append(...args) {
      await wait();
      const fate = uniformInt(rng, 12);
      if (fate === 0) throw new Crash('before the append');
      const stored = await store.append(...args);
      if (fate === 1) throw new Crash('after the append');
      return stored;
    },
  };
}

/** A coordinator: keeps its view until it dies, then starts again with nothing but the store and tries the same again. */
class Coordinator {
  readonly #store: Store;
  readonly #rng: Rng;
  #book: BudgetBook | undefined;

  constructor(store: Store, seed: string) {
    this.#store = store;
    this.#rng = seededRng(seed);
  }

  async run<T>(body: (book: BudgetBook) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        this.#book ??= new BudgetBook(await open(mortal(this.#store, this.#rng)));
        return await body(this.#book);
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
        this.#book = undefined;
        tally.crashes++;
      }
    }
  }
}

function open(store: Store): Promise<Ledger> {
  return openLedger({
    store,
    stream: 'ledger',
    origin: 'tacit.test/l',
    signer: testSigner('log'),
    clock: tickingClock(),
  });
}

const codesOfRefusal = ['BUDGET_EXCEEDED', 'BUDGET_STATE', 'RESERVATION_CLOSED'];

async function perform(
  coordinator: Coordinator,
  name: string,
  operations: readonly Operation[],
  acknowledged: Durable<EntryKind>[],
): Promise<void> {
  const attempt = async (body: (book: BudgetBook) => Promise<Durable<EntryKind>>): Promise<boolean> => {
    try {
      acknowledged.push(await coordinator.run(body));
      return true;
    } catch (error) {
      if (!codesOfRefusal.includes(errorCode(error) ?? '')) throw error;
      return false;
    }
  };
  for (const [n, op] of operations.entries()) {
    const id = `${name}-${n}`;
    if (op.do === 'lower') {
      await attempt((book) =>
        book.lower(
          { kind: 'budget.lower', budget: mailBudget, epsilon: tenths(op.epsilon), delta: '0.001', reason: 'test' },
          id,
        ),
      );
    } else if (op.do === 'raise') {
      await attempt(async (book) =>
        book.open(opening(tenths(BUDGET + op.by + n), { revision: await book.revision(mailBudget), delta: '0.001' })),
      );
    } else {
      const held = await attempt((book) =>
        book.reserve({
          kind: 'reserve',
          reservation: id,
          run: id,
          planHash: testPlanHash,
          budgets: [mailBudget],
          epsilon: tenths(op.epsilon),
          delta: '0.000001',
        }),
      );
      if (!held) continue;
      if (op.revealed) await attempt((book) => book.append({ ...release(id, 1, id), run: id }, `release/${id}`));
      if (!op.leak) await attempt((book) => book.close(ending(id, op)));
    }
  }
}

function ending(
  id: string,
  { revealed, epsilon }: { readonly revealed: boolean; readonly epsilon: number },
): EntryInput<'plan.close'> {
  return {
    kind: 'plan.close',
    run: id,
    reservation: id,
    outcome: 'finished',
    reason: null,
    revealed,
    epsilon: revealed ? tenths(epsilon) : '0',
    delta: revealed ? '0.000001' : '0',
    roundsReleased: revealed ? 1 : 0,
    modelHash: null,
  };
}

/** Walks the stored entries with integers only and returns how often a reservation went over the budget of its moment. */
function overspends(entries: readonly { readonly entry: EntryInput }[]): number {
  const inTenths = (text: string): number => Math.round(Number(text) * 10);
  const held = new Map<string, number>();
  let [total, found] = [0, 0];
  for (const { entry } of entries) {
    if (entry.kind === 'budget.open') total = inTenths(entry.opening.epsilon);
    if (entry.kind === 'budget.lower') total = inTenths(entry.epsilon);
    if (entry.kind === 'plan.close' && !entry.revealed) held.delete(entry.reservation as string);
    if (entry.kind !== 'reserve') continue;
    held.set(entry.reservation, inTenths(entry.epsilon));
    if ([...held.values()].reduce((a, b) => a + b, 0) > total) found++;
  }
  return found;
}

function neverOverspends(
  name: string,
  runs: number,
  make: () => Promise<{ open(): Promise<Store>; dispose(): Promise<void> } | { readonly skip: string }>,
): void {
  describe(name, () => {
    it('three coordinators that die anywhere never overspend and lose nothing that was acknowledged', {
      timeout: 600_000,
    }, async (context) => {
      const operations = fc.array(fc.array(operation, { minLength: 1, maxLength: 5 }), { minLength: 3, maxLength: 3 });
      const start = { ...tally };
      const probe = await make();
      if ('skip' in probe) return context.skip(probe.skip);
      await probe.dispose();
      await fc.assert(
        fc.asyncProperty(operations, fc.integer(), async (lists, seed) => {
          const made = await make();
          if ('skip' in made) throw new Error(made.skip);
          const [a, b] = [await made.open(), await made.open()];
          try {
            const coordinators = [a, b, a].map((store, i) => new Coordinator(store, `${i} ${seed}`));
            const [first] = coordinators as [Coordinator];
            await first.run((book) => book.open(opening(tenths(BUDGET), { delta: '0.001' })));
            const acknowledged: Durable<EntryKind>[] = [];
            await Promise.all(coordinators.map((c, i) => perform(c, `c${i}`, lists[i] ?? [], acknowledged)));
            const ledger = await open(a);
            const entries = await ledger.entries(0);
            expect(overspends(entries)).toBe(0);
            for (const { index, leafHash } of acknowledged)
              expect(equalBytes((entries[index] as (typeof entries)[number]).leafHash, leafHash)).toBe(true);
            const state = new BudgetProjection();
            for (const { entry } of entries) {
              expect(budgetProblem(state, entry)).toBeUndefined();
              state.apply(entry);
            }
            tally.interleavings++;
            tally.entries += entries.length;
          } finally {
            await a.close();
            if (b !== a) await b.close();
            await made.dispose();
          }
        }),
        { numRuns: Math.ceil(runs * Number(process.env.TACIT_PROPERTY_SCALE ?? 1)) },
      );
      const crashes = tally.crashes - start.crashes;
      console.log(
        `${name}: ${tally.interleavings - start.interleavings} interleavings, ${crashes} crashes, ${tally.entries - start.entries} entries, 0 overspends, 0 lost`,
      );
      expect(crashes).toBeGreaterThan(0);
    });
  });
}

neverOverspends('memory', 60, async () => {
  const store = createMemoryStore();
  return { open: async () => store, dispose: async () => {} };
});

neverOverspends('SQLite', 15, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tacit-budget-'));
  return { open: () => openSqliteStore(dir), dispose: () => rm(dir, { recursive: true, force: true }) };
});

let server: MongoForTests;
beforeAll(async () => {
  server = await mongoForTests();
}, 600_000);
afterAll(async () => {
  if ('uri' in server) await server.stop();
});

let databases = 0;
neverOverspends('MongoDB', 4, async () => {
  if ('skip' in server) return server;
  const uri = server.uri.replace(/\/([^/?]+)(\?|$)/, `/$1_${databases++}$2`);
  return { open: () => openMongoStore(uri), dispose: async () => {} };
});
