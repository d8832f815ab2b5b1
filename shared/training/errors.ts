export type TrainingErrorCode =
  /** A probability, rate or size out of its range. */
  | 'TRAINING_OPTION'
  /** A clipped sum is longer than its clip allows: the engine did not clip, so nothing may leave. */
  | 'TRAINING_NOT_CLIPPED'
  /** Vectors of different lengths where one length is needed. */
  | 'TRAINING_SHAPE'
  /** Stopped by its signal. */
  | 'TRAINING_STOPPED';
