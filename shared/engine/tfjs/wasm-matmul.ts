import type * as TensorFlow from '@tensorflow/tfjs';
import { GEMM_SCRATCH_BYTES, type Gemm, openGemm } from '../../kernels/gemm.ts';
import type { Tensor, Tf } from './tensorflow.ts';

/** a·b over the last two axes, leading axes equal. */
export type Matmul = (a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean) => Tensor;

/** What is used of TensorFlow.js's wasm backend (4.22): where a tensor lies in its heap. */
interface WasmBackend {
  readonly wasm: {
    readonly asm?: { readonly memory?: unknown };
    readonly _malloc?: (bytes: number) => number;
  };
  readonly dataIdMap: { get(dataId: object): { readonly memoryOffset: number } };
  makeOutput(shape: readonly number[], type: 'float32'): TensorFlow.TensorInfo;
}

const KERNEL = 'TacitMatMul';
const opened = new WeakMap<object, Gemm | undefined>();

/**
 * Matrix products by a kernel of our own, inside the heap of the wasm backend: its own are fast for one untransposed pair
 * only. Undefined where the backend does not show its memory, or shares it between threads: then its products are used.
 */
export function wasmMatmul(tf: Tf): Matmul | undefined {
  const backend = tf.backend() as unknown as WasmBackend & object;
  if (!opened.has(backend)) opened.set(backend, openIn(backend));
  const gemm = opened.get(backend);
  if (gemm === undefined) return undefined;
  if (tf.getKernel(KERNEL, 'wasm') === undefined) register(tf);
  return (a, b, transposeA, transposeB) =>
    tf.engine().runKernel(KERNEL, { a, b }, { transposeA, transposeB }) as unknown as Tensor;
}

function openIn({ wasm }: WasmBackend): Gemm | undefined {
  const memory = wasm.asm?.memory;
  if (!(memory instanceof WebAssembly.Memory) || !(memory.buffer instanceof ArrayBuffer)) return undefined;
  const scratch = (wasm._malloc?.(GEMM_SCRATCH_BYTES) ?? 0) >>> 0;
  return scratch === 0 ? undefined : openGemm(memory, scratch);
}

function register(tf: Tf): void {
  tf.registerKernel({
    kernelName: KERNEL,
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { a, b } = inputs as { a: TensorFlow.TensorInfo; b: TensorFlow.TensorInfo };
      const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
      return multiply(backend as unknown as WasmBackend, a, b, transposeA, transposeB);
    },
  });
}

function multiply(
  backend: WasmBackend,
  a: TensorFlow.TensorInfo,
  b: TensorFlow.TensorInfo,
  transposeA: boolean,
  transposeB: boolean,
): TensorFlow.TensorInfo {
  const [rows, depth] = lastTwo(a.shape, transposeA);
  const [inner, columns] = lastTwo(b.shape, transposeB);
  const batch = a.shape.slice(0, -2);
  const out = backend.makeOutput([...batch, rows, columns], 'float32');
  // After the output is made: making it may move the heap's end, never what lies in it.
  const gemm = opened.get(backend) as Gemm;
  const at = (info: TensorFlow.TensorInfo): number => backend.dataIdMap.get(info.dataId).memoryOffset >>> 0;
  const count = batch.reduce((x, y) => x * y, 1);
  for (let i = 0; i < count; i++) {
    gemm(
      { at: at(a) + 4 * i * rows * depth, rows, columns: depth, transposed: transposeA },
      { at: at(b) + 4 * i * inner * columns, rows: inner, columns, transposed: transposeB },
      at(out) + 4 * i * rows * columns,
    );
  }
  return out;
}

function lastTwo(shape: readonly number[], transposed: boolean): [number, number] {
  const [rows, columns] = shape.slice(-2) as [number, number];
  return transposed ? [columns, rows] : [rows, columns];
}
