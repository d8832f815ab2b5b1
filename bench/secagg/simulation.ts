import { installNativeCrypto } from '../../shared/core/native.ts';
import { opensslCrypto } from '../../shared/node/native-crypto.ts';
import { agreeOnce, type Simulated, simulate } from '../../test/support/simulated-session.ts';
import type { BenchRow } from '../row.ts';
import { atMost, spent } from './measure.ts';
import { mostResident } from './most-resident.ts';

export async function simulationRows(clients: number, dimension: number): Promise<BenchRow[]> {
  let done: Simulated | undefined;
  installNativeCrypto(agreeOnce(opensslCrypto));
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
    atMost(`simulation: most memory, ${label}`, mostResident() / 2 ** 20, 'MiB', null),
    atMost(
      `simulation: sum of ${session.survivors.length} (${gone} gone before it) differs: 0 no, 1 yes`,
      exact ? 0 : 1,
      '',
      0,
    ),
  ];
}
