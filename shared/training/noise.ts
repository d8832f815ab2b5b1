import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import { decode, type MechanismParameters, privatise } from '../privacy/mechanism.ts';
import type { TrainingErrorCode } from './errors.ts';

/** A clipped sum and how many examples it is over. */
export interface ClippedSum {
  readonly sum: Float32Array;
  readonly examples: number;
}

/**
 * What secure aggregation opens: every client's clipped sum with its own share of the noise, added in the ring and
 * decoded. Masks are left out because they cancel; nothing else differs from a round over the network.
 * @param parameters - of mechanismParameters; its noise is sized for minimumCohort − colluders clients
 */
export function noisySum(clients: readonly ClippedSum[], parameters: MechanismParameters, rng: Rng): Float64Array {
  if (clients.length < parameters.minimumCohort) {
    throw new TacitError<TrainingErrorCode>(
      'TRAINING_OPTION',
      `${clients.length} clients are fewer than the minimum cohort of ${parameters.minimumCohort}: their noise would not do`,
    );
  }
  const ring = new Uint32Array(parameters.dimension);
  for (const { sum, examples } of clients) {
    const values = privatise(sum, parameters, rng, examples);
    for (let i = 0; i < ring.length; i++) ring[i] = (ring[i] as number) + (values[i] as number);
  }
  return decode(ring, parameters);
}
