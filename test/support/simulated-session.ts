import type { NativeCrypto } from '../../shared/core/native.ts';
import { openOnce } from './open-once.ts';
import { type DropStage, names, Session } from './secagg-session.ts';

const STAGES: readonly DropStage[] = ['advertise', 'shares', 'upload', 'masked', 'consistent', 'unmask'];

export interface Simulated {
  readonly session: Session;
  /** The opened sum is, number by number, that of the survivors' inputs and of the noise that it needs. */
  readonly exact: boolean;
  /** Processor time inside the server's reducer. */
  readonly serverSeconds: number;
}

const BASE = Uint8Array.of(9, ...new Uint8Array(31));
const MOST_AGREED = 1_000_000;
const nameOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');

/** Both ends of a pair agree on one secret, each of them more than once; where all are one process OpenSSL computes it once. */
export function agreeOnce(native: NativeCrypto): NativeCrypto {
  const publicOf = new Map<string, string>();
  const agreed = new Map<string, Uint8Array>();
  return {
    ...native,
    x25519(secretKey, publicKey) {
      const secret = nameOf(secretKey);
      let own = publicOf.get(secret);
      if (own === undefined) {
        const point = native.x25519(secretKey, BASE);
        own = nameOf(point);
        publicOf.set(secret, own);
        if (nameOf(publicKey) === nameOf(BASE)) return point;
      }
      const other = nameOf(publicKey);
      const pair = own < other ? own + other : other + own;
      const shared = agreed.get(pair) ?? native.x25519(secretKey, publicKey);
      if (agreed.size < MOST_AGREED) agreed.set(pair, shared);
      return shared.slice();
    },
  };
}

/** A whole session in one process on the Harary graph: every tenth client vanishes, at each stage as many. */
export async function simulate(clients: number, dimension: number): Promise<Simulated> {
  const session = new Session({ n: clients, dimension, chunkBytes: 4 * dimension });
  for (const [i, id] of names(clients).entries())
    if (i % 10 === 3) session.drops.set(id, STAGES[Math.floor(i / 10) % STAGES.length] as DropStage);
  session.open = openOnce();
  session.remembers = false;
  let serverSeconds = 0;
  const reduce = session.event.bind(session);
  session.event = (event) => {
    const start = performance.now();
    reduce(event);
    serverSeconds += (performance.now() - start) / 1000;
  };
  await session.run();
  const expected = session.expectedSum();
  const exact = session.outcome === 'finished' && session.accumulator.every((word, i) => word === expected[i]);
  return { session, exact, serverSeconds };
}
