import { concat, utf8 } from '../../core/bytes.ts';

/**
 * The part of the protocol-buffers wire format that an ONNX model needs (protobuf.dev, "Encoding"; field numbers from
 * onnx.proto). Writing it takes these few lines; a protobuf runtime would bring 60 kB and a code generator.
 */
export const dataType = { float32: 1, int32: 6, int64: 7 } as const;

export interface OnnxTensor {
  readonly name: string;
  readonly type: number;
  readonly shape: readonly number[];
  /** Little-endian values. */
  readonly bytes: Uint8Array;
}

export interface OnnxNode {
  readonly type: string;
  readonly domain?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] };

export interface OnnxValueInfo {
  readonly name: string;
  readonly type: number;
  /** A name stands for a length that differs from run to run. */
  readonly shape: readonly (number | string)[];
}

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  readonly opsets: Readonly<Record<string, number>>;
}

/** Bytes of a ModelProto (IR version 8). */
export function encodeModel(model: OnnxModel): Uint8Array {
  const graph = concat(
    ...model.nodes.map((n) => message(1, encodeNode(n))),
    text(2, 'tacit'),
    ...model.initializers.map((t) => message(5, encodeTensor(t))),
    ...model.inputs.map((v) => message(11, encodeValueInfo(v))),
    ...model.outputs.map((v) => message(12, encodeValueInfo(v))),
  );
  const opsets = Object.entries(model.opsets).map(([domain, version]) =>
    message(8, concat(text(1, domain), varint(2, version))),
  );
  return concat(varint(1, 8), text(2, 'tacit'), message(7, graph), ...opsets);
}

function encodeNode(node: OnnxNode): Uint8Array {
  return concat(
    ...node.inputs.map((name) => text(1, name)),
    ...node.outputs.map((name) => text(2, name)),
    text(4, node.type),
    ...Object.entries(node.attributes ?? {}).map(([name, value]) => message(5, encodeAttribute(name, value))),
    text(7, node.domain ?? ''),
  );
}

function encodeAttribute(name: string, value: OnnxAttribute): Uint8Array {
  if ('int' in value) return concat(text(1, name), varint(3, value.int), varint(20, 2));
  if ('float' in value) return concat(text(1, name), float(2, value.float), varint(20, 1));
  return concat(text(1, name), ...value.ints.map((i) => varint(8, i)), varint(20, 7));
}

function encodeTensor(tensor: OnnxTensor): Uint8Array {
  return concat(
    ...tensor.shape.map((d) => varint(1, d)),
    varint(2, tensor.type),
    text(8, tensor.name),
    message(9, tensor.bytes),
  );
}

function encodeValueInfo(value: OnnxValueInfo): Uint8Array {
  const shape = concat(...value.shape.map((d) => message(1, typeof d === 'string' ? text(2, d) : varint(1, d))));
  return concat(text(1, value.name), message(2, message(1, concat(varint(1, value.type), message(2, shape)))));
}

/** Field with wire type 0. Negative numbers take ten bytes, two's complement over 64 bits. */
function varint(field: number, value: number): Uint8Array {
  return concat(number(field * 8), number(value));
}

function number(value: number): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  while (rest >= 128n) {
    out.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  out.push(Number(rest));
  return Uint8Array.from(out);
}

function float(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return concat(number(field * 8 + 5), bytes);
}

function text(field: number, value: string): Uint8Array {
  return message(field, utf8(value));
}

/** Field with wire type 2: a nested message, string or bytes. */
function message(field: number, body: Uint8Array): Uint8Array {
  return concat(number(field * 8 + 2), number(body.length), body);
}
