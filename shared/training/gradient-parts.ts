import type { Bert, GradientModel, Gradients, LabelledBatch } from '../bert/model.ts';
import { errorCode, TacitError } from '../core/errors.ts';
import { sumOfSquares } from '../kernels/squares.ts';
import type { EncodedExample, Examples } from '../text/encode.ts';
import { type BatchShape, labelsOf, microBatches, PADDING_ROW, unitMicroBatches } from './batches.ts';
import type { TrainingErrorCode } from './errors.ts';
import type { FeatureCache } from './features.ts';
import { membersByUnit, type Units } from './units.ts';

export interface GradientRequest {
  readonly bert: Pick<GradientModel, 'trainableLayout' | 'gradients' | 'headGradients'>;
  readonly examples: Examples;
  /** The round's sample, from poissonSample; may be empty. */
  readonly indices: readonly number[];
  /** C > 0. Infinity: plain gradients, for runs without privacy. */
  readonly l2Clip: number;
  readonly shape: BatchShape;
  /** For `trainable: 'head'`: features computed once. Absent: the whole backward pass. */
  readonly features?: FeatureCache;
  /**
   * Who the examples belong to, when the unit of privacy is a person: a person's gradient is the mean of their examples'
   * and is clipped as a whole. `indices` must then hold all examples of everybody in it (poissonSampleUnits).
   */
  readonly units?: Units;
  /** Drop values at the config's rates; each micro-batch draws masks of its own from this. Not on cached features. */
  readonly dropoutSeed?: number;
  readonly signal?: AbortSignal;
  /** Overwritten, to spare a large allocation in every step; the sum is in it, or in an array of its own. */
  readonly into?: Float32Array;
}

/** A request with a place for the gradients, and its examples as this visit reads them. */
type Placed = Omit<GradientRequest, 'examples'> & {
  readonly examples: readonly EncodedExample[];
  readonly into: Float32Array;
};

/** What one micro-batch adds to a clipped sum. */
export interface GradientPart {
  /** The first part's lies in the request's `into`; a later one's until the part after it. */
  readonly sum: Float32Array | Float64Array;
  readonly examples: number;
  readonly units: number;
  /** Sum of the examples' losses. */
  readonly loss: number;
  /** Units longer than the clip. */
  readonly clipped: number;
  readonly dropped: readonly number[];
}

/** Rows of features in one head gradient. */
const FEATURE_ROWS = 1024;

/** Every record a unit of its own. @throws TRAINING_STOPPED */
export async function* recordParts(request: Placed): AsyncGenerator<GradientPart> {
  const { bert, examples, indices, shape, features, l2Clip } = request;
  const units = (rows: readonly number[]): readonly number[][] => rows.map((_, row) => [row]);
  if (features === undefined) {
    const step = stepsOf(request);
    for (const { batch, rows } of microBatches(examples, indices, shape))
      yield partOf(await step(batch, l2Clip), rows, units(rows), l2Clip);
    return;
  }
  for (let start = 0; start < indices.length; start += FEATURE_ROWS) {
    stopIfAsked(request);
    const rows = indices.slice(start, start + FEATURE_ROWS);
    const weights = new Float32Array(rows.length).fill(1);
    const gradients = headGradients(bert)(await features.rows(rows), labelsOf(examples, rows), weights, { l2Clip });
    yield partOf(gradients, rows, units(rows), l2Clip);
  }
}

/** Persons as units. Somebody with more records than fit a micro-batch is summed up over several and clipped here. */
export async function* unitParts(request: Placed, units: Units): AsyncGenerator<GradientPart> {
  const { examples, indices, shape, features, l2Clip } = request;
  const members = membersByUnit(indices, units);
  if (features !== undefined) {
    for (const some of chunksOfUnits(members)) yield await featurePart(request, some);
    return;
  }
  const step = stepsOf(request);
  const small = members.filter((unit) => unit.length <= shape.batch);
  for (const { batch, rows } of unitMicroBatches(examples, small, shape)) {
    const records = batch.recordsPerUnit as number;
    const places = Array.from({ length: rows.length / records }, (_, u) =>
      Array.from({ length: records }, (_, r) => u * records + r).filter((row) => rows[row] !== PADDING_ROW),
    );
    yield partOf(await step(batch, l2Clip), rows, places, l2Clip);
  }
  for (const unit of members) if (unit.length > shape.batch) yield await largeUnit(request, unit, step);
}

/** Whole units, together about FEATURE_ROWS rows; a larger unit comes alone. */
function* chunksOfUnits(members: readonly number[][]): Generator<number[][]> {
  let chunk: number[][] = [];
  let rows = 0;
  for (const unit of members) {
    if (rows > 0 && rows + unit.length > FEATURE_ROWS) {
      yield chunk;
      [chunk, rows] = [[], 0];
    }
    chunk.push(unit);
    rows += unit.length;
  }
  if (rows > 0) yield chunk;
}

async function featurePart(request: Placed, members: readonly number[][]): Promise<GradientPart> {
  const { bert, examples, l2Clip } = request;
  stopIfAsked(request);
  const rows = members.flat();
  const weights = Float32Array.from(members.flatMap((unit) => unit.map(() => 1 / unit.length)));
  const units = Int32Array.from(members.flatMap((unit, u) => unit.map(() => u)));
  const features = await (request.features as NonNullable<typeof request.features>).rows(rows);
  const gradients = headGradients(bert)(features, labelsOf(examples, rows), weights, { l2Clip, units });
  let at = 0;
  const places = members.map((unit) => unit.map(() => at++));
  return partOf(gradients, rows, places, l2Clip);
}

/** One person's mean gradient, added up without clipping over as many micro-batches as it takes, then clipped. */
async function largeUnit(request: Placed, unit: readonly number[], step: Step): Promise<GradientPart> {
  const { bert, examples, shape, l2Clip } = request;
  const sum = new Float64Array(bert.trainableLayout.length);
  const nothing = (): GradientPart => ({ sum: sum.fill(0), examples: 0, units: 0, loss: 0, clipped: 0, dropped: unit });
  let loss = 0;
  for (const { batch, rows } of microBatches(examples, unit, shape)) {
    const weights = batch.weights.map((w) => w / unit.length);
    const gradients = await step({ ...batch, weights }, Number.POSITIVE_INFINITY);
    if (gradients.dropped.length > 0) return nothing();
    for (const row of rows.keys()) loss += gradients.losses[row] as number;
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (gradients.clippedSum[i] as number);
  }
  const norm = Math.sqrt(sumOfSquares(sum));
  // Losses can be finite where a gradient is not.
  if (!Number.isFinite(norm)) return nothing();
  const clipped = norm > l2Clip;
  if (clipped) for (let i = 0; i < sum.length; i++) sum[i] = ((sum[i] as number) * l2Clip) / norm;
  return { sum, examples: unit.length, units: 1, loss, clipped: clipped ? 1 : 0, dropped: [] };
}

function headGradients(bert: GradientRequest['bert']): Bert['headGradients'] {
  if (bert.headGradients !== undefined) return bert.headGradients.bind(bert);
  throw new TacitError<TrainingErrorCode>('TRAINING_OPTION', 'this model reads no features that were computed before');
}

/** @param places - rows of each unit */
function partOf(
  { losses, norms, clippedSum, dropped }: Gradients,
  rows: readonly number[],
  places: readonly (readonly number[])[],
  l2Clip: number,
): GradientPart {
  const left = new Set(dropped);
  const kept = places.flatMap((unit, u) => (unit.some((row) => left.has(row)) ? [] : [{ unit, norm: norms[u] }]));
  const rowsKept = kept.flatMap(({ unit }) => unit);
  return {
    sum: clippedSum,
    examples: rowsKept.length,
    units: kept.length,
    loss: rowsKept.reduce((total, row) => total + (losses[row] as number), 0),
    clipped: kept.filter(({ norm }) => norm !== undefined && norm > l2Clip).length,
    dropped: dropped.flatMap((row) => (rows[row] === undefined || rows[row] === PADDING_ROW ? [] : [rows[row]])),
  };
}

/**
 * A micro-batch in which no example has a finite gradient adds the zero vector. In a private round the client goes on and
 * sends its noise: staying away would tell something about its records.
 */
function nothingFinite(rows: number, into: Float32Array): Gradients {
  const none = new Float32Array(rows).fill(Number.NaN);
  return { losses: none, norms: none, clippedSum: into.fill(0), dropped: [...none.keys()] };
}

type Step = (batch: LabelledBatch, l2Clip: number) => Promise<Gradients>;

/** Backward passes of one request; with dropout each draws masks of its own from the request's seed. */
function stepsOf(request: Placed): Step {
  let seed = request.dropoutSeed;
  let later: Float32Array | undefined;
  let first = true;
  return (batch, l2Clip) => {
    stopIfAsked(request);
    if (!first) later ??= new Float32Array(request.into.length);
    const into = first ? request.into : (later as Float32Array);
    first = false;
    const dropout = seed === undefined ? {} : { dropoutSeed: seed++ };
    return request.bert.gradients(batch, { l2Clip, into, ...dropout }).catch((cause: unknown) => {
      if (request.l2Clip === Number.POSITIVE_INFINITY || errorCode(cause) !== 'BERT_NOT_FINITE') throw cause;
      return nothingFinite(batch.weights.length, into);
    });
  };
}

function stopIfAsked({ signal }: Placed): void {
  if (signal?.aborted)
    throw new TacitError<TrainingErrorCode>('TRAINING_STOPPED', 'training was stopped', { cause: signal.reason });
}
