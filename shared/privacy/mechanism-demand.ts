import { LIMITS } from '../core/limits.ts';
import { RING_BITS, type RingBits } from '../kernels/packing.ts';
import { checked, privacyError } from './errors.ts';

/** What a plan says about the mechanism of one stage. */
export interface MechanismDemand {
  /** Number of elements d of an update. */
  readonly dimension: number;
  /** L2 bound C on one unit's contribution, enforced by the training engine. */
  readonly l2Clip: number;
  /**
   * The committed σ/C: what the accountant may use against the coordinator with all assumed colluders, i.e. what the
   * noise of `minimumCohort − colluders` clients alone amounts to after rounding is paid for.
   */
  readonly noiseMultiplier: number;
  /** Fewest clients whose sum is ever unmasked. */
  readonly minimumCohort: number;
  /** Clients assumed to tell the coordinator their own noise. */
  readonly colluders: number;
  /** Most clients in one sum. */
  readonly cohortMax: number;
  /** b: the sum is taken modulo 2^b. 32, or for thin uplinks 20 or 16: then it is rotated, see ring-room. */
  readonly ringBits: RingBits;
  /** Each client's sum is one unit's contribution, never longer than the clip; else it is a sum of any number of them. */
  readonly oneUnit?: boolean;
}

/** Only what is a demand of something larger. */
export function demandOf(demand: MechanismDemand): MechanismDemand {
  const { dimension, l2Clip, noiseMultiplier, minimumCohort, colluders, cohortMax, ringBits, oneUnit = false } = demand;
  return { dimension, l2Clip, noiseMultiplier, minimumCohort, colluders, cohortMax, ringBits, oneUnit };
}

/** The demand itself. @throws PRIVACY_PARAMETER_INVALID, PRIVACY_CLAIM_FALSE */
export function checkedDemand(demand: MechanismDemand): MechanismDemand {
  checked('dimension', demand.dimension, { min: 1, max: LIMITS.updateElements, integer: true });
  checked('l2Clip', demand.l2Clip, { min: 1e-9, max: 1e9 });
  checked('noiseMultiplier', demand.noiseMultiplier, { min: 1e-3, max: 1e6 });
  checked('minimumCohort', demand.minimumCohort, { min: 2, max: 1e6, integer: true });
  checked('colluders', demand.colluders, { min: 0, integer: true });
  checked('cohortMax', demand.cohortMax, { min: demand.minimumCohort, max: 1e6, integer: true });
  if (!RING_BITS.includes(demand.ringBits)) {
    throw privacyError('PRIVACY_PARAMETER_INVALID', `ringBits is ${demand.ringBits}`, {
      where: 'ringBits',
      fix: `Give one of ${RING_BITS.join(', ')}.`,
    });
  }
  if (demand.minimumCohort > demand.colluders) return demand;
  throw privacyError(
    'PRIVACY_CLAIM_FALSE',
    `${demand.colluders} colluders of a cohort of ${demand.minimumCohort} leave no honest noise`,
    {
      where: 'minimumCohort',
      fix: `Set minimumCohort to at least ${demand.colluders + 3}.`,
    },
  );
}
