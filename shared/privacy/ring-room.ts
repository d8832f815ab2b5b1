import type { RingBits } from '../kernels/packing.ts';
import { LEAST_COMPONENT_SIGMA, MOST_SURPLUS_COMPONENTS } from './noise-ladder.ts';
import { rotationBlocks } from './rotation-blocks.ts';

/** Greatest allowed chance that any element of a round's sum leaves the ring. */
export const WRAP_PROBABILITY = 1e-9;

/** What decides how much a ring holds. */
export interface RingDemand {
  readonly dimension: number;
  readonly cohortMax: number;
  readonly ringBits: RingBits;
}

/** True for rings that are too small to hold a client's element as it is: the sum is spread over all elements first. */
export function isRotated({ ringBits }: Pick<RingDemand, 'ringBits'>): boolean {
  return ringBits < 32;
}

/**
 * Ring units that each client's own sum may take without the total leaving the ring but with the allowed probability: an
 * element of it, and in rotated rings the L2 norm of a block of it. Rounding adds 1 for each client.
 *
 * Rotated, element j of the sum is Σ ±x_i/√m over a block of the clients' total x, the signs being uniform and independent of
 * x, and so sub-Gaussian of variance ‖x‖²/m ≤ (n·room)²/m (Hoeffding); discrete Gaussian noise is sub-Gaussian of its σ²
 * (Canonne, Kamath, Steinke, NeurIPS 2020). Both together exceed z·√(both variances) in any of d elements with a probability of
 * at most 2d·e^{−z²/2}. Elements that are rotated twice have ‖x‖ unchanged by the first rotation, and the second one's own signs.
 */
export function roomPerClient(demand: RingDemand, localSigma: number): number {
  const { dimension, cohortMax, ringBits } = demand;
  const half = 2 ** (ringBits - 1) - 1;
  if (!isRotated(demand)) return (half - noiseReach(demand, localSigma)) / cohortMax - 1;
  const square = ((half - cohortMax) / tail(demand)) ** 2 - noiseVariance(demand, localSigma);
  if (half < cohortMax || square < 0) return 0;
  return Math.sqrt(square * rotationBlocks(dimension).length) / cohortMax;
}

/** z·σ of the sum's noise that no element exceeds but for the allowed probability. */
export function noiseReach(demand: RingDemand, localSigma: number): number {
  return tail(demand) * Math.sqrt(noiseVariance(demand, localSigma));
}

/** z with 2d·e^{−z²/2} ≤ the allowed probability. */
function tail({ dimension }: RingDemand): number {
  return Math.sqrt(2 * Math.log((2 * dimension) / WRAP_PROBABILITY));
}

/** Of the sum, surplus included; components that were raised to the least σ add to it. */
function noiseVariance({ cohortMax }: RingDemand, localSigma: number): number {
  return (localSigma ** 2 + (1 + MOST_SURPLUS_COMPONENTS) * LEAST_COMPONENT_SIGMA ** 2) * cohortMax;
}
