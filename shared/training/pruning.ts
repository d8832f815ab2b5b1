import { TacitError } from '../core/errors.ts';
import type { NamedTensor, Weights } from '../tensor/named.ts';
import type { TrainingErrorCode } from './errors.ts';

/** How the share of zeros grows over the steps: at once at first and slowly at the end (cubic), or evenly. */
export type PruningSchedule = 'cubic' | 'linear';

/** Zhu & Gupta 2017, "To prune, or not to prune", eq. 1, from nothing: s·(1 − (1 − k/n)³). @param step 1 … steps */
export function sparsityAt(schedule: PruningSchedule, sparsity: number, step: number, steps: number): number {
  const left = 1 - step / steps;
  return sparsity * (1 - (schedule === 'cubic' ? left ** 3 : left));
}

/** What pruning may set to zero: the matrices of the linear layers. Embeddings, biases, norms and the head stay. */
export function prunable(name: string): boolean {
  return /^bert\.(encoder\.layer\.\d+\.|pooler\.).*dense\.weight$|\.attention\.self\.(query|key|value)\.weight$/.test(
    name,
  );
}

/**
 * Global magnitude pruning: of all prunable numbers together, the given share with the smallest magnitude becomes 0.
 * New arrays for what changes; the rest is shared. @param sparsity in [0, 1) @throws TRAINING_OPTION
 */
export function pruneByMagnitude(weights: Weights, sparsity: number): Map<string, NamedTensor> {
  if (!(sparsity >= 0 && sparsity < 1))
    throw new TacitError<TrainingErrorCode>('TRAINING_OPTION', `sparsity ${sparsity} is not in [0, 1)`);
  const targets = [...weights.values()].filter(({ name }) => prunable(name));
  const total = targets.reduce((n, t) => n + t.data.length, 0);
  const magnitudes = new Float32Array(total);
  let at = 0;
  for (const { data } of targets) for (const x of data) magnitudes[at++] = Math.abs(x);
  magnitudes.sort();
  const count = Math.floor(sparsity * total);
  const threshold = count === 0 ? -1 : (magnitudes[count - 1] as number);
  // Several numbers may equal the threshold: only as many of them go as are wanted.
  let equal = count;
  for (let i = 0; i < count && (magnitudes[i] as number) < threshold; i++) equal--;
  const out = new Map(weights);
  for (const tensor of targets) {
    const data = tensor.data.map((x) => {
      const magnitude = Math.abs(x);
      if (magnitude > threshold) return x;
      return magnitude === threshold && equal-- <= 0 ? x : 0;
    });
    out.set(tensor.name, { ...tensor, data });
  }
  return out;
}

/** Where zeros stay: 0 for what was pruned, over a flat vector of these tensors in order. */
export function keptMask(
  weights: Weights,
  layout: { readonly length: number; readonly entries: readonly { readonly name: string; readonly offset: number }[] },
): Uint8Array {
  const mask = new Uint8Array(layout.length).fill(1);
  for (const { name, offset } of layout.entries) {
    if (!prunable(name)) continue;
    for (const [i, x] of (weights.get(name) as NamedTensor).data.entries()) if (x === 0) mask[offset + i] = 0;
  }
  return mask;
}

export interface SparsityReport {
  readonly parameters: number;
  readonly zeros: number;
  readonly prunable: number;
  /** Share of zeros among the prunable numbers. */
  readonly sparsity: number;
  /** Plain safetensors: zeros take as much room as other numbers. */
  readonly denseBytes: number;
  /** What the numbers and their places take in compressed rows (16-bit column gaps), where that is smaller. */
  readonly sparseBytes: number;
}

/** Sizes told honestly: a pruned file is not smaller until somebody stores it sparsely or compresses it. */
export function sparsityReport(weights: Weights, bytesANumber: 2 | 4): SparsityReport {
  let [parameters, zeros, pruned, prunedZeros, sparseBytes] = [0, 0, 0, 0, 0];
  for (const { name, data, shape } of weights.values()) {
    let none = 0;
    for (const x of data) if (x === 0) none++;
    parameters += data.length;
    zeros += none;
    const dense = data.length * bytesANumber;
    const sparse = (data.length - none) * (bytesANumber + 2) + 4 * (shape[0] ?? 1);
    sparseBytes += Math.min(dense, sparse);
    if (!prunable(name)) continue;
    pruned += data.length;
    prunedZeros += none;
  }
  const denseBytes = parameters * bytesANumber;
  return {
    parameters,
    zeros,
    prunable: pruned,
    sparsity: pruned === 0 ? 0 : prunedZeros / pruned,
    denseBytes,
    sparseBytes,
  };
}
