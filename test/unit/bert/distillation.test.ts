import { expect, it } from 'vitest';
import { newBertConfig } from '../../../shared/bert/config.ts';
import { createDistillation } from '../../../shared/bert/distillation.ts';
import { encoderSpecs, fillGaussian, initialTensors } from '../../../shared/bert/parameters.ts';
import { seededRng, uniformInt } from '../../../shared/core/rng.ts';
import { onnxCpuEngine, tfjsWasmEngine } from '../../../shared/node/engines.ts';
import { distance, norm } from '../../support/tiny-bert.ts';

const config = newBertConfig({
  vocabSize: 40,
  hiddenSize: 16,
  layers: 2,
  heads: 2,
  intermediateSize: 32,
  maxPositions: 12,
});
const targetWidth = 10;
const rng = seededRng('distillation');
const tokens = 12;
const lengths = [12, 5, 9, 2];
const batch = {
  inputIds: Int32Array.from({ length: 48 }, () => 1 + uniformInt(rng, 39)),
  attentionMask: Int32Array.from({ length: 48 }, (_, i) =>
    i % tokens < (lengths[Math.floor(i / tokens)] ?? 0) ? 1 : 0,
  ),
  tokenTypeIds: new Int32Array(48),
  tokens,
};
const targets = new Float32Array(4 * targetWidth);
fillGaussian(targets, 1, rng);
for (let b = 0; b < 4; b++) {
  const row = targets.subarray(b * targetWidth, (b + 1) * targetWidth);
  const length = Math.hypot(...row);
  for (let i = 0; i < targetWidth; i++) row[i] = (row[i] as number) / length;
}

async function model(engine = onnxCpuEngine()) {
  const start = seededRng('start');
  const weights = initialTensors(encoderSpecs(config), { ...config, initializerRange: 0.3 }, start);
  const loss = { first: 0.5, similarity: 2 };
  return createDistillation({ engine, config, weights, targetWidth, loss, rng: start });
}

it('the gradient is the slope of the loss along itself and along every kind of parameter', async () => {
  const student = await model();
  const start = student.trainable();
  const { gradient } = await student.gradients(batch, targets);
  const lossAt = async (flat: Float32Array): Promise<number> => {
    student.setTrainable(flat);
    return (await student.gradients(batch, targets)).loss;
  };
  const parts = ['', 'word_embeddings', 'position', 'LayerNorm', 'layer.1.output.dense', 'query', 'first', 'last'];
  for (const part of parts) {
    const along = new Float32Array(gradient.length);
    for (const { name, offset, length } of student.trainableLayout.entries)
      if (name.includes(part)) along.set(gradient.subarray(offset, offset + length), offset);
    const length = norm(along);
    expect(length).toBeGreaterThan(0);
    const moved = (sign: number): Float32Array =>
      start.map((x, i) => x + (sign * 5e-3 * (along[i] as number)) / length);
    const slope = ((await lossAt(moved(1))) - (await lossAt(moved(-1)))) / 1e-2;
    expect(slope / length, part).toBeCloseTo(1, 1);
  }
  await student.dispose();
});

it('engines agree, and padding says nothing', async () => {
  const [onnx, wasm] = [await model(), await model(await tfjsWasmEngine())];
  const a = await onnx.gradients(batch, targets);
  const b = await wasm.gradients(batch, targets);
  expect(b.loss).toBeCloseTo(a.loss, 5);
  expect(distance(b.gradient, a.gradient)).toBeLessThan(1e-4);
  const inputIds = batch.inputIds.map((id, i) => (batch.attentionMask[i] === 0 ? 1 + (id % 39) : id));
  const other = await onnx.gradients({ ...batch, inputIds }, targets);
  expect(other.loss).toBeCloseTo(a.loss, 6);
  await Promise.all([onnx.dispose(), wasm.dispose()]);
});

it('the loss is what its parts say', async () => {
  const student = await model();
  const { loss, cosine, firstCosine } = await student.gradients(batch, targets);
  const rest = loss - (1 - cosine) - 0.5 * (1 - firstCosine);
  expect(rest).toBeGreaterThan(0);
  expect(Math.abs(cosine)).toBeLessThan(1);
  await expect(student.gradients(batch, targets.subarray(1))).rejects.toMatchObject({ code: 'BERT_BATCH_INVALID' });
  await student.dispose();
});
