import type { Value } from '../../engine/graph.ts';
import type { Layer, Trace } from './trace.ts';

/** Inverted dropout with a mask that is fed, so that a seed gives the same masks on every engine. */
export function dropout(trace: Trace, name: string, x: Value): Layer {
  const mask = trace.dropout(name, x.shape);
  if (mask === undefined) return { output: x, backward: (gradient) => gradient };
  return { output: trace.ops.mul(x, mask), backward: (gradient) => trace.ops.mul(gradient, mask) };
}
