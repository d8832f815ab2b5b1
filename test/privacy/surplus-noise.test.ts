import { afterAll, describe, expect, test } from 'vitest';
import { seededRng } from '../../shared/core/rng.ts';
import { addComponents } from '../../shared/privacy/component-noise.ts';
import { mechanismParameters } from '../../shared/privacy/mechanism.ts';
import { componentsNeeded, noiseLadder } from '../../shared/privacy/noise-ladder.ts';
import { noiseOf, openedSeed, surplusOf, surplusSeeds } from '../../shared/secagg/noise-seeds.ts';
import { chiSquareScore } from '../support/discrete-gaussian.ts';

/** Numbers in a sum: the variance of so many is within 1 % of the law's, and a chi-square test sees a wrong law. */
const dimension = 2 ** 20;
const six = { clients: 6, minimumCohort: 4, colluders: 1 };
/** n_min = t. With five clients one may drop beside a colluder, two without. */
const groups = [{ clients: 5, minimumCohort: 4, colluders: 1 }, { clients: 5, minimumCohort: 3, colluders: 0 }, six];

/** What stays in the sum of the first `survivors` clients when the server has taken away all that it may. */
async function noiseLeft(group: typeof six, committedSigma: number, survivors: number): Promise<Int32Array> {
  const ladder = noiseLadder({ ...group, committedSigma });
  const sum = new Uint32Array(dimension);
  for (let u = 0; u < survivors; u++) {
    const id = `client-${u}`;
    const rng = seededRng(`${committedSigma}/${survivors}/${id}`);
    const context = { sid: rng.bytes(32), weightsSha256: '11'.repeat(32), layoutSha256: '22'.repeat(32) };
    const first = rng.bytes(32);
    const { seeds } = surplusSeeds(first, ladder, context, id);
    await addComponents(sum, noiseOf(first, ladder, context, id), 1);
    const position = openedSeed(ladder, survivors);
    if (position === undefined) continue;
    const { surplus } = surplusOf(seeds[position] as Uint8Array, position, ladder, context, id);
    await addComponents(sum, surplus, -1);
  }
  return new Int32Array(sum.buffer);
}

const cases = groups.flatMap((group) =>
  [0.25, 1, 3].flatMap((sigma) =>
    Array.from({ length: group.clients - group.minimumCohort + 1 }, (_, drops) => ({ ...group, sigma, drops })),
  ),
);
const measured: string[] = [];
afterAll(() => {
  process.stdout.write(`noise left in the sum, 2^20 numbers\n${measured.join('\n')}\n`);
});

describe('the noise that is left is σ²·m/(m − T_c), whoever dropped', () => {
  test.each(cases)(
    'n = $clients, T_c = $colluders, σ = $sigma clips, $drops gone: variance within 1 %, chi-square against the exact law',
    { timeout: 120_000 },
    async ({ sigma, drops, ...group }) => {
      const parameters = mechanismParameters({
        ...group,
        dimension,
        l2Clip: 1,
        noiseMultiplier: sigma,
        cohortMax: group.clients,
        ringBits: 32,
      });
      const survivors = group.clients - drops;
      const expected = parameters.committedSigma ** 2 * (survivors / (survivors - group.colluders));
      // The committed σ is the plan's, but for what rounding costs.
      expect(parameters.committedSigma / parameters.scale / sigma).toBeGreaterThan(1);
      expect(parameters.committedSigma / parameters.scale / sigma).toBeLessThan(1.005);
      const left = await noiseLeft(group, parameters.committedSigma, survivors);
      const ratio = left.reduce((sum, x) => sum + x * x, 0) / dimension / expected;
      const score = chiSquareScore(left, Math.sqrt(expected));
      measured.push(
        `n ${group.clients}  T_c ${group.colluders}  sigma ${sigma}  gone ${drops}  variance/claim ${ratio.toFixed(5)}  chi-square score ${score.toFixed(2)}`,
      );
      expect(Math.abs(ratio - 1)).toBeLessThan(0.01);
      expect(score).toBeLessThan(4);
    },
  );
});

describe('levels of noise', () => {
  test.each([
    { clients: 6, minimumCohort: 4, colluders: 1 },
    { clients: 16, minimumCohort: 9, colluders: 1 },
    { clients: 64, minimumCohort: 38, colluders: 10 },
    { clients: 1000, minimumCohort: 900, colluders: 100 },
  ])('%o: honest clients of any sum keep the committed variance together, and not much more', (rule) => {
    const committedSigma = 50_000;
    const ladder = noiseLadder({ ...rule, committedSigma });
    expect(ladder.levels.at(0)).toBe(rule.clients);
    expect(ladder.levels.at(-1)).toBe(rule.minimumCohort);
    for (let m = rule.minimumCohort; m <= rule.clients; m++) {
      const kept = ladder.sigmas.slice(0, componentsNeeded(ladder, m)).reduce((sum, s) => sum + s * s, 0);
      const honest = (kept * (m - rule.colluders)) / committedSigma ** 2;
      expect(honest).toBeGreaterThanOrEqual(1);
      expect(honest).toBeLessThan(rule.clients - rule.minimumCohort <= 8 ? 1 + 1e-9 : 1.13);
    }
  });

  test('who is given the seed of one component learns those after it and none before', () => {
    const ladder = noiseLadder({ ...six, committedSigma: 1000 });
    const context = { sid: new Uint8Array(32), weightsSha256: '11'.repeat(32), layoutSha256: '22'.repeat(32) };
    const first = seededRng('chain').bytes(32);
    const all = noiseOf(first, ladder, context, 'a').map(({ key, sigma }) => ({ key: key.slice(), sigma }));
    const { seeds, end } = surplusSeeds(first, ladder, context, 'a');
    for (const [position, seed] of seeds.entries()) {
      const opened = surplusOf(seed, position, ladder, context, 'a');
      expect(opened.surplus).toEqual(all.slice(position + 1));
      expect(opened.end).toEqual(end);
    }
    expect(openedSeed(ladder, 6)).toBe(0);
    expect(openedSeed(ladder, 5)).toBe(1);
    expect(openedSeed(ladder, 4)).toBeUndefined();
    // A sum below every level keeps all of its noise.
    expect(openedSeed(ladder, 3)).toBeUndefined();
  });
});
