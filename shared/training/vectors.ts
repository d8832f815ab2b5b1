import { Workspace } from '../kernels/module.ts';
import type { OptimizerSpec } from './optimizers.ts';

/** A WebAssembly memory has 32-bit addresses; its last page stays free so that no end wraps around. */
const MOST_BYTES = 65_535 * 65_536;

/** Where weights, gradient and an optimizer's moments of `length` numbers lie, and what makes vectors there. */
export interface TrainingSpace {
  /** Undefined where they do not fit one WebAssembly memory, or there is none. */
  readonly space: Workspace | undefined;
  readonly weights: Float32Array;
  readonly gradient: Float32Array;
}

/** All vectors of a training step in one WebAssembly memory, in which the optimizer's kernels work without copies. */
export function trainingSpace(length: number, { kind }: OptimizerSpec): TrainingSpace {
  const space = workspace((kind === 'sgd' ? 3 : 4) * 4 * (length + 4));
  const vector = (): Float32Array => space?.floats(length) ?? new Float32Array(length);
  return { space, weights: vector(), gradient: vector() };
}

function workspace(bytes: number): Workspace | undefined {
  if (bytes > MOST_BYTES) return undefined;
  try {
    return new Workspace(bytes);
  } catch (cause) {
    // No room for so much address space; ordinary arrays may still fit.
    if (cause instanceof RangeError || cause instanceof ReferenceError) return undefined;
    throw cause;
  }
}
