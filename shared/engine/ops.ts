import { TacitError } from '../core/errors.ts';
import { elements } from '../tensor/named.ts';
import type { EngineErrorCode } from './engine.ts';
import type { BinaryOp, Graph, NamedValue, Node, UnaryOp, Value } from './graph.ts';

/**
 * The operations that BERT's forward and backward pass are written against. Calling one computes nothing: it checks
 * shapes and records a node. `finish` gives the graph, without the nodes that no output needs (so a backward pass
 * costs nothing below the lowest trainable layer). Broadcasting is NumPy's.
 */
export class Ops {
  readonly #values: Value[] = [];
  readonly #nodes: Node[] = [];
  readonly #feeds: NamedValue[] = [];
  readonly #parameters = new Map<string, NamedValue>();
  readonly #constants: { value: Value; data: Float32Array }[] = [];

  feed(name: string, shape: readonly number[], type: Value['type'] = 'float32'): Value {
    const value = this.#value(shape, type);
    this.#feeds.push({ name, value });
    return value;
  }

  /** The same value each time a name is asked for. */
  parameter(name: string, shape: readonly number[]): Value {
    const known = this.#parameters.get(name);
    if (known !== undefined) return known.value;
    const value = this.#value(shape, 'float32');
    this.#parameters.set(name, { name, value });
    return value;
  }

  constant(data: Float32Array, shape: readonly number[]): Value {
    if (elements(shape) !== data.length) throw wrongShape(`a constant of ${data.length} elements cannot be [${shape}]`);
    const value = this.#value(shape, 'float32');
    this.#constants.push({ value, data });
    return value;
  }

  scalar(x: number): Value {
    return this.constant(Float32Array.of(x), []);
  }

  exp = (x: Value): Value => this.#unary('exp', x);
  log = (x: Value): Value => this.#unary('log', x);
  sqrt = (x: Value): Value => this.#unary('sqrt', x);
  tanh = (x: Value): Value => this.#unary('tanh', x);
  erf = (x: Value): Value => this.#unary('erf', x);
  sigmoid = (x: Value): Value => this.#unary('sigmoid', x);
  relu = (x: Value): Value => this.#unary('relu', x);
  /** 1 where x > 0, else 0. */
  step = (x: Value): Value => this.#unary('step', x);

  add = (a: Value, b: Value): Value => this.#binary('add', a, b);
  sub = (a: Value, b: Value): Value => this.#binary('sub', a, b);
  mul = (a: Value, b: Value): Value => this.#binary('mul', a, b);
  div = (a: Value, b: Value): Value => this.#binary('div', a, b);
  max = (a: Value, b: Value): Value => this.#binary('max', a, b);

  scale(x: Value, factor: number): Value {
    return factor === 1 ? x : this.mul(x, this.scalar(factor));
  }

  /** Over the last axis. */
  softmax(x: Value): Value {
    return this.#node({ op: 'softmax', inputs: [x.id] }, x.shape);
  }

  /** Matrix product of the last two axes; the leading axes must be equal. */
  matmul(a: Value, b: Value, transpose: { a?: boolean; b?: boolean } = {}): Value {
    const [m, k] = lastTwo(a.shape, transpose.a ?? false);
    const [l, n] = lastTwo(b.shape, transpose.b ?? false);
    const batch = a.shape.slice(0, -2);
    if (k !== l || batch.join() !== b.shape.slice(0, -2).join()) throw mismatch('matmul', a, b);
    const options = { transposeA: transpose.a ?? false, transposeB: transpose.b ?? false };
    return this.#node({ op: 'matmul', inputs: [a.id, b.id], ...options }, [...batch, m, n]);
  }

  /** x [n,d] · weight [p,d]ᵀ + bias [p]. */
  linear(x: Value, weight: Value, bias?: Value): Value {
    const [n, d] = x.shape;
    const [p, wd] = weight.shape;
    if (x.shape.length !== 2 || weight.shape.length !== 2 || d !== wd) throw mismatch('linear', x, weight);
    if (bias !== undefined && bias.shape.join() !== `${p}`) throw mismatch('linear', weight, bias);
    const inputs = bias === undefined ? [x.id, weight.id] : [x.id, weight.id, bias.id];
    return this.#node({ op: 'linear', inputs }, [n as number, p as number]);
  }

  /** Over the last axis: normalised x and the reciprocal standard deviation [..., 1]. */
  normalise(x: Value, epsilon: number): { readonly normalised: Value; readonly reciprocal: Value } {
    const normalised = this.#value(x.shape, 'float32');
    const reciprocal = this.#value([...x.shape.slice(0, -1), 1], 'float32');
    this.#nodes.push({ op: 'normalise', epsilon, inputs: [x.id], outputs: [normalised.id, reciprocal.id] });
    return { normalised, reciprocal };
  }

  /** Σ a∘b over all axes but the first: [n, …] → [n]. */
  dotRows(a: Value, b: Value): Value {
    if (a.shape.join() !== b.shape.join()) throw mismatch('dotRows', a, b);
    return this.#node({ op: 'dotRows', inputs: [a.id, b.id] }, a.shape.slice(0, 1));
  }

  reduceSum(x: Value, axes: readonly number[], keepDims = false): Value {
    return this.#reduce('reduceSum', x, axes, keepDims);
  }

  reduceMax(x: Value, axes: readonly number[], keepDims = false): Value {
    return this.#reduce('reduceMax', x, axes, keepDims);
  }

  reduceMean(x: Value, axes: readonly number[], keepDims = false): Value {
    const n = axes.reduce((product, axis) => product * (x.shape[axis] as number), 1);
    return this.scale(this.reduceSum(x, axes, keepDims), 1 / n);
  }

  reshape(x: Value, shape: readonly number[]): Value {
    if (x.shape.join() === shape.join()) return x;
    if (elements(shape) !== elements(x.shape)) throw wrongShape(`[${x.shape}] cannot be reshaped to [${shape}]`);
    return this.#node({ op: 'reshape', inputs: [x.id] }, shape, x.type);
  }

  transpose(x: Value, permutation: readonly number[]): Value {
    if ([...permutation].sort((a, b) => a - b).join() !== [...x.shape.keys()].join()) {
      throw wrongShape(`[${permutation}] does not permute the axes of [${x.shape}]`);
    }
    const shape = permutation.map((axis) => x.shape[axis] as number);
    return this.#node({ op: 'transpose', inputs: [x.id], permutation }, shape);
  }

  slice(x: Value, axis: number, start: number, length: number): Value {
    if (start < 0 || start + length > (x.shape[axis] ?? 0)) {
      throw wrongShape(`axis ${axis} of [${x.shape}] has no ${start}..${start + length}`);
    }
    return this.#node({ op: 'slice', inputs: [x.id], axis, start, length }, x.shape.with(axis, length));
  }

  concat(values: readonly Value[], axis: number): Value {
    const [first, ...rest] = values;
    if (first === undefined) throw wrongShape('nothing to concatenate');
    if (rest.length === 0) return first;
    const total = values.reduce((n, v) => n + (v.shape[axis] as number), 0);
    for (const v of rest)
      if (v.shape.with(axis, 0).join() !== first.shape.with(axis, 0).join()) throw mismatch('concat', first, v);
    return this.#node({ op: 'concat', inputs: values.map((v) => v.id), axis }, first.shape.with(axis, total));
  }

  /** Rows x[i] of a matrix, for int32 indices [n]. */
  gatherRows(x: Value, indices: Value): Value {
    if (x.shape.length !== 2 || indices.shape.length !== 1 || indices.type !== 'int32')
      throw mismatch('gatherRows', x, indices);
    return this.#node({ op: 'gatherRows', inputs: [x.id, indices.id] }, [
      indices.shape[0] as number,
      x.shape[1] as number,
    ]);
  }

  /** int32 indices [...] to float32 [..., depth]. */
  oneHot(indices: Value, depth: number): Value {
    return this.#node({ op: 'oneHot', inputs: [indices.id], depth }, [...indices.shape, depth]);
  }

  /** The graph that computes `outputs` and nothing else. */
  finish(outputs: ReadonlyMap<string, Value>): Graph {
    const needed = new Set([...outputs.values()].map((v) => v.id));
    const nodes: Node[] = [];
    for (const node of this.#nodes.toReversed()) {
      if (!node.outputs.some((id) => needed.has(id))) continue;
      for (const id of node.inputs) needed.add(id);
      nodes.push(node);
    }
    return {
      feeds: this.#feeds.filter((f) => needed.has(f.value.id)),
      parameters: [...this.#parameters.values()].filter((p) => needed.has(p.value.id)),
      constants: this.#constants.filter((c) => needed.has(c.value.id)),
      nodes: nodes.reverse(),
      outputs: [...outputs].map(([name, value]) => ({ name, value })),
      values: this.#values,
    };
  }

  #unary(op: UnaryOp, x: Value): Value {
    return this.#node({ op, inputs: [x.id] }, x.shape);
  }

  #binary(op: BinaryOp, a: Value, b: Value): Value {
    return this.#node({ op, inputs: [a.id, b.id] }, broadcast(op, a, b));
  }

  #reduce(op: 'reduceSum' | 'reduceMax', x: Value, axes: readonly number[], keepDims: boolean): Value {
    const shape = keepDims
      ? x.shape.map((d, axis) => (axes.includes(axis) ? 1 : d))
      : x.shape.filter((_, axis) => !axes.includes(axis));
    return this.#node({ op, inputs: [x.id], axes, keepDims }, shape);
  }

  #node(node: DistributiveOmit<Node, 'outputs'>, shape: readonly number[], type: Value['type'] = 'float32'): Value {
    const value = this.#value(shape, type);
    this.#nodes.push({ ...node, outputs: [value.id] } as Node);
    return value;
  }

  #value(shape: readonly number[], type: Value['type']): Value {
    const value = { id: this.#values.length, shape, type };
    this.#values.push(value);
    return value;
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

function lastTwo(shape: readonly number[], transposed: boolean): [number, number] {
  const [rows, columns] = shape.slice(-2) as [number, number];
  if (columns === undefined) throw wrongShape(`[${shape}] is not a matrix`);
  return transposed ? [columns, rows] : [rows, columns];
}

function broadcast(op: string, a: Value, b: Value): number[] {
  const rank = Math.max(a.shape.length, b.shape.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a.shape[a.shape.length - rank + i] ?? 1;
    const y = b.shape[b.shape.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw mismatch(op, a, b);
    return x === 1 ? y : x;
  });
}

function mismatch(op: string, a: Value, b: Value): TacitError<EngineErrorCode> {
  return wrongShape(`${op} does not accept shapes [${a.shape}] and [${b.shape}]`);
}

function wrongShape(what: string): TacitError<EngineErrorCode> {
  return new TacitError<EngineErrorCode>('ENGINE_SHAPE', what);
}
