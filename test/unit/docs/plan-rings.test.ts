import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { errorCode } from '../../../shared/core/errors.ts';
import type { RingBits } from '../../../shared/kernels/packing.ts';
import { mechanismParameters } from '../../../shared/privacy/mechanism.ts';

/** What a ring costs and holds with 16 clients, 10 at least, 1 colluder. */
function cell(dimension: number, noiseMultiplier: number, ringBits: RingBits, oneUnit: boolean): string {
  const cohort = { minimumCohort: 10, colluders: 1, cohortMax: 16 };
  try {
    const { sensitivity, scale, blockLimit } = mechanismParameters({
      dimension,
      l2Clip: 1,
      noiseMultiplier,
      ...cohort,
      ringBits,
      oneUnit,
    });
    const cost = `${(100 * (sensitivity / scale - 1)).toFixed(1)} %`;
    return oneUnit ? cost : `${cost}, ${Math.floor(blockLimit)} units`;
  } catch (error) {
    expect(errorCode(error)).toBe('PRIVACY_RING_WRAPS');
    return 'refused';
  }
}

it('docs/PLAN.md has the table of rings that the code allows', async () => {
  const rows = [1e4, 3e5, 1e6, 1e7, 1.1e8].flatMap((d) =>
    [0.5, 1, 2].map((z) => {
      const cells = ([20, 16] as const).flatMap((bits) => [cell(d, z, bits, false), cell(d, z, bits, true)]);
      return `| ${d.toLocaleString('en-US')} | ${z} | ${cells.join(' | ')} |`;
    }),
  );
  expect(await readFile(new URL('../../../docs/PLAN.md', import.meta.url), 'utf8')).toContain(rows.join('\n'));
});
