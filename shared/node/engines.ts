import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import util from 'node:util';
import * as ort from 'onnxruntime-node';
import { selfCheck } from '../bert/self-check.ts';
import type { Engine } from '../engine/engine.ts';
import { createOnnxEngine } from '../engine/onnx/engine.ts';
import { type EngineCandidate, type Selection, selectEngine } from '../engine/select.ts';
import { createTfjsEngine } from '../engine/tfjs/engine.ts';
import type { Tf } from '../engine/tfjs/kernels.ts';

const packageRequire = createRequire(import.meta.url);

/** The engine that runs everywhere Node does: onnxruntime on the CPU. @param threads threads inside one operation */
export function onnxCpuEngine(threads = 1): Engine {
  return createOnnxEngine(ort, { threads });
}

/** TensorFlow.js on WebAssembly, from the files inside its npm package. */
export async function tfjsWasmEngine(): Promise<Engine> {
  const tf = await import('@tensorflow/tfjs');
  const wasm = await import('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(`${dirname(packageRequire.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  return createTfjsEngine(tf, 'wasm');
}

/** TensorFlow.js in plain JavaScript: slow, for checking the others. */
export async function tfjsCpuEngine(): Promise<Engine> {
  return createTfjsEngine(await import('@tensorflow/tfjs'), 'cpu');
}

/** Everything that Node may compute with, fastest first. */
export function nodeEngineCandidates(): readonly EngineCandidate[] {
  return [
    { name: 'tfjs tensorflow (gpu)', open: () => nativeEngine('@tensorflow/tfjs-node-gpu') },
    { name: 'onnx cuda', open: cudaEngine },
    { name: 'onnx cpu', open: async () => onnxCpuEngine() },
    { name: 'tfjs tensorflow', open: () => nativeEngine('@tensorflow/tfjs-node') },
    { name: 'tfjs wasm', open: tfjsWasmEngine },
    { name: 'tfjs cpu', open: tfjsCpuEngine },
  ];
}

/**
 * The engine to use in this process, proved; with `exhaustive` every candidate is tried (what `tacit doctor` prints).
 * @throws ENGINE_NONE
 */
export function selectNodeEngine(options: { readonly exhaustive?: boolean } = {}): Promise<Selection> {
  return selectEngine(nodeEngineCandidates(), selfCheck, options);
}

/** libtensorflow under tfjs-node. Its package is optional, and so is the library that it fetches when installed. */
async function nativeEngine(packageName: string): Promise<Engine> {
  const folder = dirname(packageRequire.resolve(`${packageName}/package.json`));
  // Looked for before loading: the package registers its kernels first and fails afterwards, loudly.
  const built = await readdir(join(folder, 'lib')).catch(() => []);
  if (!built.some((name) => existsSync(join(folder, 'lib', name, 'tfjs_binding.node')))) {
    throw new Error(`${packageName} is installed without its native library`);
  }
  // tfjs-node 4.22 calls a function that Node 23 removed.
  (util as { isNullOrUndefined?: (value: unknown) => boolean }).isNullOrUndefined ??= (value) => value == null;
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  return createTfjsEngine(packageRequire(packageName) as Tf, 'tensorflow');
}

async function cudaEngine(): Promise<Engine> {
  const backends = ort.listSupportedBackends().map((backend) => backend.name);
  if (!backends.includes('cuda')) throw new Error(`onnxruntime-node here has ${backends.join(', ')}`);
  const folder = dirname(dirname(packageRequire.resolve('onnxruntime-node')));
  const files = await readdir(join(folder, 'bin'), { recursive: true }).catch(() => []);
  const provider = files.some(
    (name) => /onnxruntime_providers_cuda\.(so|dll)$/.test(name) && name.includes(process.arch),
  );
  if (!provider) throw new Error('onnxruntime-node is installed without its CUDA library');
  return createOnnxEngine(ort, { provider: 'cuda' });
}
