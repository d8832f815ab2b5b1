import { join } from 'node:path';
import { tfjsWasmEngine } from '../../shared/node/engines.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import type { BrowserResult } from '../browser/main.ts';
import { inChromium, withPages } from '../in-chromium.ts';
import { absent, atMost, type BenchRow } from '../row.ts';
import { configOf, l2Clip, openTrainee, type Shape, shapes, weightsOf } from './ours.ts';

/** The tiny shape in Chromium beside TensorFlow.js' wasm in Node. */
export async function browserRows(): Promise<BenchRow[]> {
  try {
    return await withPages(join(packageRoot, 'bench', 'browser'), compared);
  } catch (cause) {
    return [absent('training', 'Chromium', cause instanceof Error ? cause.message : String(cause))];
  }
}

async function compared(pages: string): Promise<BenchRow[]> {
  // Before and after, so that a change of the machine's speed is seen from both sides.
  const before = await nodeWasm();
  const wasm = await inChromium<BrowserResult>(pages, 'tfjs wasm');
  const after = await nodeWasm();
  const rows: BenchRow[] = [];
  const node = Math.min(before, after);
  if (wasm.error !== undefined) return [absent('training', 'Chromium wasm', wasm.error)];
  const title = 'tiny private step, Chromium wasm on one thread ÷ Node wasm';
  rows.push(atMost('training', title, { value: Math.min(...wasm.milliseconds), unit: 'ms', baseline: node }, 2));
  const longest = { value: wasm.longestTaskMs, unit: 'ms', note: '0: no task of the page took 50 ms' };
  rows.push(atMost('training', 'Chromium, longest main-thread task while training', longest, 50));
  for (const engine of ['tfjs webgl', 'tfjs webgpu']) {
    const result = await inChromium<BrowserResult>(pages, engine);
    const value = Math.min(...result.milliseconds);
    const row = `tiny private step, Chromium ${engine} ÷ Node wasm`;
    rows.push(
      result.error === undefined
        ? atMost('training', row, { value, unit: 'ms', baseline: node }, null)
        : absent('training', row, result.error),
    );
  }
  return rows;
}

async function nodeWasm(): Promise<number> {
  const shape = shapes['tiny'] as Shape;
  const config = configOf(shape);
  const trainee = await openTrainee(await tfjsWasmEngine(), shape, config, weightsOf(config), 'all');
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    const start = performance.now();
    await trainee.step(l2Clip);
    times.push(performance.now() - start);
  }
  await trainee.dispose();
  return Math.min(...times.slice(1));
}
