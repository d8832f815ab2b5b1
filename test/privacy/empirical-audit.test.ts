import { describe, expect, it } from 'vitest';
import { seededRng } from '../../shared/core/rng.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { type AuditDemand, audit } from '../../shared/training/audit/audit.ts';
import { FAULTS, faulty } from '../support/audit-faults.ts';

// The small version of `npm run audit`: few canaries, the same four faults.
const oneRun: AuditDemand = {
  method: 'one-run',
  canaries: 512,
  rounds: 2000,
  samplingProbability: 0.01,
  l2Clip: 0.1,
  noiseMultiplier: 1.1,
  clients: 3,
  delta: 1e-5,
  confidence: 0.95,
};
const manyRuns: AuditDemand = {
  ...oneRun,
  method: 'many-runs',
  canaries: 150,
  rounds: 40,
  samplingProbability: 0.1,
  noiseMultiplier: 2,
};

describe('an audit from the released sums of real training', () => {
  it.each([oneRun, manyRuns])('stays under the claim where the product keeps its word: $method', async (demand) => {
    const { claim, verdict, holds } = await audit(demand, onnxCpuEngine(), seededRng('sound'));
    expect(holds).toBe(true);
    expect(verdict.epsilonLowerBound).toBeLessThanOrEqual(claim.toView().epsilon);
    // It is no blind attack: it guesses better than a coin.
    expect(verdict.correct / verdict.guesses).toBeGreaterThan(0.55);
  });

  it.each(FAULTS)('refutes the claim in one run: %s', async (fault) => {
    const { claim, verdict, holds } = await audit(oneRun, onnxCpuEngine(), seededRng('fault'), faulty(fault));
    expect(verdict.epsilonLowerBound).toBeGreaterThan(claim.toView().epsilon);
    expect(holds).toBe(false);
  });

  it.each(FAULTS.filter((fault) => fault !== 'shuffled sampling'))(
    'refutes the claim in many runs: %s',
    async (fault) => {
      const { holds } = await audit(manyRuns, onnxCpuEngine(), seededRng('fault'), faulty(fault));
      expect(holds).toBe(false);
    },
  );
});
