/** What the released sums say about one canary. */
export interface CanaryTrace {
  /** The coin: whether the canary was among the records. The statistics never look at it. */
  readonly included: boolean;
  /** Inner product of every round's released sum with the canary's clipped gradient, over the squared clip: 1 if sampled, plus noise. */
  readonly products: Float32Array;
  /** q of the plan, in (0, 1]. */
  readonly samplingProbability: number;
  /** σ/C that the plan states: the standard deviation of the noise in `products`. */
  readonly noiseMultiplier: number;
}

/**
 * Scores that are higher for canaries that were in. Each would be a fair test by itself; together they also see what a
 * single one is blind to.
 */
export const STATISTICS = {
  /** Optimal where every round has every record; sees missing clipping and missing noise. */
  sum: ({ products }: CanaryTrace): number => products.reduce((sum, x) => sum + x, 0),
  /** Log-likelihood ratio of Poisson sampling against absence: optimal where the plan keeps its word. */
  sampled: ({ products, samplingProbability: q, noiseMultiplier: sigma }: CanaryTrace): number =>
    products.reduce((sum, x) => sum + Math.log1p(q * Math.expm1((x - 0.5) / (sigma * sigma))), 0),
  /** Log-likelihood ratio of a fixed place in every epoch of 1/q rounds: sees batches that are dealt once. */
  fixedPlace: (trace: CanaryTrace): number => {
    const { noiseMultiplier: sigma } = trace;
    const { sums, epochs } = placeSums(trace);
    const logs = sums.map((sum) => (sum - epochs / 2) / (sigma * sigma));
    const top = Math.max(...logs);
    return top + Math.log(logs.reduce((total, log) => total + Math.exp(log - top), 0));
  },
  /** Variance over the rounds: where noise is reused it cancels, and only being sampled or not is left. */
  spread: ({ products }: CanaryTrace): number => {
    const mean = products.reduce((sum, x) => sum + x, 0) / products.length;
    return products.reduce((sum, x) => sum + (x - mean) ** 2, 0) / products.length;
  },
} as const;
export type StatisticName = keyof typeof STATISTICS;

/** Sums over the rounds that stand at the same place of their epoch. */
function placeSums({ products, samplingProbability }: CanaryTrace): { sums: number[]; epochs: number } {
  const places = Math.min(products.length, Math.round(1 / samplingProbability));
  const epochs = Math.floor(products.length / places);
  const sums = Array.from({ length: places }, () => 0);
  for (let t = 0; t < places * epochs; t++) sums[t % places] = (sums[t % places] as number) + (products[t] as number);
  return { sums, epochs };
}
