import type { Value } from '../../engine/graph.ts';
import type { Layer, Trace } from './trace.ts';

/** The config's activation, elementwise. */
export function activation(trace: Trace, x: Value): Layer {
  switch (trace.config.hiddenAct) {
    case 'gelu':
      return gelu(trace, x);
    case 'relu':
      return relu(trace, x);
    case 'tanh gelu':
      return tanhGelu(trace, x);
    case 'quick gelu':
      return quickGelu(trace, x);
  }
}

/** x·Φ(x) with the exact Φ (Hendrycks & Gimpel 2016); derivative Φ(x) + x·φ(x). */
function gelu({ ops }: Trace, x: Value): Layer {
  const cdf = ops.scale(ops.add(ops.erf(ops.scale(x, Math.SQRT1_2)), ops.scalar(1)), 0.5);
  return {
    output: ops.mul(x, cdf),
    backward(gradient) {
      const density = ops.scale(ops.exp(ops.scale(ops.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return ops.mul(gradient, ops.add(cdf, ops.mul(x, density)));
    },
  };
}

/** ½x(1 + tanh(√(2/π)(x + 0.044715x³))). */
function tanhGelu({ ops }: Trace, x: Value): Layer {
  const factor = Math.sqrt(2 / Math.PI);
  const square = ops.mul(x, x);
  const inner = ops.scale(ops.mul(x, ops.add(ops.scale(square, 0.044715), ops.scalar(1))), factor);
  const tanh = ops.tanh(inner);
  const half = ops.scale(ops.add(tanh, ops.scalar(1)), 0.5);
  return {
    output: ops.mul(x, half),
    backward(gradient) {
      const slope = ops.scale(ops.add(ops.scale(square, 3 * 0.044715), ops.scalar(1)), factor);
      const bend = ops.scale(ops.sub(ops.scalar(1), ops.mul(tanh, tanh)), 0.5);
      return ops.mul(gradient, ops.add(half, ops.mul(x, ops.mul(bend, slope))));
    },
  };
}

/** x·σ(1.702x) (Hendrycks & Gimpel 2016), with σ(z) = ½(1 + tanh(z/2)). */
function quickGelu({ ops }: Trace, x: Value): Layer {
  const sigmoid = ops.scale(ops.add(ops.tanh(ops.scale(x, 0.851)), ops.scalar(1)), 0.5);
  return {
    output: ops.mul(x, sigmoid),
    backward(gradient) {
      const slope = ops.scale(ops.mul(sigmoid, ops.sub(ops.scalar(1), sigmoid)), 1.702);
      return ops.mul(gradient, ops.add(sigmoid, ops.mul(x, slope)));
    },
  };
}

function relu({ ops }: Trace, x: Value): Layer {
  return { output: ops.relu(x), backward: (gradient) => ops.mul(gradient, ops.step(x)) };
}
