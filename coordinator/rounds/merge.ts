import { meanUpdate } from '../../shared/aggregation/fedavg.ts';
import { createIterateAverage } from '../../shared/aggregation/iterate-average.ts';
import { createServerOptimizer, type ServerOptimizerSpec } from '../../shared/aggregation/server-optimizers.ts';
import { fromHex } from '../../shared/core/bytes.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import { littleEndianBytes } from '../../shared/core/keystream.ts';
import { type DecodedPiece, decodePieces } from '../../shared/privacy/decode-sum.ts';
import { openWeight, type WeightTotal } from '../../shared/privacy/weighted-sum.ts';
import { stageMechanism } from '../../shared/protocol/commitment.ts';
import type { PlanStage } from '../../shared/protocol/plan.ts';
import { clipOf, trainedElements, weightingOf } from '../../shared/protocol/plan-stage.ts';
import { rotationSeed } from '../../shared/secagg/keys.ts';
import { bytesToFloat32, float32Bytes } from '../../shared/tensor/float32.ts';
import { learningRateAt } from '../../shared/training/schedules.ts';
import type { RunJournal } from '../runs/run-journal.ts';
import type { ConsentedClient, ModelPointer } from '../runs/run-log.ts';
import { StoredOptimizer } from './optimizer-state.ts';
import type { RoundOutcome } from './round-session.ts';

/** A merged model that nobody may see before its ledger entry is durable: only `release` can publish it. */
export interface Merged {
  readonly pointer: ModelPointer;
  readonly hash: string;
  /** Of the unmasked sum. */
  readonly aggregateHash: string;
  /** Of a round whose clients are weighted. */
  readonly weight: WeightTotal | undefined;
}

export type Summed = Extract<RoundOutcome, { kind: 'summed' }>;

/**
 * Sum → mean → server step. Writes blobs; decides nothing. Goes piece by piece and takes the sum over: the next weights come
 * where it was, and beside them there are the mean of the last iterates, if the plan has one, and one piece of everything else.
 */
export async function merge(journal: RunJournal, stage: number, outcome: Summed): Promise<Merged> {
  const { ports, model: pointer, record } = journal;
  const { store } = ports;
  const plan = journal.planStage(stage);
  const { sum, sid } = outcome;
  const aggregateHash = sha256Hex(littleEndianBytes(sum));
  const spec = optimizerSpec(plan, record.iterates.length);
  const stored = await StoredOptimizer.open(store, pointer.optimizer);
  const elements = trainedElements(plan, sum.length);
  const weights = new Float32Array(sum.buffer, sum.byteOffset, elements);
  const before = plan.server.average - 1;
  const earlier = before === 0 ? [] : record.iterates.slice(-before);
  const candidate = earlier.length === 0 ? weights : new Float32Array(elements);
  const read = async (sha256: string, begin: number, length: number): Promise<Float32Array> =>
    bytesToFloat32(await store.getBlob(sha256, { start: 4 * begin, end: 4 * (begin + length) }), length);
  let opening: Opening | undefined;
  const step = async ({ index, begin, values }: DecodedPiece): Promise<void> => {
    opening ??= openingOf(journal, stage, outcome, values.at(-1) as number);
    const changes = values.subarray(0, elements - begin);
    if (changes.length === 0) return;
    const optimizer = createServerOptimizer(spec, await stored.piece(index, changes.length));
    const next = optimizer.step(await read(pointer.iterate, begin, changes.length), opening.mean(changes));
    await stored.keep(index, optimizer.state(), spec);
    weights.set(next, begin);
    if (candidate === weights) return;
    const window: Float32Array[] = [];
    for (const sha256 of earlier) window.push(await read(sha256, begin, changes.length));
    const average = createIterateAverage(plan.server.average, window);
    average.push(next);
    candidate.set(average.mean(), begin);
  };
  await decodePieces(sum, stageMechanism(record.terms, stage), rotationSeed(fromHex(sid)), step);
  const iterate = await store.putBlob(float32Bytes(weights));
  return {
    hash: iterate,
    aggregateHash,
    weight: opening?.weight,
    pointer: {
      iterate,
      candidate: candidate === weights ? iterate : await store.putBlob(float32Bytes(candidate)),
      optimizer: await stored.finish(),
    },
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

/** What a decoded sum is turned into. */
interface Opening {
  readonly weight: WeightTotal | undefined;
  mean(values: Float64Array): Float64Array;
}

/** @param last - the sum's last number */
function openingOf(journal: RunJournal, stage: number, { survivors, noise }: Summed, last: number): Opening {
  const { terms, consented } = journal.record;
  const plan = journal.planStage(stage);
  const weighting = weightingOf(plan);
  if (weighting !== undefined) {
    const sigma = noise.sigma / stageMechanism(terms, stage).scale;
    const { factor, weight } = openWeight(last, sigma, weighting, clipOf(plan));
    return { weight, mean: (values) => values.map((x) => x * factor) };
  }
  if (plan.algorithm === 'dp-fedsgd') {
    const units = survivors.reduce((n, id) => n + (consented.get(id) as ConsentedClient).units, 0);
    const expected = plan.samplingProbability * units;
    return { weight: undefined, mean: (values) => meanUpdate(values, expected, plan.l2Clip) };
  }
  const expected = survivors.length * (plan.algorithm === 'dp-fedavg' ? plan.samplingProbability : 1);
  return { weight: undefined, mean: (values) => values.map((x) => x / expected) };
}
