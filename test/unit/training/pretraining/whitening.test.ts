import { expect, test } from 'vitest';
import { seededRng, uniform } from '../../../../shared/core/rng.ts';
import { fitWhitening } from '../../../../shared/training/pretraining/whitening.ts';

const width = 5;
/** Correlated, off-centre vectors. */
function sample(count: number): Float32Array {
  const rng = seededRng('whitening');
  const out = new Float32Array(count * width);
  for (let n = 0; n < count; n++) {
    const z = Array.from({ length: width }, () => uniform(rng) + uniform(rng) - 1);
    for (let i = 0; i < width; i++) out[n * width + i] = 3 * i + (i + 1) * z.slice(0, i + 1).reduce((a, b) => a + b, 0);
  }
  return out;
}

function apply({ weight, bias }: { weight: Float32Array; bias: Float32Array }, x: Float32Array): number[] {
  return Array.from(bias, (b, i) => x.reduce((sum, v, j) => sum + v * (weight[i * width + j] as number), b));
}

function moments(rows: readonly number[][]): { mean: number[]; covariance: number[][] } {
  const mean = Array.from({ length: width }, (_, i) => rows.reduce((s, r) => s + (r[i] as number), 0) / rows.length);
  const covariance = mean.map((m, i) =>
    mean.map((k, j) => rows.reduce((s, r) => s + ((r[i] as number) - m) * ((r[j] as number) - k), 0) / rows.length),
  );
  return { mean, covariance };
}

test('with almost no shrinkage the whitened vectors have mean 0 and covariance I', () => {
  const x = sample(2000);
  const map = fitWhitening(x, width, 1e-9);
  const { mean, covariance } = moments(
    Array.from({ length: 2000 }, (_, n) => apply(map, x.subarray(n * width, n * width + width))),
  );
  for (let i = 0; i < width; i++) {
    expect(mean[i]).toBeCloseTo(0, 4);
    for (let j = 0; j < width; j++) expect(covariance[i]?.[j]).toBeCloseTo(i === j ? 1 : 0, 4);
  }
});

test('shrinkage s gives W·((1 − s)Σ + s·tr Σ/D·I)·Wᵀ = I', () => {
  const x = sample(400);
  const s = 0.3;
  const { weight } = fitWhitening(x, width, s);
  const { covariance } = moments(Array.from({ length: 400 }, (_, n) => [...x.subarray(n * width, n * width + width)]));
  const trace = covariance.reduce((sum, row, i) => sum + (row[i] as number), 0);
  const shrunk = covariance.map((row, i) => row.map((v, j) => (1 - s) * v + (i === j ? (s * trace) / width : 0)));
  const w = (i: number, k: number): number => weight[i * width + k] as number;
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < width; j++) {
      let sum = 0;
      for (let k = 0; k < width; k++)
        for (let l = 0; l < width; l++) sum += w(i, k) * (shrunk[k]?.[l] as number) * w(j, l);
      expect(sum).toBeCloseTo(i === j ? 1 : 0, 5);
    }
  }
});

test('full shrinkage only centres and scales', () => {
  const { weight } = fitWhitening(sample(50), width, 1);
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < width; j++) if (i !== j) expect(weight[i * width + j]).toBeCloseTo(0, 12);
    expect(weight[i * width + i]).toBe(weight[0]);
  }
});

test('refuses one vector and a shrinkage that leaves the covariance singular', () => {
  for (const [vectors, shrinkage] of [
    [sample(1), 0.3],
    [sample(9), 0],
    [sample(9), 1.5],
    [sample(9).subarray(1), 0.3],
  ] as const) {
    expect(() => fitWhitening(vectors, width, shrinkage)).toThrowError(
      expect.objectContaining({ code: 'PRETRAIN_INVALID' }),
    );
  }
});
