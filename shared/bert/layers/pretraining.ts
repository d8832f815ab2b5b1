import type { Value } from '../../engine/graph.ts';
import { wordEmbedding } from '../names.ts';
import { activation } from './activation.ts';
import { linear } from './linear.ts';
import { logSumExp } from './losses.ts';
import { layerNorm } from './norm.ts';
import type { Trace } from './trace.ts';

/**
 * The masked-LM head of `BertForPreTraining` on the rows that are predicted, [M, H]: dense, activation, layer norm, then
 * a decoder tied to the word embeddings. Gathering the predicted rows first keeps the vocabulary projection small.
 */
export function maskedHead(trace: Trace, rows: Value) {
  const { ops } = trace;
  const dense = linear(trace, 'cls.predictions.transform.dense', rows);
  const active = activation(trace, dense.output);
  const norm = layerNorm(trace, 'cls.predictions.transform.LayerNorm', active.output);
  const embeddings = trace.parameter(wordEmbedding);
  const logits = ops.linear(norm.output, embeddings, trace.parameter('cls.predictions.bias'));
  return {
    /** [M, H] what the decoder multiplies. */
    transformed: norm.output,
    /** [M, V] */
    logits,
    /** From the gradient of `transformed` to that of the rows. */
    backward: (gradient: Value): Value => dense.backward(active.backward(norm.backward(gradient))),
  };
}

/** Probabilities over the vocabulary times each row's weight [M], and log Σ exp of the logits [M], sharing one exp. */
export function weightedSoftmax({ ops }: Trace, logits: Value, weights: Value): { weighted: Value; logTotal: Value } {
  const rows = logits.shape[0] as number;
  const highest = ops.reduceMax(logits, [1], true);
  const exp = ops.exp(ops.sub(logits, highest));
  const total = ops.reduceSum(exp, [1], true);
  const weighted = ops.mul(exp, ops.div(ops.reshape(weights, [rows, 1]), total));
  return { weighted, logTotal: ops.reshape(ops.add(ops.log(total), highest), [rows]) };
}

/** Next-sentence head: tanh pooler, two logits, cross-entropy of each example against one-hot `targets` [B, 2]. */
export function nextSentenceHead(trace: Trace, pooled: Value, targets: Value) {
  const { ops } = trace;
  const dense = linear(trace, 'cls.seq_relationship', pooled);
  const losses = ops.sub(logSumExp(ops, dense.output), ops.reduceSum(ops.mul(dense.output, targets), [1]));
  return {
    logits: dense.output,
    losses,
    /** @param weights [B] what each example's loss counts; absent: 1 */
    backward(weights?: Value): Value {
      const gradient = ops.sub(ops.softmax(dense.output), targets);
      return dense.backward(
        weights === undefined ? gradient : ops.mul(gradient, ops.reshape(weights, [gradient.shape[0] as number, 1])),
      );
    },
  };
}
