import { meanUpdate } from '../../shared/aggregation/fedavg.ts';
import { createIterateAverage } from '../../shared/aggregation/iterate-average.ts';
import { createServerOptimizer, type ServerOptimizerSpec } from '../../shared/aggregation/server-optimizers.ts';
import { fromHex } from '../../shared/core/bytes.ts';
import { decodeSum } from '../../shared/privacy/decode-sum.ts';
import { openWeighted, type WeightTotal } from '../../shared/privacy/weighted-sum.ts';
import { stageMechanism } from '../../shared/protocol/commitment.ts';
import type { PlanStage } from '../../shared/protocol/plan.ts';
import { clipOf, weightingOf } from '../../shared/protocol/plan-stage.ts';
import { rotationSeed } from '../../shared/secagg/keys.ts';
import { float32Bytes } from '../../shared/tensor/float32.ts';
import { learningRateAt } from '../../shared/training/schedules.ts';
import type { RunJournal } from '../runs/run-journal.ts';
import type { ConsentedClient, ModelPointer } from '../runs/run-log.ts';
import { decodeOptimizerState, encodeOptimizerState } from './optimizer-state.ts';
import type { RoundOutcome } from './round-session.ts';

/** A merged model that nobody may see before its ledger entry is durable: only `release` can publish it. */
export interface Merged {
  readonly pointer: ModelPointer;
  readonly hash: string;
  /** Of a round whose clients are weighted. */
  readonly weight: WeightTotal | undefined;
}

export type Summed = Extract<RoundOutcome, { kind: 'summed' }>;

/** Sum → mean → server step. Writes blobs; decides nothing. */
export async function merge(journal: RunJournal, stage: number, outcome: Summed): Promise<Merged> {
  const { ports, model: pointer } = journal;
  const plan = journal.planStage(stage);
  const optimizer = createServerOptimizer(
    optimizerSpec(plan, journal.record.iterates.length),
    decodeOptimizerState(await ports.store.getBlob(pointer.optimizer)),
  );
  const { mean, weight } = await meanOf(journal, stage, outcome);
  const weights = optimizer.step(await journal.vector(pointer.iterate, stage), mean);
  const average = createIterateAverage(plan.server.average, await lastIterates(journal, stage));
  average.push(weights);
  const iterate = await ports.store.putBlob(float32Bytes(weights));
  const candidate = await ports.store.putBlob(float32Bytes(average.mean()));
  return {
    hash: iterate,
    weight,
    pointer: { iterate, candidate, optimizer: await ports.store.putBlob(encodeOptimizerState(optimizer.state())) },
  };
}

/** @param done - rounds of this stage that were released */
export function optimizerSpec({ server, rounds }: PlanStage, done: number): ServerOptimizerSpec {
  const { optimizer, learningRate, momentum, schedule, warmupRounds } = server;
  const shape = { kind: schedule, learningRate, warmupSteps: warmupRounds, totalSteps: rounds };
  // The first warm-up round is step 1: a round at rate 0 would spend its privacy for nothing.
  const rate = learningRateAt(shape, warmupRounds > 0 ? done + 1 : done);
  return { optimizer, learningRate: Math.max(rate, Number.MIN_VALUE), momentum };
}

async function meanOf(
  journal: RunJournal,
  stage: number,
  { survivors, sum, sid, noise }: Summed,
): Promise<{ readonly mean: Float64Array; readonly weight: WeightTotal | undefined }> {
  const { terms, consented } = journal.record;
  const plan = journal.planStage(stage);
  const mechanism = stageMechanism(terms, stage);
  const real = await decodeSum(sum, mechanism, rotationSeed(fromHex(sid)));
  const weighting = weightingOf(plan);
  if (weighting !== undefined) return openWeighted(real, noise.sigma / mechanism.scale, weighting, clipOf(plan));
  if (plan.algorithm === 'dp-fedsgd') {
    const units = survivors.reduce((n, id) => n + (consented.get(id) as ConsentedClient).units, 0);
    return { mean: meanUpdate(real, plan.samplingProbability * units, plan.l2Clip), weight: undefined };
  }
  const expected = survivors.length * (plan.algorithm === 'dp-fedavg' ? plan.samplingProbability : 1);
  for (let i = 0; i < real.length; i++) real[i] = (real[i] as number) / expected;
  return { mean: real, weight: undefined };
}

async function lastIterates(journal: RunJournal, stage: number): Promise<Float32Array[]> {
  const before = journal.planStage(stage).server.average - 1;
  const { iterates } = journal.record;
  const window: Float32Array[] = [];
  for (const sha256 of iterates.slice(-before).slice(0, before)) window.push(await journal.vector(sha256, stage));
  return window;
}
