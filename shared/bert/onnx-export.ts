import { Lowering } from '../engine/onnx/lower.ts';
import { dataType, encodeModel, type OnnxNode, type OnnxTensor } from '../engine/onnx/proto.ts';
import { elements, type NamedTensor, type Weights } from '../tensor/named.ts';
import type { BertConfig } from './config.ts';
import { positionEmbedding, typeEmbedding, wordEmbedding } from './names.ts';
import { blocksUsed, classifierSpecs, encoderSpecs, poolerSpecs, requireTensor } from './parameters.ts';
import { forwardProgram } from './programs.ts';
import type { Head } from './types.ts';

/** Lengths that no dimension of a model is a multiple of; whatever has them in the trace is free in the file. */
const traced = { batch: 1_000_003, tokens: 1_009 };

/**
 * An ONNX model for inference out of the same forward program that trains. Inputs `input_ids`, `attention_mask`,
 * `token_type_ids` (int64, [batch, sequence]; both free), outputs `logits` [batch, labels] and `features`.
 * Operators: ONNX opset 18, nothing else.
 * @throws BERT_WEIGHTS_MISSING, BERT_WEIGHTS_SHAPE
 */
export function exportOnnx(config: BertConfig, weights: Weights, head: Head): Uint8Array {
  const parameters = parametersOf(config, weights, head);
  const width = config.hiddenSize;
  const labels = parameters.get('classifier.weight')?.shape[0] as number;
  const graph = forwardProgram({
    config,
    head,
    labels,
    ...traced,
    task: 'single_label',
    recordsPerUnit: 1,
    shapes: new Map([...parameters].map(([name, t]) => [name, t.shape])),
    lora: [],
    trains: () => false,
    dropout: false,
    from: 0,
  });
  const lowering = new Lowering(graph, (name) => name, { ...traced, sequence: 'sequence' });
  const nodes = graph.nodes.flatMap((node) => lowering.lower(node));
  const used = [...graph.parameters.map((p) => p.name), wordEmbedding, positionEmbedding, typeEmbedding];
  const constants = graph.constants.map(
    (c): NamedTensor => ({ name: `v${c.value.id}`, shape: c.value.shape, data: c.data }),
  );
  const tensors = used.map((name) => parameters.get(name) as NamedTensor);
  const features = graph.outputs.find((o) => o.name === 'features')?.value.shape[1] as number;
  const input = (name: string) => ({ name, type: dataType.int64, shape: ['batch', 'sequence'] });
  const output = (name: string, size: number) => ({ name, type: dataType.float32, shape: ['batch', size] });
  return encodeModel({
    nodes: [...prelude(head), ...nodes],
    initializers: [
      ...[...tensors, ...constants].map(floats),
      ...lowering.initializers,
      ...preludeConstants(width, head),
    ],
    inputs: ['input_ids', 'attention_mask', 'token_type_ids'].map(input),
    outputs: [output('logits', labels), output('features', features)],
    opsets: { '': 18 },
  });
}

function parametersOf(config: BertConfig, weights: Weights, head: Head): Map<string, NamedTensor> {
  const needed = [
    ...encoderSpecs(config, blocksUsed(config, head)),
    ...(head === 'pooler' ? poolerSpecs(config) : []),
  ].map((spec) => requireTensor(weights, spec));
  const own = [
    ...(head === 'mean' ? ['head.dense.weight', 'head.dense.bias'] : []),
    'classifier.weight',
    'classifier.bias',
  ];
  const [dense] = own.map((name) => weights.get(name));
  const [labels, features] = weights.get('classifier.weight')?.shape ?? [1, dense?.shape[0] ?? config.hiddenSize];
  const classifier = classifierSpecs(labels ?? 1, features ?? 1).map((spec) => requireTensor(weights, spec));
  const mean = own
    .filter((name) => name.startsWith('head.'))
    .map((name) => requireTensor(weights, weights.get(name) ?? { name, shape: [] }));
  return new Map([...needed, ...mean, ...classifier].map((t) => [t.name, t]));
}

/** From token ids and masks to what the traced program is fed: summed embeddings, attention bias, mask of the mean. */
function prelude(head: Head): OnnxNode[] {
  const node = (type: string, inputs: string[], output: string, attributes?: OnnxNode['attributes']): OnnxNode => ({
    type,
    inputs,
    outputs: [output],
    ...(attributes === undefined ? {} : { attributes }),
  });
  const toFloat = { to: { int: dataType.float32 } };
  const mean = [
    node('ReduceSum', ['mask', 'axis1'], 'mask:count', { keepdims: { int: 1 } }),
    node('Max', ['mask:count', 'one'], 'mask:atLeastOne'),
    node('Div', ['mask', 'mask:atLeastOne'], 'mask:share'),
    node('Unsqueeze', ['mask:share', 'axis2'], 'meanMask'),
  ];
  return [
    node('Shape', ['input_ids'], 'sequence', { start: { int: 1 } }),
    node('Gather', [wordEmbedding, 'input_ids'], 'words'),
    node('Gather', [typeEmbedding, 'token_type_ids'], 'types'),
    node('Slice', [positionEmbedding, 'zero', 'sequence', 'axis0'], 'positions'),
    node('Add', ['words', 'types'], 'words+types'),
    node('Add', ['words+types', 'positions'], 'summed'),
    node('Reshape', ['summed', 'rows'], 'embedded'),
    node('Cast', ['attention_mask'], 'mask', toFloat),
    node('Sub', ['mask', 'one'], 'mask:off'),
    node('Mul', ['mask:off', 'billion'], 'mask:bias'),
    node('Unsqueeze', ['mask:bias', 'axes12'], 'attentionBias'),
    ...(head === 'mean' ? mean : []),
  ];
}

function preludeConstants(width: number, head: Head): OnnxTensor[] {
  const ints = (name: string, values: readonly number[]): OnnxTensor => ({
    name,
    type: dataType.int64,
    shape: [values.length],
    bytes: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
  });
  return [
    ints('zero', [0]),
    ints('axis0', [0]),
    ...(head === 'mean' ? [ints('axis1', [1]), ints('axis2', [2])] : []),
    ints('axes12', [1, 2]),
    ints('rows', [-1, width]),
    floats({ name: 'one', shape: [1], data: Float32Array.of(1) }),
    floats({ name: 'billion', shape: [1], data: Float32Array.of(1e9) }),
  ];
}

function floats({ name, shape, data }: NamedTensor): OnnxTensor {
  if (data.length !== elements(shape)) throw new RangeError(`${name} has ${data.length} values for [${shape}]`);
  return { name, type: dataType.float32, shape, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}
