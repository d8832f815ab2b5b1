import { TacitError } from '../core/errors.ts';
import { targetsOf } from './batch.ts';
import type { BertErrorCode } from './errors.ts';
import type { BertTask, Gradients, HeadClipOptions } from './types.ts';

/** The final linear classifier: weight [labels, width], bias [labels]. */
export interface Classifier {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  readonly labels: number;
  readonly width: number;
}

/** features·Wᵀ + b for any number of rows. */
export function classifierLogits(classifier: Classifier, features: Float32Array): Float32Array {
  const { weight, bias, labels, width } = classifier;
  const rows = rowsOf(features, width);
  const out = new Float32Array(rows * labels);
  for (let b = 0; b < rows; b++) {
    for (let l = 0; l < labels; l++) {
      let sum = bias[l] as number;
      for (let j = 0; j < width; j++) sum += (features[b * width + j] as number) * (weight[l * width + j] as number);
      out[b * labels + l] = sum;
    }
  }
  return out;
}

/**
 * Clipped gradient sum of the classifier on frozen features, in closed form: for one example the gradient is
 * δ ⊗ (f, 1), so its norm is ‖δ‖·√(‖f‖² + 1). Order of the sum: weight, bias. Sums are kept in float64.
 */
export function classifierGradients(
  classifier: Classifier,
  task: BertTask,
  features: Float32Array,
  labels: Int32Array | Float32Array,
  weights: Float32Array,
  { l2Clip, units }: HeadClipOptions,
): Gradients {
  const { labels: classes, width } = classifier;
  const rows = rowsOf(features, width);
  if (rows !== weights.length) throw invalid(`${rows} feature rows but ${weights.length} weights`);
  if (units !== undefined) return unitGradients(classifier, task, features, labels, weights, l2Clip, units);
  const targets = targetsOf(labels, weights, task, classes);
  const logits = classifierLogits(classifier, features);
  const sum = new Float64Array(classes * (width + 1));
  const losses = new Float32Array(rows);
  const norms = new Float32Array(l2Clip === Infinity ? 0 : rows);
  const dropped: number[] = [];
  for (let b = 0; b < rows; b++) {
    const { loss, delta } = rowLoss(
      task,
      logits.subarray(b * classes, (b + 1) * classes),
      targets.subarray(b * classes),
    );
    const feature = features.subarray(b * width, (b + 1) * width);
    const norm = Math.sqrt(squares(delta) * (squares(feature) + 1));
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      dropped.push(b);
      continue;
    }
    losses[b] = loss;
    if (l2Clip !== Infinity) norms[b] = norm;
    const factor = (weights[b] as number) * (l2Clip === Infinity ? 1 : l2Clip / Math.max(norm, l2Clip));
    if (factor !== 0) addOuter(sum, delta, feature, factor);
  }
  return { losses, norms, clippedSum: Float32Array.from(sum), dropped };
}

/** As above with several rows a unit: each unit's gradient is formed (it is as small as the classifier) and clipped whole. */
function unitGradients(
  classifier: Classifier,
  task: BertTask,
  features: Float32Array,
  labels: Int32Array | Float32Array,
  weights: Float32Array,
  l2Clip: number,
  units: Int32Array,
): Gradients {
  const { labels: classes, width } = classifier;
  const members = membersOf(units, weights.length);
  const targets = targetsOf(labels, weights, task, classes);
  const logits = classifierLogits(classifier, features);
  const sum = new Float64Array(classes * (width + 1));
  const losses = new Float32Array(weights.length);
  const norms = new Float32Array(l2Clip === Infinity ? 0 : members.length);
  const dropped: number[] = [];
  for (const [unit, rows] of members.entries()) {
    const gradient = new Float64Array(sum.length);
    let total = 0;
    for (const b of rows) {
      const row = rowLoss(task, logits.subarray(b * classes, (b + 1) * classes), targets.subarray(b * classes));
      losses[b] = row.loss;
      total += row.loss;
      addOuter(gradient, row.delta, features.subarray(b * width, (b + 1) * width), weights[b] as number);
    }
    const norm = Math.sqrt(squares(gradient));
    if (!Number.isFinite(total) || !Number.isFinite(norm)) {
      dropped.push(...rows);
      for (const b of rows) losses[b] = 0;
      continue;
    }
    if (l2Clip !== Infinity) norms[unit] = norm;
    const factor = l2Clip === Infinity ? 1 : l2Clip / Math.max(norm, l2Clip);
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + factor * (gradient[i] as number);
  }
  return { losses, norms, clippedSum: Float32Array.from(sum), dropped: dropped.sort((a, b) => a - b) };
}

function membersOf(units: Int32Array, rows: number): number[][] {
  if (units.length !== rows) throw invalid(`${units.length} units for ${rows} rows`);
  const members: number[][] = [];
  for (const [row, unit] of units.entries()) {
    if (unit < 0 || unit >= rows) throw invalid(`unit ${unit} of row ${row} is not in 0..${rows - 1}`);
    members[unit] ??= [];
    (members[unit] as number[]).push(row);
  }
  const missing = (Array.from(members) as (number[] | undefined)[]).indexOf(undefined);
  if (missing !== -1) throw invalid(`unit ${missing} has no row`);
  return members;
}

function addOuter(sum: Float64Array, delta: Float64Array, feature: Float32Array, factor: number): void {
  const width = feature.length;
  for (let l = 0; l < delta.length; l++) {
    const d = factor * (delta[l] as number);
    for (let j = 0; j < width; j++) sum[l * width + j] = (sum[l * width + j] as number) + d * (feature[j] as number);
    sum[delta.length * width + l] = (sum[delta.length * width + l] as number) + d;
  }
}

/** As layers/losses.ts, for one row. */
function rowLoss(task: BertTask, logits: Float32Array, targets: Float32Array): { loss: number; delta: Float64Array } {
  const n = logits.length;
  const delta = new Float64Array(n);
  let loss = 0;
  const highest = Math.max(...logits);
  const total = logits.reduce((sum, z) => sum + Math.exp(z - highest), 0);
  for (let l = 0; l < n; l++) {
    const z = logits[l] as number;
    const y = targets[l] as number;
    if (task === 'single_label') {
      delta[l] = Math.exp(z - highest) / total - y;
      loss += y * (highest + Math.log(total) - z);
    } else if (task === 'multi_label') {
      delta[l] = (1 / (1 + Math.exp(-z)) - y) / n;
      loss += (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - z * y) / n;
    } else {
      delta[l] = (2 * (z - y)) / n;
      loss += (z - y) ** 2 / n;
    }
  }
  return { loss, delta };
}

function squares(x: Float32Array | Float64Array): number {
  let sum = 0;
  for (let j = 0; j < x.length; j++) sum += (x[j] as number) ** 2;
  return sum;
}

function rowsOf(features: Float32Array, width: number): number {
  if (features.length % width !== 0) throw invalid(`${features.length} numbers are not rows of ${width}`);
  return features.length / width;
}

function invalid(what: string): TacitError<BertErrorCode> {
  return new TacitError<BertErrorCode>('BERT_BATCH_INVALID', what, { where: 'features' });
}
