import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { epsilonOf } from '../../../../shared/privacy/accountant/index.ts';

interface Row {
  readonly noiseMultiplier: number;
  readonly samplingRate: number;
  readonly steps: number;
  readonly delta: number;
  readonly pldEpsilon: number;
  readonly cleanEpsilon: number;
  /** What a double-precision transform may do to dp_accounting's value. */
  readonly pldMayBeOffBy: number;
}
const { poisson } = JSON.parse(
  readFileSync(new URL('../../../vectors/accounting-random.json', import.meta.url), 'utf8'),
) as { poisson: readonly Row[] };

describe('parameters drawn at random (bench/peers/accounting_vectors.py)', () => {
  it.each(poisson)('σ = $noiseMultiplier, q = $samplingRate, T = $steps, δ = $delta', (row) => {
    const { noiseMultiplier, samplingRate: samplingProbability, steps: count, delta } = row;
    const epsilon = epsilonOf([{ kind: 'poisson-gaussian', noiseMultiplier, samplingProbability, count }], delta);
    expect(epsilon - row.cleanEpsilon).toBeLessThan(1e-6);
    expect(epsilon - row.cleanEpsilon).toBeGreaterThan(-1e-8);
    expect(Math.abs(epsilon - row.pldEpsilon)).toBeLessThan(1e-6 + row.pldMayBeOffBy);
  });
});
