import { afterEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../../coordinator/cli.ts';
import { epsilonOf } from '../../../shared/privacy/accountant/index.ts';

async function tacit(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += String(text);
    return true;
  });
  const code = await main(['privacy', ...args]);
  vi.restoreAllMocks();
  return { code, out, err };
}

const promise = ['--epsilon', '2', '--delta', '1e-5', '--records', '1000', '--rounds', '10,40'];

afterEach(() => vi.restoreAllMocks());

describe('tacit privacy plan', () => {
  it('lists choices that each cost the budget and hardly less, with the error that follows', async () => {
    const { code, out } = await tacit('plan', ...promise, '--batch', '100,1000', '--parameters', '16', '--json');
    expect(code).toBe(0);
    const { choices, epsilon, delta } = JSON.parse(out);
    expect([epsilon, delta, choices.length]).toEqual([2, 1e-5, 4]);
    for (const { rounds, batch, samplingProbability, noiseMultiplier, noiseError, noiseErrorOverRun } of choices) {
      expect(samplingProbability).toBe(batch / 1000);
      const spent = epsilonOf(
        [{ kind: 'poisson-gaussian', noiseMultiplier, samplingProbability, count: rounds }],
        1e-5,
      );
      expect(spent).toBeLessThanOrEqual(2);
      expect(spent).toBeGreaterThan(2 * (1 - 2e-6));
      expect(noiseError).toBeCloseTo((noiseMultiplier * 4) / batch, 12);
      expect(noiseErrorOverRun).toBeCloseTo(noiseError / Math.sqrt(rounds), 12);
    }
  });

  it('prints a table: a head, a line a choice, and what the errors mean', async () => {
    const { out } = await tacit('plan', ...promise, '--batch', '1000');
    expect(out.trim().split('\n')).toHaveLength(5);
    expect(out).toMatch(/rounds +batch +sampling +noise multiplier/);
    expect(out).toMatch(/\n +10 +1000 +1 +\d/);
  });

  it.each([
    [['--batch', '2000'], 'USAGE: 2000 is more than the 1000 records (--batch).'],
    [['--batch', '1.5'], 'USAGE: "1.5" is not a whole number above 0 (--batch).'],
  ])('refuses %j', async (flags, sentence) => {
    const { code, err } = await tacit('plan', ...promise, ...flags);
    expect([code, err.trim()]).toEqual([2, sentence]);
  });
});

it('tacit privacy epsilon prints what the loss is at least beside the bound', async () => {
  const mechanism = ['--noise-multiplier', '1', '--rounds', '100', '--delta', '1e-5', '--sampling-probability', '0.01'];
  const { epsilon, epsilonAtLeast } = JSON.parse((await tacit('epsilon', ...mechanism, '--json')).out);
  expect(epsilonAtLeast).toBeLessThan(epsilon);
  expect(epsilonAtLeast).toBeGreaterThan(0.95 * epsilon);
});
