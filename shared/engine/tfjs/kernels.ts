import type { Tensor1D } from '@tensorflow/tfjs';
import type { Node } from '../graph.ts';
import type { Tensor, Tf } from './tensorflow.ts';
import { type Matmul, wasmMatmul } from './wasm-matmul.ts';

/** Runs one node on the current backend. Everything it makes besides its outputs is freed. */
export function runNode(
  tf: Tf,
  node: Node,
  inputs: readonly Tensor[],
  shape: readonly number[],
  matmul: Matmul,
): Tensor[] {
  const [a, b] = inputs as [Tensor, Tensor];
  switch (node.op) {
    case 'matmul':
      return [matmul(a, b, node.transposeA, node.transposeB)];
    case 'linear':
      return [linear(tf, inputs, matmul)];
    case 'dotRows':
      // The last axis first: some backends add up one number after the other, and a long sum would round too often.
      return [tf.tidy(() => tf.sum(tf.sum(tf.mul(a, b), -1), [...a.shape.keys()].slice(1, -1)))];
    case 'normalise':
      return normalise(tf, a, node.epsilon);
    case 'reduceSum':
      return [tf.sum(a, [...node.axes], node.keepDims)];
    case 'reduceMax':
      return [tf.max(a, [...node.axes], node.keepDims)];
    case 'reshape':
      return [tf.reshape(a, [...shape])];
    case 'transpose':
      return [tf.transpose(a, [...node.permutation])];
    case 'slice':
      return [slice(tf, a, node, shape)];
    case 'concat':
      return [tf.concat([...inputs], node.axis)];
    case 'gatherRows':
      return [tf.gather(a, b as Tensor1D)];
    case 'oneHot':
      return [tf.tidy(() => tf.cast(tf.oneHot(a, node.depth), 'float32'))];
    default:
      return [elementwise(tf, node.op, a, b)];
  }
}

function elementwise(tf: Tf, op: Exclude<Node['op'], 'matmul' | 'linear'>, a: Tensor, b: Tensor): Tensor {
  switch (op) {
    case 'exp':
      return tf.exp(a);
    case 'log':
      return tf.log(a);
    case 'sqrt':
      return tf.sqrt(a);
    case 'tanh':
      return tf.tanh(a);
    case 'erf':
      return tf.erf(a);
    case 'sigmoid':
      return tf.sigmoid(a);
    case 'relu':
      return tf.relu(a);
    case 'step':
      return tf.step(a);
    case 'add':
      return tf.add(a, b);
    case 'sub':
      return tf.sub(a, b);
    case 'mul':
      return tf.mul(a, b);
    case 'div':
      return tf.div(a, b);
    case 'max':
      return tf.maximum(a, b);
    case 'softmax':
      return tf.softmax(a);
    default:
      throw new Error(`no kernel for ${op}`);
  }
}

/** No fused bias: on wasm `tf.fused.matMul` adds it once per 48-wide block on its slow path. */
function linear(tf: Tf, [x, weight, bias]: readonly Tensor[], matmul: Matmul): Tensor {
  return tf.tidy(() => {
    const product = matmul(x as Tensor, weight as Tensor, false, true);
    return bias === undefined ? product : tf.add(product, bias);
  });
}

/** Matrix products on a backend: for wasm our own, or where those cannot be had a loop over what it is fast in. */
export function matmulOn(tf: Tf, backend: string): Matmul {
  if (backend !== 'wasm') return (a, b, transposeA, transposeB) => tf.matMul(a, b, transposeA, transposeB);
  return wasmMatmul(tf) ?? ((a, b, transposeA, transposeB) => looped(tf, a, b, transposeA, transposeB));
}

/**
 * For the wasm backend, which is fast (XNNPACK) only for one untransposed pair at a time: transposed or batched ones run a
 * scalar loop 20 times slower.
 */
function looped(tf: Tf, a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  return tf.tidy(() => {
    const left = transposeA ? swapLast(tf, a) : a;
    const right = transposeB ? swapLast(tf, b) : b;
    const [m, k, n] = [left.shape.at(-2) as number, left.shape.at(-1) as number, right.shape.at(-1) as number];
    if (left.rank === 2) return tf.matMul(left, right);
    const batch = left.shape.slice(0, -2);
    const count = batch.reduce((x, y) => x * y, 1);
    const lefts = tf.reshape(left, [count * m, k]);
    const rights = tf.reshape(right, [count * k, n]);
    const products = Array.from({ length: count }, (_, i) =>
      tf.tidy(() => tf.matMul(tf.slice(lefts, [i * m, 0], [m, k]), tf.slice(rights, [i * k, 0], [k, n]))),
    );
    return tf.reshape(tf.concat(products, 0), [...batch, m, n]);
  });
}

function swapLast(tf: Tf, x: Tensor): Tensor {
  const axes = [...x.shape.keys()];
  return tf.transpose(x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2]);
}

function normalise(tf: Tf, x: Tensor, epsilon: number): Tensor[] {
  const { normalised, reciprocal } = tf.tidy(() => {
    const centred = tf.sub(x, tf.mean(x, -1, true));
    const deviation = tf.sqrt(tf.add(tf.mean(tf.mul(centred, centred), -1, true), epsilon));
    const inverse = tf.div(1, deviation);
    return { normalised: tf.mul(centred, inverse), reciprocal: inverse };
  });
  return [normalised, reciprocal];
}

function slice(tf: Tf, x: Tensor, node: Extract<Node, { op: 'slice' }>, shape: readonly number[]): Tensor {
  const begin = x.shape.map((_, axis) => (axis === node.axis ? node.start : 0));
  return tf.slice(x, begin, [...shape]);
}
