import type { Terms } from '../protocol/terms.ts';
import type { TextRecord } from '../text/records.ts';

/** What one round's training gives: a sum whose every summand the engine clipped. Not noised yet: it stays in this process. */
export interface TrainedSum {
  readonly sum: Float32Array;
  /** Examples that the Poisson sample held; stays on the device. */
  readonly examples: number;
  readonly loss: number;
  /** Sampled examples that are not in the sum, because their loss or gradient was not finite; absent: none. */
  readonly dropped?: number;
}

/** Trains on this participant's own records; the session knows nothing of models. */
export interface Trainer {
  gradient(request: {
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
