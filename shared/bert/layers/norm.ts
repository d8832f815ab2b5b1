import type { Value } from '../../engine/graph.ts';
import type { Layer, Trace } from './trace.ts';

/** Layer normalisation over the last axis of rows [N, n] (Ba et al. 2016), biased variance. */
export function layerNorm(trace: Trace, module: string, x: Value): Layer {
  const { ops, book } = trace;
  const gamma = trace.parameter(`${module}.weight`);
  const { normalised, reciprocal } = ops.normalise(x, trace.config.layerNormEps);
  return {
    output: ops.add(ops.mul(normalised, gamma), trace.parameter(`${module}.bias`)),
    backward(gradient) {
      book.norm(`${module}.weight`, `${module}.bias`, normalised, gradient);
      const inner = ops.mul(gradient, gamma);
      const centred = ops.sub(inner, ops.reduceMean(inner, [1], true));
      const along = ops.mul(normalised, ops.reduceMean(ops.mul(inner, normalised), [1], true));
      return ops.mul(ops.sub(centred, along), reciprocal);
    },
  };
}
