import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { errorCode } from '../../../../shared/core/errors.ts';
import { seededRng, uniform } from '../../../../shared/core/rng.ts';
import { epsilonLowerBound, type Guesses, guessingPValue } from '../../../../shared/privacy/audit/lower-bound.ts';

describe('the lower bound of one-run auditing', () => {
  it('is that of the binomial tail where δ = 0', () => {
    // All of r guesses right: (e^ε/(1 + e^ε))^r = 1 − confidence.
    for (const r of [10, 100, 1000]) {
      const p = 0.05 ** (1 / r);
      const bound = epsilonLowerBound({ canaries: r, guesses: r, correct: r }, 0, 0.95);
      expect(bound).toBeCloseTo(Math.log(p / (1 - p)), 8);
    }
    expect(guessingPValue({ canaries: 2, guesses: 2, correct: 1 }, 0, 0)).toBeCloseTo(0.75, 12);
  });

  it('adds δ by the steepest part of the tail: by hand for two guesses', () => {
    // ε = 0, r = v = 2: f(2) = ¼, f(1) − f(2) = ½, (f(0) − f(2))/2 = ⅜; 2mδ·½.
    const p = guessingPValue({ canaries: 50, guesses: 2, correct: 2 }, 0, 1e-3);
    expect(p).toBeCloseTo(0.25 + 2 * 50 * 1e-3 * 0.5, 12);
  });

  it('shows nothing from guesses no better than a coin, and less for a larger δ or confidence', () => {
    expect(epsilonLowerBound({ canaries: 1000, guesses: 1000, correct: 510 }, 1e-5, 0.95)).toBe(0);
    expect(epsilonLowerBound({ canaries: 1000, guesses: 0, correct: 0 }, 1e-5, 0.95)).toBe(0);
    const at = (delta: number, confidence: number) =>
      epsilonLowerBound({ canaries: 1000, guesses: 500, correct: 450 }, delta, confidence);
    expect(at(1e-5, 0.95)).toBeLessThan(at(0, 0.95));
    expect(at(1e-5, 0.99)).toBeLessThan(at(1e-5, 0.95));
  });

  it('is exceeded by randomised response itself at most as often as it says', () => {
    const rng = seededRng('randomised response');
    const right = Math.exp(1) / (1 + Math.exp(1));
    let above = 0;
    for (let trial = 0; trial < 400; trial++) {
      let correct = 0;
      for (let i = 0; i < 200; i++) if (uniform(rng) < right) correct++;
      if (epsilonLowerBound({ canaries: 200, guesses: 200, correct }, 0, 0.9) > 1) above++;
    }
    expect(above).toBeLessThan(60);
    expect(above).toBeGreaterThan(10);
  });

  it.each([
    { canaries: 0, guesses: 0, correct: 0 },
    { canaries: 10, guesses: 11, correct: 5 },
    { canaries: 10, guesses: 5, correct: 6 },
    { canaries: 10, guesses: 5.5, correct: 5 },
    { canaries: Number.NaN, guesses: 5, correct: 5 },
  ])('refuses %j', (seen) => {
    expect(() => epsilonLowerBound(seen, 1e-5, 0.95)).toThrow();
    try {
      epsilonLowerBound(seen, 1e-5, 0.95);
    } catch (error) {
      expect(errorCode(error)).toBe('PRIVACY_PARAMETER_INVALID');
    }
  });

  it.each([0, 1, -1, Number.NaN])('refuses a confidence of %d', (confidence) => {
    const seen = { canaries: 10, guesses: 5, correct: 5 };
    expect(() => epsilonLowerBound(seen, 1e-5, confidence)).toThrow(
      expect.objectContaining({ code: 'PRIVACY_PARAMETER_INVALID' }),
    );
  });
});

describe('the bound by another implementation (bench/peers/audit_vectors.py, scipy)', () => {
  const { rows } = JSON.parse(readFileSync(new URL('../../../vectors/audit.json', import.meta.url), 'utf8')) as {
    rows: (Guesses & Record<'delta' | 'confidence' | 'epsilonLowerBound' | 'pValueAtEpsilon1', number>)[];
  };

  it.each(rows)('$correct of $guesses about $canaries canaries, δ = $delta, confidence $confidence', (row) => {
    const { canaries, guesses, correct, delta, confidence } = row;
    const seen = { canaries, guesses, correct };
    expect(Math.abs(epsilonLowerBound(seen, delta, confidence) - row.epsilonLowerBound)).toBeLessThan(1e-8);
    expect(Math.abs(guessingPValue(seen, 1, delta) - row.pValueAtEpsilon1)).toBeLessThan(1e-10);
  });
});
