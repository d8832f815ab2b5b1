import type { Bert } from '../bert/model.ts';
import type { EncodedExample } from '../text/encode.ts';
import { type BatchShape, microBatches } from './batches.ts';

export interface ClipAdvice {
  readonly examples: number;
  /** Gradient norms of the examples: 10 %, 50 %, 90 %. */
  readonly norms: { readonly low: number; readonly median: number; readonly high: number };
  /** What to write as the clip. */
  readonly clip: number;
}

/** Part of the middle norm at which practically every gradient is longer than the clip. */
const AUTOMATIC = 0.1;

/**
 * A clip from public examples, spending nothing. With a clip far below the norms every unit counts with the same length
 * C, noise and signal both scale with it and its value no longer matters (automatic clipping, Bu et al. 2023,
 * "Automatic clipping: differentially private deep learning made easier and stronger"), so no quantile of private
 * norms has to be estimated.
 * @param examples public ones
 */
export async function adviseClip(
  bert: Bert,
  examples: readonly EncodedExample[],
  shape: BatchShape,
): Promise<ClipAdvice> {
  const norms: number[] = [];
  for (const { batch, rows } of microBatches(examples, [...examples.keys()], shape)) {
    const gradients = await bert.gradients(batch, { l2Clip: 1e6 });
    const left = new Set(gradients.dropped);
    for (const row of rows.keys()) if (!left.has(row)) norms.push(gradients.norms[row] as number);
  }
  norms.sort((a, b) => a - b);
  const at = (part: number): number => norms[Math.floor(part * norms.length)] ?? Number.NaN;
  return { examples: norms.length, norms: { low: at(0.1), median: at(0.5), high: at(0.9) }, clip: AUTOMATIC * at(0.5) };
}
