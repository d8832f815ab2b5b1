import { TacitError } from '../core/errors.ts';
import { elements, type NamedTensor, type TensorSpec, type Weights } from './named.ts';

/** Where each named tensor lies in the one flat vector that is clipped, noised, masked and summed. */
export interface Layout {
  readonly entries: readonly (TensorSpec & { readonly offset: number; readonly length: number })[];
  /** Total number of elements. */
  readonly length: number;
}

export function layoutOf(specs: Iterable<TensorSpec>): Layout {
  const entries: (TensorSpec & { offset: number; length: number })[] = [];
  let offset = 0;
  for (const { name, shape } of specs) {
    const length = elements(shape);
    entries.push({ name, shape, offset, length });
    offset += length;
  }
  return { entries, length: offset };
}

/** The tensors of `weights` named by `layout`, as one new vector. @throws TENSOR_MISSING, TENSOR_SHAPE */
export function flatten(weights: Weights, layout: Layout): Float32Array {
  const flat = new Float32Array(layout.length);
  for (const entry of layout.entries) {
    const tensor = weights.get(entry.name);
    if (tensor === undefined) throw new TacitError('TENSOR_MISSING', `no tensor ${entry.name}`);
    if (tensor.data.length !== entry.length) {
      throw new TacitError('TENSOR_SHAPE', `${entry.name} has shape [${tensor.shape}], expected [${entry.shape}]`);
    }
    flat.set(tensor.data, entry.offset);
  }
  return flat;
}

/** The named tensors of a flat vector; `data` are views into `flat`. @throws TENSOR_SHAPE */
export function unflatten(flat: Float32Array, layout: Layout): Map<string, NamedTensor> {
  if (flat.length !== layout.length) {
    throw new TacitError('TENSOR_SHAPE', `the vector has ${flat.length} elements, the layout ${layout.length}`);
  }
  return new Map(
    layout.entries.map((e) => [
      e.name,
      { name: e.name, shape: e.shape, data: flat.subarray(e.offset, e.offset + e.length) },
    ]),
  );
}
