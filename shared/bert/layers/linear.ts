import type { Value } from '../../engine/graph.ts';
import type { LoraModule } from '../lora.ts';
import type { Layer, Trace } from './trace.ts';

/** y = x·Wᵀ + b on rows [N, d], plus (alpha / rank)·(x·Aᵀ)·Bᵀ where the module has an adapter. */
export function linear(trace: Trace, module: string, x: Value): Layer {
  const { ops, book } = trace;
  const weight = trace.parameter(`${module}.weight`);
  const base = ops.linear(x, weight, trace.parameter(`${module}.bias`));
  const adapter = trace.lora(module);
  const low = adapter === undefined ? undefined : lowRank(trace, adapter, x);
  return {
    output: low === undefined ? base : ops.add(base, low.output),
    backward(gradient) {
      book.linear(`${module}.weight`, `${module}.bias`, x, gradient);
      const dx = ops.matmul(gradient, weight);
      return low === undefined ? dx : ops.add(dx, low.backward(gradient));
    },
  };
}

/** Hu et al. 2021, "LoRA", eq. 3: ΔW = (alpha / rank)·B·A. */
function lowRank(trace: Trace, adapter: LoraModule, x: Value): Layer {
  const { ops, book } = trace;
  const a = trace.parameter(adapter.a);
  const b = trace.parameter(adapter.b);
  const inner = ops.scale(ops.linear(x, a), adapter.scale);
  return {
    output: ops.linear(inner, b),
    backward(gradient) {
      const dInner = ops.scale(ops.matmul(gradient, b), adapter.scale);
      book.linear(adapter.b, undefined, inner, gradient);
      book.linear(adapter.a, undefined, x, dInner);
      return ops.matmul(dInner, a);
    },
  };
}
