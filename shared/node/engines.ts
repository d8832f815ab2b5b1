import * as ort from 'onnxruntime-node';
import type { Engine } from '../engine/engine.ts';
import { createOnnxEngine } from '../engine/onnx/engine.ts';

/** The engine that runs everywhere Node does: onnxruntime on the CPU. @param threads threads inside one operation */
export function onnxCpuEngine(threads = 1): Engine {
  return createOnnxEngine(ort, { threads });
}
