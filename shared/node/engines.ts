import { existsSync, readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import util from 'node:util';
import * as ort from 'onnxruntime-node';
import { GPU_TOLERANCE, selfCheck } from '../bert/self-check.ts';
import type { Engine } from '../engine/engine.ts';
import { type SwitchListener, survivingEngine } from '../engine/fallback.ts';
import { createOnnxEngine } from '../engine/onnx/engine.ts';
import { type EngineCandidate, type Proof, type Selection, selectEngine } from '../engine/select.ts';
import { createTfjsEngine } from '../engine/tfjs/engine.ts';
import type { Tf } from '../engine/tfjs/tensorflow.ts';
import { packageRoot } from './package-root.ts';

const packageRequire = createRequire(import.meta.url);
/** What `node native/install.mjs` installs. */
const nativeRequire = createRequire(join(packageRoot, 'native', 'package.json'));

/** The engine that runs everywhere Node does: onnxruntime on the CPU. @param threads threads inside one operation */
export function onnxCpuEngine(threads = 1): Engine {
  return createOnnxEngine(ort, { threads });
}

/** The library without its advertisement for another package; `tacit doctor` says what is missing. */
async function quietTensorflow(): Promise<Tf> {
  const tf = await import('@tensorflow/tfjs');
  tf.enableProdMode();
  return tf;
}

/** TensorFlow.js on WebAssembly, from the files inside its npm package. */
export async function tfjsWasmEngine(): Promise<Engine> {
  const tf = await quietTensorflow();
  const wasm = await import('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(`${dirname(packageRequire.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  return createTfjsEngine(tf, 'wasm');
}

/** TensorFlow.js in plain JavaScript: slow, for checking the others. */
export async function tfjsCpuEngine(): Promise<Engine> {
  return createTfjsEngine(await quietTensorflow(), 'cpu');
}

/** Everything that Node may compute with, fastest first. */
export function nodeEngineCandidates(): readonly EngineCandidate[] {
  return [
    { name: 'tfjs tensorflow (gpu)', open: () => nativeEngine('@tensorflow/tfjs-node-gpu') },
    { name: 'onnx cuda', open: cudaEngine },
    { name: 'onnx webgpu', open: webgpuEngine },
    { name: 'onnx cpu', open: async () => onnxCpuEngine() },
    { name: 'tfjs tensorflow', open: tfjsNativeEngine },
    { name: 'tfjs wasm', open: tfjsWasmEngine },
    { name: 'tfjs cpu', open: tfjsCpuEngine },
  ];
}

/**
 * The engine to use in this process, proved; with `exhaustive` every candidate is tried (what `tacit doctor` prints).
 * Should it fail later (memory, a driver), the step is done again on the next one.
 * @param onSwitch - told then; default a process warning. @throws ENGINE_NONE
 */
export async function selectNodeEngine(
  options: { readonly exhaustive?: boolean; readonly onSwitch?: SwitchListener } = {},
): Promise<Selection> {
  const prove = (engine: Engine): Promise<Proof> =>
    selfCheck(engine, engine.name.includes('webgpu') ? GPU_TOLERANCE : undefined);
  const candidates = nodeEngineCandidates();
  const selection = await selectEngine(candidates, prove, options);
  return { ...selection, engine: survivingEngine(selection, candidates, options.onSwitch ?? warn) };
}

function warn(from: string, to: string, reason: string): void {
  process.emitWarning(`${from} failed and ${to} goes on with the same step: ${reason}`, { code: 'ENGINE_SWITCHED' });
}

/**
 * libtensorflow on the processor, with one thread for one operation: several clients of one thread beat one of several.
 * @throws what is missing, in a sentence
 */
export function tfjsNativeEngine(): Promise<Engine> {
  process.env['TF_NUM_INTRAOP_THREADS'] ??= '1';
  process.env['TF_NUM_INTEROP_THREADS'] ??= '1';
  return nativeEngine('@tensorflow/tfjs-node');
}

/** libtensorflow under tfjs-node. Its package is optional, and so is the library that it fetches when installed. */
async function nativeEngine(packageName: string): Promise<Engine> {
  // Looked for before loading: the package registers its kernels first and fails afterwards, loudly.
  const built = [nativeRequire, packageRequire].find((require) => hasLibrary(require, packageName));
  if (built === undefined) throw new Error(`${packageName} is not here with its native library (docs/NATIVE.md)`);
  // tfjs-node 4.22 calls a function that Node 23 removed.
  (util as { isNullOrUndefined?: (value: unknown) => boolean }).isNullOrUndefined ??= (value) => value == null;
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  return createTfjsEngine(built(packageName) as Tf, 'tensorflow');
}

function hasLibrary(require: NodeJS.Require, packageName: string): boolean {
  try {
    const lib = join(dirname(require.resolve(`${packageName}/package.json`)), 'lib');
    return readdirSync(lib).some((name) => existsSync(join(lib, name, 'tfjs_binding.node')));
  } catch {
    return false;
  }
}

function supportedProviders(): string[] {
  return ort.listSupportedBackends().map((backend) => backend.name);
}

/** WebGPU inside onnxruntime's own library; it needs a graphics driver, which only running it tells. */
async function webgpuEngine(): Promise<Engine> {
  if (!supportedProviders().includes('webgpu')) throw new Error('onnxruntime-node here has no WebGPU');
  // Without a device its Vulkan loader would complain on the console of every client before it gives up.
  const devices = ['/dev/dri', '/dev/nvidia0', '/dev/dxg'];
  if (process.platform === 'linux' && !devices.some((path) => existsSync(path))) {
    throw new Error('there is no graphics device');
  }
  return createOnnxEngine(ort, { provider: 'webgpu' });
}

async function cudaEngine(): Promise<Engine> {
  const providers = supportedProviders();
  if (!providers.includes('cuda')) throw new Error(`onnxruntime-node here has ${providers.join(', ')}`);
  const folder = dirname(dirname(packageRequire.resolve('onnxruntime-node')));
  const files = await readdir(join(folder, 'bin'), { recursive: true }).catch(() => []);
  const provider = files.some(
    (name) => /onnxruntime_providers_cuda\.(so|dll)$/.test(name) && name.includes(process.arch),
  );
  if (!provider) throw new Error('onnxruntime-node is installed without its CUDA library');
  return createOnnxEngine(ort, { provider: 'cuda' });
}
