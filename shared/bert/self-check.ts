import { seededRng } from '../core/rng.ts';
import type { Engine } from '../engine/engine.ts';
import type { Proof } from '../engine/select.ts';
import { elements, type NamedTensor } from '../tensor/named.ts';
import { newBertConfig } from './config.ts';
import { createBert } from './model.ts';
import { classifierSpecs, encoderSpecs, initialTensors, poolerSpecs } from './parameters.ts';
import { type CheckNumbers, selfCheckExpected } from './self-check-expected.ts';
import type { Bert, LabelledBatch } from './types.ts';

/** GPUs round differently from processors, and WebGL may keep fewer bits; wrong kernels are wrong by far more. */
export const GPU_TOLERANCE = 2e-3;
const labels = 3;
const shape = { batch: 4, tokens: 24 };
const l2Clip = 8;

/**
 * Lets an engine compute the private gradients of a small fixed model and compares them with stored numbers, then times
 * a step of a larger one.
 * @param tolerance largest relative error; 1e-4 tells any wrong kernel from float32 rounding, GPUs need GPU_TOLERANCE
 */
export async function selfCheck(engine: Engine, tolerance = 1e-4): Promise<Proof> {
  const wrong = firstDifference(await checkNumbers(engine), selfCheckExpected, tolerance);
  return { wrong, milliseconds: wrong === undefined ? await benchmark(engine) : Number.NaN };
}

/** The numbers of the fixed model on this engine. */
export async function checkNumbers(engine: Engine): Promise<CheckNumbers> {
  const config = newBertConfig({
    vocabSize: 97,
    hiddenSize: 64,
    layers: 2,
    heads: 4,
    intermediateSize: 112,
    maxPositions: 32,
  });
  const specs = [...encoderSpecs(config), ...poolerSpecs(config), ...classifierSpecs(labels, config.hiddenSize)];
  const weights = new Map(
    specs.map((spec, i): [string, NamedTensor] => [spec.name, { ...spec, data: waves(elements(spec.shape), i) }]),
  );
  const options = {
    engine,
    config,
    weights,
    head: 'pooler',
    labels,
    task: 'single_label',
    trainable: 'all',
    shape,
  } as const;
  const bert = await createBert({ ...options, rng: seededRng('unused') });
  const gradients = await bert.gradients(fixedBatch(shape, config.vocabSize), { l2Clip });
  const entries = bert.trainableLayout.entries.map(({ name, offset, length }): [string, [number, number]] => [
    name,
    digest(gradients.clippedSum.subarray(offset, offset + length)),
  ]);
  await bert.dispose();
  return { losses: [...gradients.losses], norms: [...gradients.norms], tensors: Object.fromEntries(entries) };
}

/** Median of three steps of 2×128, B4 T32, after one to warm up; of a slow engine that one alone. */
async function benchmark(engine: Engine): Promise<number> {
  const size = { batch: 4, tokens: 32 };
  const config = newBertConfig({
    vocabSize: 512,
    hiddenSize: 128,
    layers: 2,
    heads: 2,
    intermediateSize: 512,
    maxPositions: 32,
  });
  const rng = seededRng('benchmark');
  const weights = initialTensors(encoderSpecs(config), config, rng);
  const bert = await createBert({
    engine,
    config,
    weights,
    head: 'pooler',
    labels,
    task: 'single_label',
    trainable: 'all',
    shape: size,
    rng,
  });
  const batch = fixedBatch(size, config.vocabSize);
  const step = (): Promise<number> => timed(bert, batch);
  const first = await step();
  const times = first > 500 ? [first] : [await step(), await step(), await step()].sort((a, b) => a - b);
  await bert.dispose();
  return times[times.length >> 1] as number;
}

async function timed(bert: Bert, batch: LabelledBatch): Promise<number> {
  const start = performance.now();
  await bert.gradients(batch, { l2Clip });
  return performance.now() - start;
}

/** Values between ±0.35 that repeat nowhere soon, unlike any other tensor's. */
function waves(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => 0.35 * Math.sin(1 + 12.9898 * i + 78.233 * seed + 0.001 * i * i));
}

/** Examples of different lengths, the last one padding (weight 0). */
function fixedBatch({ batch, tokens }: { batch: number; tokens: number }, vocabulary: number): LabelledBatch {
  const rows = batch * tokens;
  const used = (n: number): boolean => n % tokens < tokens - 5 * Math.floor(n / tokens);
  return {
    inputIds: Int32Array.from({ length: rows }, (_, n) => (used(n) ? 1 + ((n * n + 7 * n) % (vocabulary - 1)) : 0)),
    attentionMask: Int32Array.from({ length: rows }, (_, n) => (used(n) ? 1 : 0)),
    tokenTypeIds: Int32Array.from({ length: rows }, (_, n) => (used(n) && n % tokens > 9 ? 1 : 0)),
    labels: Int32Array.from({ length: batch }, (_, b) => b % labels),
    weights: Float32Array.from({ length: batch }, (_, b) => (b === batch - 1 ? 0 : 1)),
  };
}

function digest(values: Float32Array): [number, number] {
  let sum = 0;
  let most = 0;
  for (const [i, x] of values.entries()) {
    sum += x * Math.cos(i);
    most = Math.max(most, Math.abs(x));
  }
  return [sum, most];
}

/** Sums are compared relative to the tensor's largest element, which bounds the rounding of a sum of this length. */
function firstDifference(actual: CheckNumbers, expected: CheckNumbers, tolerance: number): string | undefined {
  const differs = (what: string, got: number, want: number, scale: number): string | undefined => {
    const error = Math.abs(got - want) / scale;
    return error <= tolerance ? undefined : `wrong ${what}: off by ${error.toExponential(1)}, allowed ${tolerance}`;
  };
  for (const [b, want] of expected.losses.entries()) {
    const found = differs(`loss of example ${b}`, actual.losses[b] ?? Number.NaN, want, Math.abs(want));
    if (found !== undefined) return found;
  }
  for (const [b, want] of expected.norms.entries()) {
    const found = differs(`gradient norm of example ${b}`, actual.norms[b] ?? Number.NaN, want, want);
    if (found !== undefined) return found;
  }
  const largest = Math.max(...Object.values(expected.tensors).map(([, most]) => most));
  for (const [name, [sum, most]] of Object.entries(expected.tensors)) {
    const scale = Math.max(most, largest / 10);
    const got = actual.tensors[name] ?? [Number.NaN, Number.NaN];
    const found =
      differs(`gradient of ${name}`, got[0], sum, 10 * scale) ?? differs(`gradient of ${name}`, got[1], most, scale);
    if (found !== undefined) return found;
  }
  return undefined;
}
