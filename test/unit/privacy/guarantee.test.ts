import { describe, expect, it } from 'vitest';
import { errorCode } from '../../../shared/core/errors.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { epsilonOf } from '../../../shared/privacy/accountant/index.ts';
import { checkCohort } from '../../../shared/privacy/claims.ts';
import { guessingChance, oddsInWords } from '../../../shared/privacy/explain.ts';
import {
  type Claim,
  type ClaimedStage,
  guaranteesFor,
  type PrivacyGuarantee,
} from '../../../shared/privacy/guarantee.ts';
import { type MechanismDemand, mechanismParameters, privatise } from '../../../shared/privacy/mechanism.ts';

const mechanism = mechanismParameters({
  dimension: 1000,
  l2Clip: 1,
  noiseMultiplier: 1.5,
  minimumCohort: 4,
  colluders: 1,
  cohortMax: 5,
  ringBits: 32,
});
const stage = (changes: Partial<ClaimedStage> = {}): ClaimedStage => ({
  sampling: 'poisson',
  samplingProbability: 0.1,
  rounds: 40,
  noiseMultiplier: 1.5,
  contribution: 'unit-gradient',
  mechanism,
  ...changes,
});
const claim = (changes: Partial<Claim> = {}): Claim => ({
  unit: 'record',
  delta: 1e-5,
  stages: [stage()],
  minimumCohort: 4,
  colluders: 1,
  ...changes,
});
const codeOf = (action: () => unknown): string | undefined => {
  try {
    return `returned ${String(action())}`;
  } catch (error) {
    return errorCode(error);
  }
};

describe('a guarantee', () => {
  it('is given against three adversaries, weakest first, each with what it rests on', () => {
    const views = guaranteesFor(claim()).map((g) => g.toView());
    expect(views.map((v) => v.adversary)).toEqual(['coordinator', 'coordinator + 1 colluder', 'everyone but you']);
    const [coordinator, colluder, everyone] = views.map((v) => v.epsilon) as [number, number, number];
    expect(coordinator).toBeLessThan(colluder);
    expect(colluder).toBeLessThan(everyone);
    // The committed multiplier is what the accountant may use against coordinator + colluders.
    const asCommitted = epsilonOf(
      [{ kind: 'poisson-gaussian', noiseMultiplier: 1.5, samplingProbability: 0.1, count: 40 }],
      1e-5,
    );
    expect(Math.abs(colluder / asCommitted - 1)).toBeLessThan(1e-8);
    for (const view of views) {
      expect(view.unit).toBe('record');
      expect(view.neighbouringRelation).toBe('add or remove one record');
      expect(view.assumptions.length).toBeGreaterThan(2);
      expect(view.odds).toContain('times in 100');
    }
  });

  it('computes its odds', () => {
    expect(guessingChance(0, 0)).toBe(0.5);
    expect(guessingChance(Math.log(3), 0)).toBeCloseTo(0.75, 12);
    expect(guessingChance(1000, 0)).toBe(1);
    expect(oddsInWords(0, 0, 'record')).toContain('right at most 50 times in 100');
    expect(oddsInWords(3, 1e-5, 'record')).toContain('right at most 95.3 times in 100');
  });

  it('a bare ε cannot be printed: there is no guarantee to make out of a number', () => {
    // @ts-expect-error a number is not a guarantee
    const bare: PrivacyGuarantee = 3;
    expect(typeof bare).toBe('number');
    // @ts-expect-error nor is an object of the same shape
    const forged: PrivacyGuarantee = { toView: () => ({}), toJSON: () => ({}), toString: () => 'ε = 3' };
    expect(forged).not.toBeInstanceOf((guaranteesFor(claim())[0] as object).constructor as never);
    const Forge = (guaranteesFor(claim())[0] as object).constructor as new (key: symbol, json: unknown) => unknown;
    expect(codeOf(() => new Forge(Symbol('guarantee'), { epsilon: 0.1 }))).toBe('PRIVACY_CLAIM_FALSE');
    expect(String(guaranteesFor(claim())[0])).toMatch(/^ε = .* at δ = .* for one record against coordinator/);
  });
});

describe('an impossible claim is refused', () => {
  it('amplification without Poisson sampling', () => {
    const shuffled = claim({ stages: [stage({ sampling: 'shuffled' })] });
    expect(codeOf(() => guaranteesFor(shuffled))).toBe('PRIVACY_CLAIM_FALSE');
    const everyone = claim({ stages: [stage({ sampling: 'everyone', samplingProbability: 1, rounds: 2 })] });
    expect(guaranteesFor(everyone)).toHaveLength(3);
  });

  it('clipping a delta of un-noised local steps claimed as record level', () => {
    const stages = [stage({ contribution: 'model-delta', sampling: 'everyone', samplingProbability: 1, rounds: 2 })];
    expect(codeOf(() => guaranteesFor(claim({ stages })))).toBe('PRIVACY_CLAIM_FALSE');
    expect(codeOf(() => guaranteesFor(claim({ stages, unit: 'person' })))).toBe('PRIVACY_CLAIM_FALSE');
    expect(guaranteesFor(claim({ stages, unit: 'client' }))).toHaveLength(3);
  });

  it('a typed sensitivity', () => {
    // @ts-expect-error the sensitivity follows from the clip; there is no word for it
    const typed: MechanismDemand = { ...mechanism, sensitivity: 1e-4, dimension: 1000 };
    expect(mechanismParameters(typed).sensitivity).toBe(mechanism.sensitivity);
  });

  it('noise under the committed σ', () => {
    expect(codeOf(() => guaranteesFor(claim({ stages: [stage({ noiseMultiplier: 1.6 })] })))).toBe(
      'PRIVACY_NOISE_TOO_SMALL',
    );
    expect(codeOf(() => guaranteesFor(claim({ colluders: 2 })))).toBe('PRIVACY_NOISE_TOO_SMALL');
    expect(codeOf(() => guaranteesFor(claim({ colluders: 4 })))).toBe('PRIVACY_NOISE_TOO_SMALL');
  });

  it('a cohort under n_min', () => {
    checkCohort(4, mechanism);
    expect(codeOf(() => checkCohort(3, mechanism))).toBe('PRIVACY_NOISE_TOO_SMALL');
    expect(codeOf(() => checkCohort(Number.NaN, mechanism))).toBe('PRIVACY_NOISE_TOO_SMALL');
  });

  it('ε spent per tensor: a part of the update cannot be privatised on its own', () => {
    const tensor = new Float32Array(500);
    expect(codeOf(() => privatise(tensor, mechanism, seededRng('tensor'), 1))).toBe('PRIVACY_VECTOR_INVALID');
  });

  it('a δ that rounding alone uses up', () => {
    expect(codeOf(() => guaranteesFor(claim({ delta: 1e-17 })))).toBe('PRIVACY_DELTA_UNREACHABLE');
  });
});
