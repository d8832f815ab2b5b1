import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { caseFiles } from '../support/case-files.ts';
import type { CaseRequest, CaseResult } from './harness/engine-worker.ts';
import type { Harness } from './harness/main.ts';
import { sharedHarness } from './serve-harness.ts';

declare const harness: Harness;

const openHarness = sharedHarness();

const MANY_MASKED = 'bert-variants/pretrain-many-masked';
const CASES = ['tfjs wasm', 'tfjs webgl'].flatMap((engine) =>
  ['bert-tiny', 'lora-tiny', 'bert-pretrain-tiny', MANY_MASKED].map((directory) => [engine, directory] as const),
);

describe('engines in a worker of Chromium', () => {
  it.each(CASES)('%s agrees with the vectors of %s', async (engine, directory) => {
    const files = [...caseFiles(join(import.meta.dirname, '..', 'vectors', directory)).keys()];
    const { page, complaints } = await openHarness();
    const result = await check(page, { engine, directory, files });
    expect(result).toHaveProperty('findings');
    const { findings } = result as Extract<CaseResult, { findings: unknown }>;
    expect(findings.length).toBeGreaterThan(5);
    console.log(
      `${engine} on ${directory}: worst error ${Math.max(...findings.map((f) => f.error / f.tolerance)).toPrecision(3)} of its tolerance`,
    );
    // WebGL may be a thousandth off; the largest error is in the norm of a decoder tied to few pieces, 5e-4.
    const allowed = engine === 'tfjs webgl' && directory === MANY_MASKED ? 1e-3 : 0;
    expect(findings.filter((f) => !(f.error <= Math.max(f.tolerance, allowed)))).toEqual([]);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('the worker takes the fastest engine whose gradients are right, and says why not the others', async () => {
    const { page, complaints } = await openHarness();
    const result = await check(page, { engine: 'choose', directory: '', files: [] });
    expect(result).toHaveProperty('report');
    const { report, engine, secondsPerExample } = result as Extract<CaseResult, { report: unknown }>;
    console.log(report.map((row) => `${row.name}: ${row.state}, ${row.reason}`).join('\n'));
    const used = report.filter((row) => row.state === 'used');
    expect(used.map((row) => row.name)).toEqual([engine]);
    expect(report.every((row) => row.reason !== '')).toBe(true);
    expect(
      report
        .filter((row) => row.state === 'slower')
        .every((row) => (row.milliseconds ?? 0) >= (used[0]?.milliseconds ?? 0)),
    ).toBe(true);
    expect(report.map((row) => row.name).sort()).toEqual(['tfjs cpu', 'tfjs wasm', 'tfjs webgl', 'tfjs webgpu']);
    expect(secondsPerExample).toBeGreaterThan(0);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('a context lost in the middle of a round: the step is done again elsewhere, and no example counts twice', async () => {
    const { page } = await openHarness();
    const result = await check(page, { engine: 'lose context', directory: '', files: [] });
    expect(result).toMatchObject({ switches: ['tfjs webgl → tfjs wasm'], examples: 11 });
    expect((result as { difference: number }).difference).toBeLessThan(1e-3);
    await page.context().close();
  });

  function check(page: Page, request: CaseRequest): Promise<CaseResult> {
    return page.evaluate((r) => harness.checkEngine(r), request);
  }
});
