import { expect, test } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { Workspace } from '../../../shared/kernels/module.ts';
import { optimizerInWasm } from '../../../shared/kernels/optimizer.ts';
import { type OptimizerKernels, optimizerInTypeScript } from '../../../shared/kernels/optimizer-js.ts';
import { createOptimizer, type OptimizerSpec } from '../../../shared/training/optimizers.ts';
import { trainingSpace } from '../../../shared/training/vectors.ts';

/** Longer than one tile, and no multiple of 4. */
const length = 16_384 + 1023;

function drawn(seed: string, scale: number): Float32Array {
  const rng = seededRng(seed);
  const view = new DataView(rng.bytes(4 * length).buffer);
  return Float32Array.from({ length }, (_, i) => scale * (view.getInt32(4 * i, true) / 2 ** 31));
}

const adamNumbers = {
  scale: 1 / 3,
  l2: 0.01,
  decay: 3e-7,
  fresh1: 0.1,
  beta2: 0.999,
  fresh2: 0.001,
  size: 3e-4,
  root: 31.6,
  eps: 1e-8,
};
const sgdNumbers = { scale: 1 / 3, l2: 0.01, rate: 0.1, kept: 0.9, ahead: 0.9, direct: 1 };

function vectors(space?: Workspace): [Float32Array, Float32Array, Float32Array, Float32Array] {
  const all = [drawn('p', 1), drawn('g', 1e-3), drawn('m', 1e-4), drawn('v', 1e-6).map(Math.abs)];
  return all.map((values) => {
    const place = space?.floats(length) ?? new Float32Array(length);
    place.set(values);
    return place;
  }) as [Float32Array, Float32Array, Float32Array, Float32Array];
}

function run(kernels: OptimizerKernels | undefined, space?: Workspace): Float32Array[] {
  if (kernels === undefined) throw new Error('no WebAssembly SIMD here');
  const [p, g, m, v] = vectors(space);
  kernels.adam(p, g, m, v, adamNumbers);
  kernels.adam(p, g, m, v, adamNumbers);
  kernels.momentum(p, g, m, sgdNumbers);
  return [p, g, m, v];
}

test('WebAssembly and TypeScript give the same bits, in place and through tiles', () => {
  const expected = run(optimizerInTypeScript);
  const space = new Workspace(4 * 4 * (length + 4));
  expect(run(optimizerInWasm(space), space)).toEqual(expected);
  expect(run(optimizerInWasm())).toEqual(expected);
  expect(expected[0]).not.toEqual(vectors()[0]);
});

test.each<OptimizerSpec>([
  { kind: 'adamw', weightDecay: 0.1 },
  { kind: 'adam', l2: 0.1 },
  { kind: 'sgd', momentum: 0.9, nesterov: true, l2: 0.1 },
  { kind: 'sgd', momentum: 0.9 },
])('float32 follows float64: %o', (spec) => {
  const decayed = Uint8Array.from({ length }, (_, i) => (i % 5000 < 4001 ? 1 : 0));
  const { space, weights, gradient } = trainingSpace(length, spec);
  const inSpace = createOptimizer(spec, undefined, space);
  const outside = createOptimizer(spec);
  const exact = createOptimizer(spec);
  const p = drawn('p', 1);
  const p64 = Float64Array.from(p);
  weights.set(p);
  for (let step = 0; step < 4; step++) {
    gradient.set(drawn(`g${step}`, 1e-2));
    inSpace.step(weights, gradient, 0.01, decayed, 0.5);
    outside.step(p, gradient.slice(), 0.01, decayed, 0.5);
    exact.step(p64, Float64Array.from(gradient), 0.01, decayed, 0.5);
  }
  expect(weights).toEqual(p);
  expect(Math.max(...weights.map((w, i) => Math.abs(w - (p64[i] as number))))).toBeLessThan(1e-5);
  expect(inSpace.state()).toEqual(outside.state());
});

test('a kernel refuses vectors of different lengths', () => {
  const [p, g, m] = vectors();
  expect(() => optimizerInWasm()?.momentum(p, g.subarray(1), m, sgdNumbers)).toThrow(RangeError);
});
