import { meanUpdate } from '../../aggregation/fedavg.ts';
import { createServerOptimizer } from '../../aggregation/server-optimizers.ts';
import type { Bert } from '../../bert/model.ts';
import { type Rng, uniformInt } from '../../core/rng.ts';
import type { CanaryTrace } from '../../privacy/audit/statistics.ts';
import type { MechanismParameters } from '../../privacy/mechanism.ts';
import type { EncodedExample } from '../../text/encode.ts';
import type { BatchShape } from '../batches.ts';
import { clippedGradientSum } from '../dp-fedsgd.ts';
import { createFeatureCache, type FeatureCache } from '../features.ts';
import { noisySum } from '../noise.ts';
import { poissonSample } from '../sampling.ts';

/** What privacy rests on in a round. An audit runs the product's own; a test of the audit hands in broken ones. */
export interface RoundParts {
  readonly sample: (records: number, probability: number, rng: Rng, round: number) => readonly number[];
  readonly gradientSum: typeof clippedGradientSum;
  readonly release: typeof noisySum;
}

const PRODUCT: RoundParts = { sample: poissonSample, gradientSum: clippedGradientSum, release: noisySum };

export interface AuditedRun {
  /** A head-only model of two labels; its feature length is at least the number of canaries. */
  readonly bert: Bert;
  readonly shape: BatchShape;
  /** Ordinary records that train along, dealt out over the clients. */
  readonly examples: readonly EncodedExample[];
  readonly canaries: number;
  readonly rounds: number;
  readonly samplingProbability: number;
  readonly mechanism: MechanismParameters;
  /** Everything random: coins, sampling, noise. */
  readonly rng: Rng;
}

/** Length of a canary's only feature: long enough that its gradient is always clipped. */
const FEATURE = 5;

/**
 * A `dp-fedsgd` run with canaries among its records: real sampling, gradients, clipping, noise shares, ring sum, decoding
 * and server steps. Canary i is a record whose features are all 0 but the i-th, so that its clipped gradient is a
 * direction of its own (white-box gradient canaries as in Nasr et al. 2023), and enters by a fair coin.
 * @returns what the released sums say about every canary, those that stayed out included
 */
export async function auditedRun(run: AuditedRun, parts: RoundParts = PRODUCT): Promise<CanaryTrace[]> {
  const { bert, rounds, samplingProbability, mechanism, rng } = run;
  const labels = Array.from({ length: run.canaries }, () => uniformInt(rng, 2));
  const coins = Array.from({ length: run.canaries }, () => uniformInt(rng, 2) === 1);
  const silos = silosOf(run, labels, coins);
  const records = silos.reduce((n, silo) => n + silo.examples.length, 0);
  const products = labels.map(() => new Float32Array(rounds));
  const optimizer = createServerOptimizer({ optimizer: 'sgd', learningRate: slowRate(run, records) });
  let weights = bert.trainable();
  for (let round = 0; round < rounds; round++) {
    const sums = [];
    for (const silo of silos) {
      const indices = parts.sample(silo.examples.length, samplingProbability, rng, round);
      sums.push(await parts.gradientSum({ bert, indices, l2Clip: mechanism.l2Clip, shape: run.shape, ...silo }));
    }
    const released = parts.release(sums, mechanism, rng);
    for (const [i, label] of labels.entries())
      (products[i] as Float32Array)[round] = product(released, i, label, bert.featureLength, mechanism.l2Clip);
    weights = optimizer.step(weights, meanUpdate(released, samplingProbability * records, mechanism.l2Clip));
    bert.setTrainable(weights);
  }
  const { noiseMultiplier } = mechanism;
  return products.map((p, i) => ({ included: coins[i] === true, products: p, samplingProbability, noiseMultiplier }));
}

/**
 * So slow that noise of one sign in every round moves a canary's logits by less than 2 over the whole run: a canary that
 * the model has learned has no gradient any more and would go unseen.
 */
function slowRate({ rounds, samplingProbability, mechanism }: AuditedRun, records: number): number {
  return Math.min(0.05, (0.2 * samplingProbability * Math.max(records, 1)) / (rounds * mechanism.noiseMultiplier));
}

/**
 * ⟨released, g⟩/C² for the canary's clipped gradient g. With two labels (p − y) ⊗ (f, 1) points along ∓(1, −1)/√2, so the
 * direction is known whatever the weights are.
 */
function product(released: Float64Array, canary: number, label: number, width: number, clip: number): number {
  const difference = (released[canary] as number) - (released[width + canary] as number);
  return ((label === 0 ? -1 : 1) * difference) / (Math.SQRT2 * clip);
}

interface AuditedSilo {
  readonly examples: readonly EncodedExample[];
  readonly features: FeatureCache;
}

/** One silo for each client of a cohort, each with its share of the records and of the canaries that are in. */
function silosOf(run: AuditedRun, labels: readonly number[], coins: readonly boolean[]): AuditedSilo[] {
  const clients = run.mechanism.minimumCohort;
  return Array.from({ length: clients }, (_, client) => {
    const mine = run.examples.filter((_example, i) => i % clients === client);
    const canaries = labels.flatMap((label, i) => (coins[i] === true && i % clients === client ? [{ i, label }] : []));
    const ids = Int32Array.of(2, 3);
    return {
      examples: [...mine, ...canaries.map(({ label }) => ({ ids, label }))],
      features: withCanaries(
        createFeatureCache(run.bert, mine, run.shape),
        mine.length,
        canaries.map(({ i }) => i),
        run.bert.featureLength,
      ),
    };
  });
}

/** The silo's features with those of the canaries after its own records'. */
function withCanaries(own: FeatureCache, ownRecords: number, canaries: readonly number[], width: number): FeatureCache {
  return {
    async rows(indices) {
      const out = new Float32Array(indices.length * width);
      const real = indices.filter((i) => i < ownRecords);
      const features = await own.rows(real);
      let next = 0;
      for (const [row, index] of indices.entries()) {
        if (index < ownRecords) out.set(features.subarray(next * width, ++next * width), row * width);
        else out[row * width + (canaries[index - ownRecords] as number)] = FEATURE;
      }
      return out;
    },
    get cachedBytes() {
      return own.cachedBytes;
    },
  };
}
