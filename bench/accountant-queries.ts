import { affordableRounds, calibrateNoise, deltaOf, epsilonOf } from '../shared/privacy/accountant/index.ts';
import type { PrivacyEvent } from '../shared/privacy/events.ts';

/** One timed question to the accountant. */
export interface Query {
  readonly name: string;
  readonly run: () => unknown;
  /** [σ, q, T, δ] where dp_accounting can be asked the same. */
  readonly peer?: readonly [number, number, number, number];
}

const sampled = (noiseMultiplier: number, samplingProbability: number, count: number): PrivacyEvent => ({
  kind: 'poisson-gaussian',
  noiseMultiplier,
  samplingProbability,
  count,
});

function epsilon(sigma: number, q: number, count: number, delta: number): Query {
  return {
    name: `epsilon q=${q} sigma=${sigma} T=${count}`,
    run: () => epsilonOf([sampled(sigma, q, count)], delta),
    peer: [sigma, q, count, delta],
  };
}

const stages = (samplingProbability: number, rounds: number) => [{ samplingProbability, rounds, share: 1 }];

export const queries: readonly Query[] = [
  epsilon(1, 0.01, 1000, 1e-5),
  epsilon(1, 0.01, 10_000, 1e-5),
  epsilon(1, 0.01, 100_000, 1e-5),
  epsilon(0.3, 1e-4, 100_000, 1e-6),
  epsilon(0.7, 1e-4, 1000, 1e-6),
  epsilon(0.3, 0.01, 1000, 1e-6),
  epsilon(50, 0.9, 100_000, 1e-6),
  { name: 'delta q=0.0001 sigma=1 T=1000', run: () => deltaOf([sampled(1, 1e-4, 1000)], 0.0155) },
  { name: 'epsilon of two stages', run: () => epsilonOf([sampled(1.2, 0.03, 200), sampled(0.8, 0.004, 1500)], 1e-6) },
  {
    name: 'calibrate q=0.1 T=60 epsilon=3',
    run: () => calibrateNoise({ epsilon: 3, delta: 1e-5, stages: stages(0.1, 60) }),
  },
  {
    name: 'calibrate q=0.01 T=1000 epsilon=3',
    run: () => calibrateNoise({ epsilon: 3, delta: 1e-5, stages: stages(0.01, 1000) }),
  },
  {
    name: 'rounds q=0.01 sigma=1 epsilon=3',
    run: () => affordableRounds({ epsilon: 3, delta: 1e-5, noiseMultiplier: 1, samplingProbability: 0.01 }),
  },
];

/** The fastest of three calls, after one that warms the compiler. */
export function milliseconds(action: () => unknown, now: () => number): number {
  action();
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    const start = now();
    action();
    best = Math.min(best, now() - start);
  }
  return best;
}
