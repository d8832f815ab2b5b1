import type { Graph, Node, Value } from '../graph.ts';
import { dataType, encodeModel, type OnnxNode, type OnnxTensor, type OnnxValueInfo } from './proto.ts';

const opsets = { '': 18, 'com.microsoft': 1 };
const unary: Readonly<Record<string, string>> = {
  exp: 'Exp',
  log: 'Log',
  sqrt: 'Sqrt',
  tanh: 'Tanh',
  erf: 'Erf',
  sigmoid: 'Sigmoid',
  relu: 'Relu',
  add: 'Add',
  sub: 'Sub',
  mul: 'Mul',
  div: 'Div',
  max: 'Max',
};

/**
 * The graph as an ONNX model: feeds, then parameters, are its inputs. Parameters are inputs and not initializers, so
 * that a new round's weights need no new session and onnxruntime reads them where they lie.
 */
export function toOnnx(graph: Graph): Uint8Array {
  const lowering = new Lowering(graph, outputName);
  return encodeModel({
    nodes: graph.nodes.flatMap((node) => lowering.lower(node)),
    initializers: [
      ...graph.constants.map((c) => floats(name(c.value.id), c.data, c.value.shape)),
      ...lowering.initializers,
    ],
    inputs: [...graph.feeds, ...graph.parameters].map((v) => info(v.name, v.value)),
    outputs: graph.outputs.map((o) => info(outputName(o.name), o.value)),
    opsets,
  });
}

/** An output may share its name with the parameter that it is the gradient of, so outputs have a prefix. */
export function outputName(name: string): string {
  return `out:${name}`;
}

/**
 * For a model file that other programs open: any number of rows and tokens, standard operators only. The graph was
 * traced with `batch` and `tokens` of which no other dimension is a multiple; `sequence` names an int64 tensor [1].
 */
export interface Portable {
  readonly batch: number;
  readonly tokens: number;
  readonly sequence: string;
}

/** One graph's nodes as ONNX nodes; what they need besides is collected in `initializers`. */
export class Lowering {
  readonly initializers: OnnxTensor[] = [];
  readonly #names = new Map<number, string>();
  readonly #graph: Graph;
  readonly #known = new Set<string>();

  readonly #portable: Portable | undefined;

  constructor(graph: Graph, nameOfOutput: (name: string) => string, portable?: Portable) {
    this.#graph = graph;
    this.#portable = portable;
    for (const v of [...graph.feeds, ...graph.parameters]) this.#names.set(v.value.id, v.name);
    for (const o of graph.outputs) this.#names.set(o.value.id, nameOfOutput(o.name));
  }

  lower(node: Node): OnnxNode[] {
    const inputs = node.inputs.map((id) => this.#name(id));
    const outputs = node.outputs.map((id) => this.#name(id));
    const to = (type: string, extra: Partial<OnnxNode> = {}): OnnxNode[] => [{ type, inputs, outputs, ...extra }];
    switch (node.op) {
      case 'softmax':
        return to('Softmax', { attributes: { axis: { int: -1 } } });
      case 'matmul':
        return this.#matmul(node, inputs, outputs);
      case 'linear':
        return to('Gemm', { attributes: { transB: { int: 1 } } });
      case 'dotRows':
        return this.#dotRows(node, inputs, outputs);
      case 'normalise':
        return this.#normalise(node, inputs, outputs);
      case 'reduceSum':
      case 'reduceMax':
        return to(node.op === 'reduceSum' ? 'ReduceSum' : 'ReduceMax', {
          inputs: [...inputs, this.#ints(node.axes)],
          attributes: { keepdims: { int: node.keepDims ? 1 : 0 } },
        });
      case 'reshape':
        return this.#reshape(this.#shape(node.outputs[0]), inputs[0] as string, outputs[0] as string);
      case 'transpose':
        return to('Transpose', { attributes: { perm: { ints: node.permutation } } });
      case 'slice':
        return to('Slice', {
          inputs: [
            ...inputs,
            this.#ints([node.start]),
            this.#ints([node.start + node.length]),
            this.#ints([node.axis]),
          ],
        });
      case 'concat':
        return to('Concat', { attributes: { axis: { int: node.axis } } });
      case 'gatherRows':
        return to('Gather', { attributes: { axis: { int: 0 } } });
      case 'oneHot':
        return to('OneHot', { inputs: [...inputs, this.#depth(node.depth), this.#floats([0, 1])] });
      case 'step':
        return this.#step(inputs, outputs);
      default:
        return to(unary[node.op] as string);
    }
  }

  #matmul(node: Extract<Node, { op: 'matmul' }>, inputs: string[], outputs: string[]): OnnxNode[] {
    const attributes = { transA: { int: node.transposeA ? 1 : 0 }, transB: { int: node.transposeB ? 1 : 0 } };
    if (this.#shape(node.inputs[0]).length === 2) return [{ type: 'Gemm', inputs, outputs, attributes }];
    if (!node.transposeA && !node.transposeB) return [{ type: 'MatMul', inputs, outputs }];
    if (this.#portable !== undefined) return this.#transposedMatmul(node, inputs, outputs[0] as string);
    return [{ type: 'FusedMatMul', domain: 'com.microsoft', inputs, outputs, attributes }];
  }

  /** The last two axes swapped by a node of their own. */
  #transposedMatmul(node: Extract<Node, { op: 'matmul' }>, inputs: string[], output: string): OnnxNode[] {
    const swapped = [node.transposeA, node.transposeB];
    const perm = this.#shape(node.inputs[0]).map((_, axis) => axis);
    perm.push(...perm.splice(-2).reverse());
    const transposes = inputs.flatMap((input, i): OnnxNode[] =>
      swapped[i] === true
        ? [{ type: 'Transpose', inputs: [input], outputs: [`${output}:t${i}`], attributes: { perm: { ints: perm } } }]
        : [],
    );
    const operands = inputs.map((input, i) => (swapped[i] === true ? `${output}:t${i}` : input));
    return [...transposes, { type: 'MatMul', inputs: operands, outputs: [output] }];
  }

  #reshape(shape: readonly number[], input: string, output: string): OnnxNode[] {
    const portable = this.#portable;
    if (portable === undefined) return [{ type: 'Reshape', inputs: [input, this.#ints(shape)], outputs: [output] }];
    // Rows are free, so the first dimension is whatever is left over; the sequence length is read at run time.
    const free = shape[0] === portable.batch || shape[0] === portable.batch * portable.tokens;
    const dims = shape.map((d, axis) => (axis === 0 && free ? -1 : d));
    if (!dims.includes(portable.tokens))
      return [{ type: 'Reshape', inputs: [input, this.#ints(dims)], outputs: [output] }];
    const parts = dims.map((d) => (d === portable.tokens ? portable.sequence : this.#ints([d])));
    const target = `${output}:shape`;
    return [
      { type: 'Concat', inputs: parts, outputs: [target], attributes: { axis: { int: 0 } } },
      { type: 'Reshape', inputs: [input, target], outputs: [output] },
    ];
  }

  /** Eight times quicker than the product of a row with a column for each n, whose kernel is none for one number. */
  #dotRows(node: Node, inputs: string[], [output]: string[]): OnnxNode[] {
    const axes = [...this.#shape(node.inputs[0]).keys()].slice(1);
    const product = `${output}:product`;
    return [
      { type: 'Mul', inputs, outputs: [product] },
      {
        type: 'ReduceSum',
        inputs: [product, this.#ints(axes)],
        outputs: [output as string],
        attributes: { keepdims: { int: 0 } },
      },
    ];
  }

  #normalise(node: Extract<Node, { op: 'normalise' }>, inputs: string[], outputs: string[]): OnnxNode[] {
    const width = this.#shape(node.inputs[0]).at(-1) as number;
    const attributes = { axis: { int: -1 }, epsilon: { float: node.epsilon } };
    const ones = this.#floats(new Array<number>(width).fill(1));
    const [normalised, reciprocal] = outputs as [string, string];
    return [
      { type: 'LayerNormalization', inputs: [...inputs, ones], outputs: [normalised, '', reciprocal], attributes },
    ];
  }

  /** x > 0 as 0 or 1 in float32: the sign of relu(x). */
  #step(inputs: string[], outputs: string[]): OnnxNode[] {
    const positive = `${outputs[0]}:relu`;
    return [
      { type: 'Relu', inputs, outputs: [positive] },
      { type: 'Sign', inputs: [positive], outputs },
    ];
  }

  #name(id: number): string {
    return this.#names.get(id) ?? name(id);
  }

  #shape(id: number | undefined): readonly number[] {
    return (this.#graph.values[id as number] as Value).shape;
  }

  #ints(values: readonly number[]): string {
    const key = `i:${values.join()}`;
    if (!this.#known.has(key)) {
      const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
      this.initializers.push({ name: key, type: dataType.int64, shape: [values.length], bytes });
    }
    this.#known.add(key);
    return key;
  }

  /** onnxruntime has OneHot for int32 indices only with an int32 depth. */
  #depth(depth: number): string {
    const key = `d:${depth}`;
    const bytes = new Uint8Array(Int32Array.of(depth).buffer);
    if (!this.#known.has(key)) this.initializers.push({ name: key, type: dataType.int32, shape: [1], bytes });
    this.#known.add(key);
    return key;
  }

  #floats(values: readonly number[]): string {
    const key = `f:${values.length}:${values.slice(0, 2).join()}`;
    if (!this.#known.has(key)) this.initializers.push(floats(key, Float32Array.from(values), [values.length]));
    this.#known.add(key);
    return key;
  }
}

function name(id: number): string {
  return `v${id}`;
}

function floats(tensorName: string, data: Float32Array, shape: readonly number[]): OnnxTensor {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { name: tensorName, type: dataType.float32, shape, bytes };
}

function info(valueName: string, value: Value): OnnxValueInfo {
  return { name: valueName, type: dataType[value.type], shape: value.shape };
}
