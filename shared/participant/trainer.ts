import type { Terms } from '../protocol/terms.ts';
import type { TextRecord } from '../text/record.ts';

/** What one round's training gives: a vector whose every summand was clipped. Not noised for the sum yet: it stays in this process. */
export interface TrainedSum {
  readonly sum: Float32Array;
  /** Summands, each of at most the plan's clip: the units in the Poisson sample, or this client's one change. Stays on the device. */
  readonly units: number;
  /** Examples that were looked at; stays on the device. */
  readonly examples: number;
  readonly loss: number;
  /** Sampled examples that are not in the sum, because their loss or gradient was not finite; absent: none. */
  readonly dropped?: number;
}

/** Trains on this participant's own records; the session knows nothing of models. */
export interface Trainer {
  update(request: {
    readonly stage: number;
    readonly overlays: readonly string[];
    readonly flat: Float32Array;
    readonly signal: AbortSignal;
  }): Promise<TrainedSum>;
  dispose(): Promise<void>;
}

/** Makes the trainer of one run. @param records - this site's own */
export type TrainerFactory = (
  terms: Terms,
  records: readonly TextRecord[],
  blob: (sha256: string, signal: AbortSignal) => Promise<Uint8Array>,
) => Promise<Trainer>;
