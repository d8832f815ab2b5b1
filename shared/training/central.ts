import { meanUpdate } from '../aggregation/fedavg.ts';
import { createIterateAverage } from '../aggregation/iterate-average.ts';
import { createServerOptimizer, type ServerOptimizerSpec } from '../aggregation/server-optimizers.ts';
import type { GradientModel } from '../bert/model.ts';
import type { Rng } from '../core/rng.ts';
import type { MechanismParameters } from '../privacy/mechanism.ts';
import type { Examples } from '../text/encode.ts';
import type { BatchShape } from './batches.ts';
import { clippedGradientSum } from './dp-fedsgd.ts';
import type { FeatureCache } from './features.ts';
import { noisySum } from './noise.ts';
import { poissonSample } from './sampling.ts';

/** A silo's data as the stage needs it. */
export interface CentralSilo {
  readonly examples: Examples;
  /** For a head-only stage. */
  readonly features?: FeatureCache;
}

export interface CentralStage {
  readonly bert: GradientModel;
  readonly silos: readonly CentralSilo[];
  readonly shape: BatchShape;
  readonly rounds: number;
  readonly samplingProbability: number;
  readonly l2Clip: number;
  readonly server: ServerOptimizerSpec;
  /** Iterates in the published mean. */
  readonly average: number;
  /** Absent: no noise (gradients are clipped all the same, so that only the noise differs). */
  readonly mechanism?: MechanismParameters;
  readonly rng: Rng;
}

export interface CentralRound {
  /** 1-based. */
  readonly round: number;
  readonly examples: number;
  readonly meanLoss: number;
  /** The mean of the last iterates: what would be published. */
  readonly published: Float32Array;
}

/**
 * `dp-fedsgd` in one process: sampling, clipping, each silo's noise share, the ring sum and the server's step are the
 * parts that run over the network. For tuning plans and as the reference that a federated run must equal.
 * While it runs, the bert holds the current iterate; afterwards set what is to be used with `setTrainable`.
 */
export async function* centralRounds(stage: CentralStage): AsyncGenerator<CentralRound> {
  const { bert, silos, rng } = stage;
  const optimizer = createServerOptimizer(stage.server);
  const average = createIterateAverage(stage.average);
  const records = silos.reduce((n, s) => n + s.examples.length, 0);
  let weights = bert.trainable();
  for (let round = 1; round <= stage.rounds; round++) {
    const sums = [];
    for (const silo of silos) {
      const indices = poissonSample(silo.examples.length, stage.samplingProbability, rng);
      sums.push(await clippedGradientSum({ bert, indices, l2Clip: stage.l2Clip, shape: stage.shape, ...silo }));
    }
    const sum = stage.mechanism === undefined ? plainSum(sums) : noisySum(sums, stage.mechanism, rng);
    weights = optimizer.step(weights, meanUpdate(sum, stage.samplingProbability * records, stage.l2Clip));
    average.push(weights);
    bert.setTrainable(weights);
    const examples = sums.reduce((n, s) => n + s.examples, 0);
    const loss = sums.reduce((n, s) => n + (s.examples === 0 ? 0 : s.meanLoss * s.examples), 0);
    yield { round, examples, meanLoss: loss / examples, published: average.mean() };
  }
}

function plainSum(sums: readonly { readonly sum: Float32Array }[]): Float64Array {
  const total = new Float64Array(sums[0]?.sum.length ?? 0);
  for (const { sum } of sums)
    for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (sum[i] as number);
  return total;
}
