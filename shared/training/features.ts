import type { Bert } from '../bert/model.ts';
import { type Examples, readExamples } from '../text/encode.ts';
import { type BatchShape, microBatches } from './batches.ts';

/** Frozen features of a client's records: computed once, so that a head-only round costs milliseconds. */
export interface FeatureCache {
  /** Rows of the examples, rows.length × featureLength; what is missing is computed. */
  rows(indices: readonly number[]): Promise<Float32Array>;
  readonly cachedBytes: number;
}

/**
 * @param maximumBytes - bound on what is kept; records beyond it are computed each time
 */
export function createFeatureCache(
  bert: Pick<Bert, 'features' | 'featureLength'>,
  examples: Examples,
  shape: BatchShape,
  maximumBytes: number = 256 << 20,
): FeatureCache {
  const width = bert.featureLength;
  const kept = new Map<number, Float32Array>();
  const room = Math.floor(maximumBytes / (width * 4));
  const compute = async (missing: readonly number[]): Promise<Map<number, Float32Array>> => {
    const found = new Map<number, Float32Array>();
    for (const { batch, rows } of microBatches(readExamples(examples, missing), missing, shape)) {
      const features = await bert.features(batch);
      for (const [row, index] of rows.entries()) found.set(index, features.slice(row * width, (row + 1) * width));
    }
    return found;
  };
  return {
    async rows(indices) {
      const fresh = await compute(indices.filter((i) => !kept.has(i)));
      for (const [index, feature] of fresh) if (kept.size < room) kept.set(index, feature);
      const out = new Float32Array(indices.length * width);
      for (const [row, index] of indices.entries())
        out.set((kept.get(index) ?? fresh.get(index)) as Float32Array, row * width);
      return out;
    },
    get cachedBytes() {
      return kept.size * width * 4;
    },
  };
}
