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
  // The query is scaled and not the scores, which are T / (H / heads) times as many numbers.
  const q = splitHeads(trace, ops.scale(query.output, scale));
  const k = splitHeads(trace, key.output);
  const v = splitHeads(trace, value.output);
  const scores = ops.add(ops.matmul(q, k, { b: true }), attentionBias);
  const probabilities = ops.softmax(scores);
  const dropped = dropout(trace, `${module}.dropout`, probabilities);
  const context = ops.matmul(dropped.output, v);
  return {
    output: joinHeads(trace, context),
    backward(gradient) {
      const dContext = splitHeads(trace, gradient);
      const dV = ops.matmul(dropped.output, dContext, { a: true });
      // dS = P∘(dP − rowsum(P∘dP)), and that row sum is the context's own: Σ dO∘O (Dao et al. 2022, appendix B.2).
      const along = ops.reduceSum(ops.mul(dContext, context), [3], true);
      const dProbabilities = dropped.backward(ops.matmul(dContext, v, { b: true }));
      const dScores = ops.mul(probabilities, ops.sub(dProbabilities, along));
      const dQ = ops.scale(joinHeads(trace, ops.matmul(dScores, k)), scale);
      const dK = joinHeads(trace, ops.matmul(dScores, q, { a: true }));
      const dx = ops.add(query.backward(dQ), key.backward(dK));
      return ops.add(dx, value.backward(joinHeads(trace, dV)));
    },
  };
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
