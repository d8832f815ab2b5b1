import type { Value } from '../../engine/graph.ts';
import { dropout } from './dropout.ts';
import { linear } from './linear.ts';
import type { Layer, Trace } from './trace.ts';

/** Multi-head self-attention on rows [B·T, H] (Vaswani et al. 2017, §3.2), without its output projection. */
export function selfAttention(trace: Trace, module: string, x: Value, attentionBias: Value): Layer {
  const { ops, config } = trace;
  const scale = 1 / Math.sqrt(config.hiddenSize / config.heads);
  const query = linear(trace, `${module}.query`, x);
  const key = linear(trace, `${module}.key`, x);
  const value = linear(trace, `${module}.value`, x);
  const q = splitHeads(trace, query.output);
  const k = splitHeads(trace, key.output);
  const v = splitHeads(trace, value.output);
  const scores = ops.add(ops.scale(ops.matmul(q, k, { b: true }), scale), attentionBias);
  const probabilities = ops.softmax(scores);
  const dropped = dropout(trace, `${module}.dropout`, probabilities);
  return {
    output: joinHeads(trace, ops.matmul(dropped.output, v)),
    backward(gradient) {
      const dContext = splitHeads(trace, gradient);
      const dV = ops.matmul(dropped.output, dContext, { a: true });
      const dScores = softmaxBackward(trace, probabilities, dropped.backward(ops.matmul(dContext, v, { b: true })));
      const scaled = ops.scale(dScores, scale);
      const dQ = joinHeads(trace, ops.matmul(scaled, k));
      const dK = joinHeads(trace, ops.matmul(scaled, q, { a: true }));
      const dx = ops.add(query.backward(dQ), key.backward(dK));
      return ops.add(dx, value.backward(joinHeads(trace, dV)));
    },
  };
}

/** dS = P∘(dP − rowsum(dP∘P)). */
function softmaxBackward({ ops }: Trace, probabilities: Value, gradient: Value): Value {
  const product = ops.mul(gradient, probabilities);
  const total = ops.reduceSum(product, [product.shape.length - 1], true);
  return ops.sub(product, ops.mul(probabilities, total));
}

/** [B·T, H] → [B, heads, T, H/heads]. */
function splitHeads({ ops, config, batch, tokens }: Trace, x: Value): Value {
  const heads = ops.reshape(x, [batch, tokens, config.heads, config.hiddenSize / config.heads]);
  return ops.transpose(heads, [0, 2, 1, 3]);
}

/** [B, heads, T, H/heads] → [B·T, H]. */
function joinHeads({ ops, config, batch, tokens }: Trace, x: Value): Value {
  return ops.reshape(ops.transpose(x, [0, 2, 1, 3]), [batch * tokens, config.hiddenSize]);
}
