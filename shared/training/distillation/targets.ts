import { fitWhitening, type Whitening } from '../pretraining/whitening.ts';

/** Share of each layer's covariance that is replaced by a multiple of the identity. */
const SHRINKAGE = 0.3;

/** The teacher's sentence space: for each of its layers the map after which public text's means are white. */
export interface SentenceSpace {
  readonly layers: readonly Whitening[];
  /** Numbers in one layer's mean. */
  readonly layerWidth: number;
}

/**
 * @param means n × (layers · layerWidth), the teacher's means of public texts
 * @throws PRETRAIN_INVALID for fewer than two texts
 */
export function fitSentenceSpace(means: Float32Array, layers: number, layerWidth: number): SentenceSpace {
  const rows = means.length / (layers * layerWidth);
  return {
    layerWidth,
    layers: Array.from({ length: layers }, (_, layer) => {
      const part = new Float32Array(rows * layerWidth);
      for (let row = 0; row < rows; row++) {
        const from = (row * layers + layer) * layerWidth;
        part.set(means.subarray(from, from + layerWidth), row * layerWidth);
      }
      return fitWhitening(part, layerWidth, SHRINKAGE);
    }),
  };
}

/**
 * Targets of the same shape as the means: each layer whitened and at unit length, and so, after a division by
 * √layers, the whole row.
 */
export function toTargets(means: Float32Array, space: SentenceSpace): Float32Array {
  const { layers, layerWidth } = space;
  const out = new Float32Array(means.length);
  const parts = means.length / layerWidth;
  for (let part = 0; part < parts; part++) {
    const from = part * layerWidth;
    const to = out.subarray(from, from + layerWidth);
    whiten(means.subarray(from, from + layerWidth), layers[part % layers.length] as Whitening, to);
    const scale = 1 / Math.max(1e-12, Math.hypot(...to) * Math.sqrt(layers.length));
    for (let i = 0; i < layerWidth; i++) to[i] = (to[i] as number) * scale;
  }
  return out;
}

/** W·x + b; W is lower triangular. */
function whiten(x: Float32Array, { weight, bias }: Whitening, out: Float32Array): void {
  const width = x.length;
  for (let i = 0; i < width; i++) {
    let sum = bias[i] as number;
    for (let j = 0; j <= i; j++) sum += (weight[i * width + j] as number) * (x[j] as number);
    out[i] = sum;
  }
}
