/** Times of the accountant's queries. Each row is one JSON line; run alone on an idle core. */
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { calibrateNoise, epsilonOf } from '../shared/privacy/accountant/index.ts';
import type { PrivacyEvent } from '../shared/privacy/events.ts';
import type { BenchRow } from './row.ts';

/** Milliseconds of the fastest of three calls, after one that warms the compiler. */
function milliseconds(action: () => unknown): number {
  action();
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    action();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

const sampled = (noiseMultiplier: number, samplingProbability: number, count: number): PrivacyEvent => ({
  kind: 'poisson-gaussian',
  noiseMultiplier,
  samplingProbability,
  count,
});

function row(name: string, value: number, target: number): BenchRow {
  return {
    bench: 'accountant',
    row: name,
    value: Math.round(value),
    unit: 'ms',
    baseline: null,
    ratio: null,
    target: `<= ${target}`,
    holds: value <= target,
  };
}

/** All rows; the target of a query is 0.3 s on one core. */
export function accountantRows(): BenchRow[] {
  const queries: [string, PrivacyEvent[], number][] = [
    ['epsilon q=0.01 sigma=1 T=1000', [sampled(1, 0.01, 1000)], 1e-5],
    ['epsilon q=0.01 sigma=1 T=10000', [sampled(1, 0.01, 10_000)], 1e-5],
    ['epsilon q=0.01 sigma=1 T=100000', [sampled(1, 0.01, 100_000)], 1e-5],
    ['epsilon q=0.0001 sigma=0.3 T=100000', [sampled(0.3, 1e-4, 100_000)], 1e-6],
    ['epsilon q=0.9 sigma=50 T=100000', [sampled(50, 0.9, 100_000)], 1e-6],
    ['epsilon of two stages', [sampled(1.2, 0.03, 200), sampled(0.8, 0.004, 1500)], 1e-6],
  ];
  const stages = [{ samplingProbability: 0.1, rounds: 60, share: 1 }];
  return [
    ...queries.map(([name, events, delta]) =>
      row(
        name,
        milliseconds(() => epsilonOf(events, delta)),
        300,
      ),
    ),
    row(
      'calibrate q=0.1 T=60 epsilon=3',
      milliseconds(() => calibrateNoise({ epsilon: 3, delta: 1e-5, stages })),
      3000,
    ),
  ];
}

if (import.meta.url === `file://${process.argv[1]}`) {
  for (const line of accountantRows()) console.log(JSON.stringify(line));
}
