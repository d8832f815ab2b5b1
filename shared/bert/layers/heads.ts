import type { Value } from '../../engine/graph.ts';
import { frozenMean } from '../frozen-part.ts';
import { meanLayersOf } from '../parameters.ts';
import { dropout } from './dropout.ts';
import type { Encoder } from './encoder.ts';
import { linear } from './linear.ts';
import type { Trace } from './trace.ts';

/** From the encoder to one feature vector a text, and the way back to gradients at the encoder's outputs. */
export interface FeatureHead {
  /** [B, featureLength] */
  readonly output: Value;
  backward(gradient: Value): Map<number, Value>;
}

/** tanh(dense([CLS])): Devlin et al. 2019. */
export function poolerHead(trace: Trace, encoded: Encoder): FeatureHead {
  const { ops, config, batch, tokens } = trace;
  const last = encoded.blocks;
  const first = ops.slice(ops.reshape(encoded.outputs.get(last) as Value, [batch, tokens, config.hiddenSize]), 1, 0, 1);
  const dense = linear(trace, 'bert.pooler.dense', ops.reshape(first, [batch, config.hiddenSize]));
  const pooled = ops.tanh(dense.output);
  return {
    output: pooled,
    backward(gradient) {
      const slope = ops.sub(ops.scalar(1), ops.mul(pooled, pooled));
      const dFirst = dense.backward(ops.mul(gradient, slope));
      const onlyFirst = new Float32Array(tokens);
      onlyFirst[0] = 1;
      return new Map([[last, spread(trace, dFirst, ops.constant(onlyFirst, [1, tokens, 1]))]]);
    },
  };
}

/**
 * Mean over the attention mask of chosen layers' token vectors, concatenated; centred and whitened by a fixed, public
 * dense layer (`head.dense`); unit length. The modules Transformer, Pooling, Dense, Normalize of sentence-transformers.
 * A layer below the encoder's start has its mean fed; nothing below it trains, so no gradient goes there.
 * @param meanMask [B, T, 1]: mask / number of unmasked tokens.
 */
export function meanHead(trace: Trace, encoded: Encoder, meanMask: Value): FeatureHead {
  const { ops, config, batch } = trace;
  const layers = meanLayersOf(config);
  const means = layers.map((layer) => {
    const rows = encoded.outputs.get(layer);
    return rows === undefined
      ? ops.feed(frozenMean(layer), [batch, config.hiddenSize])
      : meanOfRows(trace, rows, meanMask);
  });
  const dense = linear(trace, 'head.dense', ops.concat(means, 1));
  const unit = unitLength(trace, dense.output);
  return {
    output: unit.output,
    backward(gradient) {
      const dMeans = dense.backward(unit.backward(gradient));
      return new Map(
        layers.map((layer, i) => {
          const part = ops.slice(dMeans, 1, i * config.hiddenSize, config.hiddenSize);
          return [layer, spread(trace, part, meanMask)];
        }),
      );
    },
  };
}

/** Mean over the mask of token vectors [B·T, H]: [B, H]. */
export function meanOfRows({ ops, batch, tokens, config }: Trace, rows: Value, meanMask: Value): Value {
  return ops.reduceSum(ops.mul(ops.reshape(rows, [batch, tokens, config.hiddenSize]), meanMask), [1]);
}

/** z / max(‖z‖, 1e-12) by rows; dz = (du − u(u·du)) / ‖z‖. */
export function unitLength({ ops }: Trace, z: Value) {
  const length = ops.max(ops.sqrt(ops.reduceSum(ops.mul(z, z), [1], true)), ops.scalar(1e-12));
  const unit = ops.div(z, length);
  return {
    output: unit,
    backward(gradient: Value): Value {
      const along = ops.reduceSum(ops.mul(gradient, unit), [1], true);
      return ops.div(ops.sub(gradient, ops.mul(unit, along)), length);
    },
  };
}

/** The final linear layer of a sequence model, with its dropout. */
export function classifier(trace: Trace, features: Value) {
  const dropped = dropout(trace, 'classifier.dropout', features);
  const dense = linear(trace, 'classifier', dropped.output);
  return { output: dense.output, backward: (gradient: Value): Value => dropped.backward(dense.backward(gradient)) };
}

/** [B, H] times weights [·, T, 1] → rows [B·T, H]. */
export function spread({ ops, config, batch, tokens }: Trace, vectors: Value, weights: Value): Value {
  const wide = ops.mul(ops.reshape(vectors, [batch, 1, config.hiddenSize]), weights);
  return ops.reshape(wide, [batch * tokens, config.hiddenSize]);
}
