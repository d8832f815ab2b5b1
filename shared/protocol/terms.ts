import type { Plan } from './plan.ts';
import type { GuaranteeView } from './views.ts';

/** One file of the model that training starts from. */
export interface ModelFile {
  readonly name: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** What is fixed for a stage once the plan is committed. */
export interface StageTerms {
  readonly index: number;
  /** Numbers that a client sends: those that train, and one more where clients are weighted. */
  readonly dimension: number;
  /** SHA-256 of the RFC 8785 form of the update's layout: names and shapes in order. */
  readonly layoutSha256: string;
  /** Committed noise multiplier: σ / clip of the sum, as the coordinator with T_c colluders sees it. */
  readonly noiseMultiplier: number;
  /** Fixed-point scale of the ring. */
  readonly scale: number;
  /** Standard deviation of each client's discrete Gaussian share, in ring units. */
  readonly localSigma: number;
}

/** Everything a participant consents to: the plan and what was computed from it. Its hash is the plan hash in the ledger. */
export interface Terms {
  readonly plan: Plan;
  readonly planHash: string;
  /** The Hugging Face directory that stage 0 starts from. */
  readonly model: readonly ModelFile[];
  readonly stages: readonly StageTerms[];
  readonly guarantees: readonly GuaranteeView[];
}
