/** Name and shape of a float32 parameter; names are Hugging Face's, unchanged. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface NamedTensor extends TensorSpec {
  /** Row-major values; length = product of `shape`. */
  readonly data: Float32Array;
}

/** A model's parameters by name, in file order. */
export type Weights = ReadonlyMap<string, NamedTensor>;

export function elements(shape: readonly number[]): number {
  return shape.reduce((n, d) => n * d, 1);
}
