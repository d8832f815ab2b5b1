import type { Value } from '../../engine/graph.ts';
import type { Ops } from '../../engine/ops.ts';
import type { BertTask } from '../types.ts';

/** Loss of each row [B], and its gradient with respect to the logits [B, L]. */
export interface RowLoss {
  readonly losses: Value;
  readonly gradient: Value;
}

/**
 * As Hugging Face defines them, one example at a time. `targets` [B, L]: one-hot classes, 0/1 labels, or values.
 * single_label: cross-entropy. multi_label: mean over labels of binary cross-entropy. regression: mean squared error.
 */
export function taskLoss(ops: Ops, task: BertTask, logits: Value, targets: Value): RowLoss {
  const labels = logits.shape[1] as number;
  switch (task) {
    case 'single_label': {
      const losses = ops.sub(logSumExp(ops, logits), ops.reduceSum(ops.mul(logits, targets), [1]));
      return { losses, gradient: ops.sub(ops.softmax(logits), targets) };
    }
    case 'multi_label': {
      const losses = ops.scale(
        ops.reduceSum(ops.sub(softplus(ops, logits), ops.mul(logits, targets)), [1]),
        1 / labels,
      );
      return { losses, gradient: ops.scale(ops.sub(ops.sigmoid(logits), targets), 1 / labels) };
    }
    case 'regression': {
      const error = ops.sub(logits, targets);
      const losses = ops.scale(ops.reduceSum(ops.mul(error, error), [1]), 1 / labels);
      return { losses, gradient: ops.scale(error, 2 / labels) };
    }
  }
}

/** log Σ exp over the last axis of a matrix, without overflow. */
export function logSumExp(ops: Ops, x: Value): Value {
  const highest = ops.reduceMax(x, [1], true);
  const sum = ops.reduceSum(ops.exp(ops.sub(x, highest)), [1]);
  return ops.add(ops.log(sum), ops.reshape(highest, sum.shape));
}

/** log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|). */
function softplus(ops: Ops, x: Value): Value {
  const magnitude = ops.max(x, ops.scale(x, -1));
  return ops.add(ops.relu(x), ops.log(ops.add(ops.exp(ops.scale(magnitude, -1)), ops.scalar(1))));
}
