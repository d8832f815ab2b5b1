/** Exact probabilities of the integers −reach…reach, summed here independently of the sampler. */
export function exactLaw(sigma: number): { reach: number; probability: (x: number) => number; variance: number } {
  const reach = Math.ceil(14 * sigma) + 3;
  let total = 0;
  let second = 0;
  for (let x = -reach; x <= reach; x++) {
    const p = Math.exp((-x * x) / (2 * sigma * sigma));
    total += p;
    second += p * x * x;
  }
  return { reach, probability: (x) => Math.exp((-x * x) / (2 * sigma * sigma)) / total, variance: second / total };
}

/** Chi-square over cells wide enough for 100 expected samples, as a normal score (Wilson–Hilferty). */
export function chiSquareScore(values: Int32Array, sigma: number): number {
  const { reach, probability } = exactLaw(sigma);
  const counts = new Float64Array(2 * reach + 1);
  for (const x of values) counts[x + reach] = (counts[x + reach] as number) + 1;
  let chi = 0;
  let cells = 0;
  let expected = 0;
  let observed = 0;
  for (let x = -reach; x <= reach; x++) {
    expected += probability(x) * values.length;
    observed += counts[x + reach] as number;
    if (expected >= 100) {
      chi += (observed - expected) ** 2 / expected;
      cells++;
      expected = 0;
      observed = 0;
    }
  }
  const freedom = Math.max(cells - 1, 1);
  return ((chi / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / Math.sqrt(2 / (9 * freedom));
}
