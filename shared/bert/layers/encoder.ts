import type { Value } from '../../engine/graph.ts';
import { activation } from './activation.ts';
import { selfAttention } from './attention.ts';
import { dropout } from './dropout.ts';
import { linear } from './linear.ts';
import { layerNorm } from './norm.ts';
import type { Layer, Trace } from './trace.ts';

/** Outputs of the embedding layer (index 0) and of each block, and the way back from gradients at any of them. */
export interface Encoder {
  /** Those below the encoder's start are not there. */
  readonly outputs: ReadonlyMap<number, Value>;
  readonly blocks: number;
  /** Gradients by output index → gradient of the rows that the encoder starts from [B·T, H]. */
  backward(gradients: ReadonlyMap<number, Value>): Value;
}

/** The embedding layer's normalisation and `blocks` encoder blocks, on summed embeddings [B·T, H]. */
export function encoder(trace: Trace, embedded: Value, attentionBias: Value, blocks: number): Encoder {
  const norm = layerNorm(trace, 'bert.embeddings.LayerNorm', embedded);
  const start = dropout(trace, 'bert.embeddings.dropout', norm.output);
  const above = encoderFrom(trace, 0, start.output, attentionBias, blocks);
  return { ...above, backward: (gradients) => norm.backward(start.backward(above.backward(gradients))) };
}

/** Blocks `from` to `blocks` alone, on the rows [B·T, H] that those below give. */
export function encoderFrom(trace: Trace, from: number, rows: Value, attentionBias: Value, blocks: number): Encoder {
  const layers: Layer[] = [];
  const outputs = new Map([[from, rows]]);
  for (let i = from; i < blocks; i++) {
    layers[i] = block(trace, `bert.encoder.layer.${i}`, outputs.get(i) as Value, attentionBias);
    outputs.set(i + 1, layers[i]?.output as Value);
  }
  return {
    outputs,
    blocks,
    backward(gradients) {
      let flowing: Value | undefined;
      for (let i = blocks; i >= from; i--) {
        const here = gradients.get(i);
        if (here !== undefined) flowing = flowing === undefined ? here : trace.ops.add(flowing, here);
        if (i > from && flowing !== undefined) flowing = (layers[i - 1] as Layer).backward(flowing);
      }
      return flowing as Value;
    },
  };
}

/** One post-norm transformer block (Devlin et al. 2019; Vaswani et al. 2017, §3.1). */
function block(trace: Trace, module: string, x: Value, attentionBias: Value): Layer {
  const attended = selfAttention(trace, `${module}.attention.self`, x, attentionBias);
  const mixed = projected(trace, `${module}.attention.output`, attended.output, x);
  const wide = linear(trace, `${module}.intermediate.dense`, mixed.output);
  const active = activation(trace, wide.output);
  const done = projected(trace, `${module}.output`, active.output, mixed.output);
  return {
    output: done.output,
    backward(gradient) {
      const last = done.backwardBoth(gradient);
      const inner = wide.backward(active.backward(last.branch));
      const first = mixed.backwardBoth(trace.ops.add(last.residual, inner));
      return trace.ops.add(first.residual, attended.backward(first.branch));
    },
  };
}

/** LayerNorm(residual + dropout(dense(x))). */
function projected(trace: Trace, module: string, x: Value, residual: Value) {
  const dense = linear(trace, `${module}.dense`, x);
  const dropped = dropout(trace, `${module}.dropout`, dense.output);
  const norm = layerNorm(trace, `${module}.LayerNorm`, trace.ops.add(dropped.output, residual));
  return {
    output: norm.output,
    backwardBoth(gradient: Value): { branch: Value; residual: Value } {
      const sum = norm.backward(gradient);
      return { branch: dense.backward(dropped.backward(sum)), residual: sum };
    },
  };
}
