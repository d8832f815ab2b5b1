import { installNativeCrypto, type NativeCrypto } from '../../shared/core/native.ts';
import { opensslCrypto } from '../../shared/node/native-crypto.ts';
import { type DropStage, names, Session } from '../../test/support/secagg-session.ts';
import type { BenchRow } from '../row.ts';
import { atMost, spent } from './measure.ts';

const STAGES: readonly DropStage[] = ['advertise', 'shares', 'upload', 'masked', 'consistent', 'unmask'];

export interface Simulated {
  readonly session: Session;
  /** The opened sum is, number by number, that of the survivors' inputs and of the noise that it needs. */
  readonly exact: boolean;
  /** Processor time inside the server's reducer. */
  readonly serverSeconds: number;
}

/**
 * Every client checks every other's signature, and here all clients are one process: each signature goes through OpenSSL
 * once, and the verdict is kept.
 */
function verifyOnce(native: NativeCrypto): NativeCrypto {
  const verdicts = new Map<string, boolean>();
  return {
    ...native,
    verifyEd25519(...parts) {
      const name = parts
        .map((part) => Buffer.from(part.buffer, part.byteOffset, part.length).toString('latin1'))
        .join('');
      const verdict = verdicts.get(name) ?? native.verifyEd25519(...parts);
      verdicts.set(name, verdict);
      return verdict;
    },
  };
}

/** A whole session in one process on the Harary graph: every tenth client vanishes, at each stage as many. */
export async function simulate(clients: number, dimension: number): Promise<Simulated> {
  const session = new Session({ n: clients, dimension, chunkBytes: 4 * dimension });
  for (const [i, id] of names(clients).entries())
    if (i % 10 === 3) session.drops.set(id, STAGES[Math.floor(i / 10) % STAGES.length] as DropStage);
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

export async function simulationRows(clients: number, dimension: number): Promise<BenchRow[]> {
  let done: Simulated | undefined;
  installNativeCrypto(verifyOnce(opensslCrypto));
  const { cpu, wall } = await spent(async () => {
    done = await simulate(clients, dimension);
  });
  installNativeCrypto(opensslCrypto);
  const { exact, serverSeconds, session } = done as Simulated;
  const { degree, threshold } = session.config;
  const label = `${clients} clients, d = ${dimension}, ${session.drops.size} gone over six stages`;
  const gone = clients - session.survivors.length;
  return [
    atMost(`simulation: ${label}, degree ${degree}, threshold ${threshold}, processor time`, cpu, 's', 60),
    atMost(`simulation: ${label}, time on the wall`, wall, 's', null),
    atMost(`simulation: server's reducer, ${label}`, serverSeconds, 's', null),
    atMost(
      `simulation: sum of ${session.survivors.length} (${gone} gone before it) differs: 0 no, 1 yes`,
      exact ? 0 : 1,
      '',
      0,
    ),
  ];
}
