import { expect, it } from 'vitest';
import type { Bert } from '../../../shared/bert/model.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { onnxCpuEngine, tfjsWasmEngine } from '../../../shared/node/engines.ts';
import { distance, norm, only, tinyBatch, tinyBert } from '../../support/tiny-bert.ts';

const batch = tinyBatch(seededRng('dropout'));
const plain = { l2Clip: Number.POSITIVE_INFINITY, dropoutSeed: 7 };
const head = { head: 'pooler' } as const;

async function totalLoss(bert: Bert, flat: Float32Array): Promise<number> {
  bert.setTrainable(flat);
  const { losses } = await bert.gradients(batch, plain);
  return losses.reduce((sum, x) => sum + x, 0);
}

it('a seed decides the masks, the same on every engine', async () => {
  const onnx = await tinyBert(onnxCpuEngine(), head);
  const wasm = await tinyBert(await tfjsWasmEngine(), head);
  const [a, b, other, none] = [
    await onnx.gradients(batch, plain),
    await wasm.gradients(batch, plain),
    await onnx.gradients(batch, { ...plain, dropoutSeed: 8 }),
    await onnx.gradients(batch, { l2Clip: Number.POSITIVE_INFINITY }),
  ];
  expect(distance(b.clippedSum, a.clippedSum)).toBeLessThan(1e-5);
  expect(distance(other.clippedSum, a.clippedSum)).toBeGreaterThan(0.1);
  expect(distance(none.clippedSum, a.clippedSum)).toBeGreaterThan(0.1);
  await Promise.all([onnx.dispose(), wasm.dispose()]);
});

it('the gradient is the slope of the loss under the same masks, and norms are the examples’ own', async () => {
  const bert = await tinyBert(onnxCpuEngine(), head);
  const start = bert.trainable();
  const { clippedSum } = await bert.gradients(batch, plain);
  const length = norm(clippedSum);
  const step = 5e-3;
  const moved = (sign: number): Float32Array =>
    start.map((x, i) => x + (sign * step * (clippedSum[i] as number)) / length);
  const slope = ((await totalLoss(bert, moved(1))) - (await totalLoss(bert, moved(-1)))) / (2 * step);
  expect(slope / length).toBeCloseTo(1, 2);
  bert.setTrainable(start);
  const { norms } = await bert.gradients(batch, { l2Clip: 1, dropoutSeed: 7 });
  for (const b of batch.weights.keys()) {
    const single = await bert.gradients(only(batch, [b]), plain);
    expect((norms[b] as number) / norm(single.clippedSum)).toBeCloseTo(1, 5);
  }
  await bert.dispose();
});
