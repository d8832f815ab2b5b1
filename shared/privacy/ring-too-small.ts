import { RING_BITS } from '../kernels/packing.ts';
import { privacyError } from './errors.ts';
import type { MechanismDemand } from './mechanism-demand.ts';

/** The refusal, with the most that each single change would allow. @param fits - whether a demand is allowed */
export function ringTooSmall(demand: MechanismDemand, fits: (demand: MechanismDemand) => boolean): Error {
  const { ringBits, cohortMax } = demand;
  const bits = RING_BITS.find((b) => b > ringBits && fits({ ...demand, ringBits: b }));
  const dimension = halved(demand.dimension, 1, (d) => fits({ ...demand, dimension: Math.floor(d) }));
  const noiseMultiplier = halved(demand.noiseMultiplier, 2e-3, (z) => fits({ ...demand, noiseMultiplier: z }));
  const ways = [
    ...(bits === undefined ? [] : [`ringBits ${bits}`]),
    ...(dimension === undefined ? [] : [`at most ${Math.floor(dimension)} elements`]),
    ...(noiseMultiplier === undefined ? [] : [`a noise multiplier of at most ${noiseMultiplier.toPrecision(2)}`]),
  ];
  return privacyError(
    'PRIVACY_RING_WRAPS',
    `${ringBits} bits do not hold the sum of ${cohortMax} clients of ${demand.dimension} elements with noise multiplier ${demand.noiseMultiplier.toPrecision(3)}: it would wrap more often than once in 1e9 rounds, or be rounded too coarsely`,
    { where: 'ringBits', fix: ways.length > 0 ? `Allowed: ${ways.join(', or ')}.` : 'Use a smaller cohort.' },
  );
}

/** The first of `from`/2, `from`/4, …, not below `least`, that is allowed. */
function halved(from: number, least: number, allowed: (x: number) => boolean): number | undefined {
  for (let x = from / 2; x >= least; x /= 2) if (allowed(x)) return x;
  return undefined;
}
