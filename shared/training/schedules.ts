/** Learning rate over the steps of a run, as transformers' schedules of the same names. */
export type Schedule =
  | { readonly kind: 'constant'; readonly learningRate: number; readonly warmupSteps?: number }
  | {
      readonly kind: 'linear' | 'cosine';
      readonly learningRate: number;
      readonly warmupSteps?: number;
      readonly totalSteps: number;
    };

/** The rate for step 0, 1, …: linear warm-up from 0, then constant, down a line to 0, or down half a cosine. */
export function learningRateAt(schedule: Schedule, step: number): number {
  const { learningRate, warmupSteps = 0 } = schedule;
  if (step < warmupSteps) return (learningRate * step) / Math.max(1, warmupSteps);
  if (schedule.kind === 'constant') return learningRate;
  const span = Math.max(1, schedule.totalSteps - warmupSteps);
  if (schedule.kind === 'linear') return learningRate * Math.max(0, (schedule.totalSteps - step) / span);
  return learningRate * Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (step - warmupSteps)) / span)));
}
