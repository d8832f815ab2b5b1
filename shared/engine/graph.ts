/** A tensor of the graph: known by number, with its shape fixed when the program is traced. */
export interface Value {
  readonly id: number;
  readonly shape: readonly number[];
  readonly type: 'float32' | 'int32';
}

export type UnaryOp = 'exp' | 'log' | 'sqrt' | 'tanh' | 'erf' | 'sigmoid' | 'relu' | 'step';
export type BinaryOp = 'add' | 'sub' | 'mul' | 'div' | 'max';

/** One operation. `inputs` and `outputs` are ids. */
export type Node = { readonly inputs: readonly number[]; readonly outputs: readonly number[] } & (
  | { readonly op: UnaryOp | BinaryOp | 'softmax' | 'reshape' | 'gatherRows' }
  | { readonly op: 'matmul'; readonly transposeA: boolean; readonly transposeB: boolean }
  /** x [n,d] · w [p,d]ᵀ + b [p]; the third input may be absent. */
  | { readonly op: 'linear' }
  /** Σ a∘b over all axes but the first, of two values of one shape. */
  | { readonly op: 'dotRows' }
  /** Over the last axis: (x − mean) / √(variance + eps), and 1 / √(variance + eps). */
  | { readonly op: 'normalise'; readonly epsilon: number }
  | { readonly op: 'reduceSum' | 'reduceMax'; readonly axes: readonly number[]; readonly keepDims: boolean }
  | { readonly op: 'transpose'; readonly permutation: readonly number[] }
  | { readonly op: 'slice'; readonly axis: number; readonly start: number; readonly length: number }
  | { readonly op: 'concat'; readonly axis: number }
  | { readonly op: 'oneHot'; readonly depth: number }
);

export interface NamedValue {
  readonly name: string;
  readonly value: Value;
}

/** A traced program. Nodes are in an order in which they can run; every node is needed by some output. */
export interface Graph {
  /** Differ in every run. */
  readonly feeds: readonly NamedValue[];
  /** Model parameters that some node reads. */
  readonly parameters: readonly NamedValue[];
  readonly constants: readonly { readonly value: Value; readonly data: Float32Array }[];
  readonly nodes: readonly Node[];
  readonly outputs: readonly NamedValue[];
  /** By id. */
  readonly values: readonly Value[];
}

/** For each node, the values that no later node and no output reads: an eager engine frees them after it. */
export function lastUses(graph: Graph): readonly (readonly number[])[] {
  const kept = new Set(graph.outputs.map((o) => o.value.id));
  const seen = new Set<number>([
    ...kept,
    ...[...graph.feeds, ...graph.parameters, ...graph.constants].map((v) => v.value.id),
  ]);
  const free: number[][] = graph.nodes.map(() => []);
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i] as Node;
    for (const id of [...node.inputs, ...node.outputs]) {
      if (seen.has(id)) continue;
      seen.add(id);
      free[i]?.push(id);
    }
  }
  return free;
}
