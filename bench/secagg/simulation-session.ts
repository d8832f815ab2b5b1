import { installNativeCrypto } from '../../shared/core/native.ts';
import { opensslCrypto } from '../../shared/node/native-crypto.ts';
import { agreeOnce, simulate } from '../../test/support/simulated-session.ts';
import { spent } from './measure.ts';
import { mostResident } from './most-resident.ts';

/** What a simulated session prints of itself. */
export interface SimulatedSession {
  readonly cpu: number;
  readonly wall: number;
  readonly serverSeconds: number;
  readonly exact: boolean;
  readonly degree: number;
  readonly threshold: number;
  readonly drops: number;
  readonly survivors: number;
  /** Bytes. */
  readonly held: number;
}

const [clients, dimension] = process.argv.slice(2).map(Number) as [number, number];
installNativeCrypto(agreeOnce(opensslCrypto));
let done: Awaited<ReturnType<typeof simulate>> | undefined;
const { cpu, wall } = await spent(async () => {
  done = await simulate(clients, dimension);
});
const { session, exact, serverSeconds } = done as NonNullable<typeof done>;
const { degree, threshold } = session.config;
const [drops, survivors] = [session.drops.size, session.survivors.length];
const printed = { cpu, wall, serverSeconds, exact, degree, threshold, drops, survivors, held: mostResident() };
console.log(JSON.stringify(printed satisfies SimulatedSession));
