import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  calibrateNoise,
  deltaOf,
  epsilonOf,
  type PrivacyEvent,
  rdpEpsilon,
  rdpOf,
  zcdpEpsilon,
} from '../../../../shared/privacy/accountant/index.ts';

const vectors = JSON.parse(readFileSync(new URL('../../../vectors/accounting.json', import.meta.url), 'utf8'));
// biome-ignore lint/suspicious/noExplicitAny: rows of a JSON file
type Row = any;

const poisson = (row: Row): PrivacyEvent => ({
  kind: 'poisson-gaussian',
  noiseMultiplier: row.noiseMultiplier,
  samplingProbability: row.samplingRate,
  count: row.steps ?? 1,
});
const gaussian = (row: Row): PrivacyEvent => ({
  kind: 'gaussian',
  noiseMultiplier: row.noiseMultiplier,
  count: row.steps,
});
const relative = (value: number, expected: number): number => Math.abs(value / expected - 1);

describe('accounting.json', () => {
  it.each(vectors.gaussian_exact as Row[])('Gaussian σ=$noiseMultiplier, T=$steps, δ=$delta', (row) => {
    expect(relative(epsilonOf([gaussian(row)], row.delta), row.epsilon)).toBeLessThan(1e-10);
  });
  it.each(vectors.gaussian_delta_exact as Row[])('Gaussian σ=$noiseMultiplier, T=$steps, ε=$epsilon', (row) => {
    expect(relative(deltaOf([gaussian(row)], row.epsilon), row.delta)).toBeLessThan(1e-9);
  });
  it.each([...vectors.poisson, ...vectors.heterogeneous] as Row[])(
    'PLD of $noiseMultiplier $samplingRate $steps $id',
    (row) => {
      const events = (row.parts ?? [row]).map(poisson);
      const steps = (row.parts ?? [row]).reduce((n: number, p: Row) => n + p.steps, 0);
      expect(Math.abs(epsilonOf(events, row.delta) - row.cleanEpsilon)).toBeLessThan(row.epsilonTolerance);
      for (const { epsilon, cleanDelta } of row.pldDeltas) {
        expect(Math.abs(deltaOf(events, epsilon) - cleanDelta)).toBeLessThan(1e-6 * cleanDelta + steps * 1e-15);
      }
    },
  );
  it.each(vectors.poisson_single_step_exact as Row[])('one step ε: σ=$noiseMultiplier, q=$samplingRate', (row) => {
    expect(relative(epsilonOf([poisson(row)], row.delta), row.epsilon)).toBeLessThan(1e-10);
  });
  it.each(vectors.poisson_single_step_delta_exact as Row[])(
    'one step δ: σ=$noiseMultiplier, q=$samplingRate',
    (row) => {
      expect(relative(deltaOf([poisson(row)], row.epsilon), row.delta)).toBeLessThan(1e-9);
    },
  );
  it.each(vectors.zcdp as Row[])('zCDP ρ=$rho, δ=$delta', (row) => {
    expect(relative(zcdpEpsilon(row.rho, row.delta), row.epsilon)).toBeLessThan(1e-10);
  });
  it('RDP per order and its ε', () => {
    const { orders, defaultOrders, cases } = vectors.rdp;
    for (const row of cases) {
      const perStep = rdpOf([{ ...poisson(row), count: 1 }], orders);
      for (const [i, value] of perStep.entries()) expect(relative(value, row.rdpPerStep[i])).toBeLessThan(1e-9);
      expect(relative(rdpEpsilon([poisson(row)], row.delta, orders).epsilon, row.epsilon)).toBeLessThan(1e-9);
      const byDefault = rdpEpsilon([poisson(row)], row.delta, defaultOrders).epsilon;
      expect(relative(byDefault, row.epsilonDefaultOrders)).toBeLessThan(1e-9);
    }
    const mixed = vectors.heterogeneous[0];
    const { epsilon } = rdpEpsilon(mixed.parts.map(poisson), mixed.delta, orders);
    expect(relative(epsilon, mixed.rdpEpsilon)).toBeLessThan(1e-9);
  });
  it.each(vectors.calibration as Row[])('noise for ε=$epsilon', (row) => {
    const stages = [{ samplingProbability: row.samplingRate, rounds: row.steps, share: 1 }];
    const noiseMultiplier = calibrateNoise({ epsilon: row.epsilon, delta: row.delta, stages })[0] as number;
    expect(relative(noiseMultiplier, row.noiseMultiplierPld)).toBeLessThan(1e-5);
    expect(epsilonOf([{ ...poisson(row), noiseMultiplier }], row.delta)).toBeLessThanOrEqual(row.epsilon);
  });
});
