import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import * as ort from 'onnxruntime-node';
import type { Engine } from '../engine/engine.ts';
import { createOnnxEngine } from '../engine/onnx/engine.ts';
import { createTfjsEngine } from '../engine/tfjs/engine.ts';

/** The engine that runs everywhere Node does: onnxruntime on the CPU. @param threads threads inside one operation */
export function onnxCpuEngine(threads = 1): Engine {
  return createOnnxEngine(ort, { threads });
}

/** TensorFlow.js on WebAssembly, from the files inside its npm package. */
export async function tfjsWasmEngine(): Promise<Engine> {
  const tf = await import('@tensorflow/tfjs');
  const wasm = await import('@tensorflow/tfjs-backend-wasm');
  const entry = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(`${dirname(entry)}/`);
  return createTfjsEngine(tf, 'wasm');
}

/** TensorFlow.js in plain JavaScript: slow, for checking the others. */
export async function tfjsCpuEngine(): Promise<Engine> {
  return createTfjsEngine(await import('@tensorflow/tfjs'), 'cpu');
}
