import plainWasm from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url';
import simdWasm from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url';
import { GPU_TOLERANCE, selfCheck } from '../../shared/bert/self-check.ts';
import { errorCode } from '../../shared/core/errors.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { survivingEngine } from '../../shared/engine/fallback.ts';
import {
  type EngineCandidate,
  type EngineRow,
  type Proof,
  type Selection,
  selectEngine,
} from '../../shared/engine/select.ts';
import { createTfjsEngine } from '../../shared/engine/tfjs/engine.ts';
import type { Tf } from '../../shared/engine/tfjs/tensorflow.ts';

/** Examples in one step of the benchmark (shared/bert/self-check.ts). */
const BENCHMARK_EXAMPLES = 4;

/** Everything that a browser may compute with. TensorFlow.js is loaded when the first one is opened. */
export function browserEngineCandidates(): readonly EngineCandidate[] {
  return [
    { name: 'tfjs webgpu', open: webgpuEngine },
    { name: 'tfjs webgl', open: webglEngine },
    { name: 'tfjs wasm', open: wasmEngine },
    { name: 'tfjs cpu', open: async () => createTfjsEngine(await tensorflow(), 'cpu') },
  ];
}

/** A proven engine, the others to go on with should it fail, and what was found out about each. */
export interface ChosenEngine extends Selection {
  readonly secondsPerExample: number;
}

/**
 * Tries WebGPU, WebGL and WebAssembly, and takes the fastest one whose gradients are right; what is slow by nature only if
 * none of them is: plain JavaScript, and a "GPU" that the processor draws. Should the chosen one fail later (a lost GPU
 * context), training moves to the next in the middle of a round.
 * @param avoid - engines that a worker died with, tried only when no other one is right. @throws ENGINE_NONE
 */
export async function chooseBrowserEngine(
  onSwitch: (name: string, reason: string) => void,
  avoid: readonly string[] = [],
): Promise<ChosenEngine> {
  const candidates = browserEngineCandidates();
  const software = softwareRenderer();
  const isSlow = ({ name }: EngineCandidate): boolean =>
    name === 'tfjs cpu' || (name === 'tfjs webgl' && software !== undefined) || avoid.includes(name);
  const { engine, report } = await selectFirst(
    [candidates.filter((c) => !isSlow(c)), candidates.filter(isSlow)],
    (name) => (avoid.includes(name) ? 'a training worker stopped while it computed' : whySlow(name, software)),
  );
  const used = report.find((row) => row.state === 'used');
  return {
    engine: survivingEngine({ engine, report }, candidates, (_from, to, reason) => onSwitch(to, reason)),
    report,
    secondsPerExample: (used?.milliseconds ?? 0) / 1000 / BENCHMARK_EXAMPLES,
  };
}

/** The first group of candidates in which one is right decides; the others are told as untried. */
async function selectFirst(
  [fast, slow]: readonly [readonly EngineCandidate[], readonly EngineCandidate[]],
  why: (name: string) => string,
): Promise<Selection> {
  const untried = slow.map(
    ({ name }): EngineRow => ({ name, state: 'untried', reason: why(name), milliseconds: undefined }),
  );
  try {
    const { engine, report } = await selectEngine(fast, prove, { exhaustive: true });
    return { engine, report: [...report, ...untried] };
  } catch (error) {
    if (errorCode(error) !== 'ENGINE_NONE') throw error;
    return selectEngine([...fast, ...slow], prove);
  }
}

function whySlow(name: string, software: string | undefined): string {
  return name === 'tfjs cpu'
    ? 'plain JavaScript is slower'
    : `the processor draws it here (${software}), which is slower`;
}

/** Name of the renderer when WebGL is drawn without a graphics processor. */
function softwareRenderer(): string | undefined {
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  const info = gl?.getExtension('WEBGL_debug_renderer_info');
  if (gl == null || info == null) return undefined;
  const name = String(gl.getParameter(info.UNMASKED_RENDERER_WEBGL));
  return /SwiftShader|llvmpipe|softpipe|Microsoft Basic Render/i.exec(name)?.[0];
}

function prove(engine: Engine): Promise<Proof> {
  return selfCheck(engine, /webgl|webgpu/.test(engine.name) ? GPU_TOLERANCE : undefined);
}

async function tensorflow(): Promise<Tf> {
  return import('@tensorflow/tfjs');
}

async function webgpuEngine(): Promise<Engine> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<unknown> } };
  if (gpu === undefined) throw new Error('this browser, or this address, has no WebGPU');
  if ((await gpu.requestAdapter()) === null) throw new Error('WebGPU finds no graphics processor');
  const tf = await tensorflow();
  await import('@tensorflow/tfjs-backend-webgpu');
  return createTfjsEngine(tf, 'webgpu');
}

async function webglEngine(): Promise<Engine> {
  if (new OffscreenCanvas(1, 1).getContext('webgl2') === null) throw new Error('this browser has no WebGL 2');
  const tf = await tensorflow();
  // Textures of freed tensors are given back instead of kept: 0.4 GB instead of 2.3 GB on MiniLM.
  tf.env().set('WEBGL_DELETE_TEXTURE_THRESHOLD', 0);
  return createTfjsEngine(tf, 'webgl');
}

/**
 * One thread. The threaded build starts workers from blob: addresses, which the page's policy forbids, and it breaks when
 * it is minified; so it is switched off and not shipped.
 */
async function wasmEngine(): Promise<Engine> {
  const tf = await tensorflow();
  const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  const absolute = (url: string): string => new URL(url, import.meta.url).href;
  setWasmPaths({
    'tfjs-backend-wasm.wasm': absolute(plainWasm),
    'tfjs-backend-wasm-simd.wasm': absolute(simdWasm),
    // Never fetched, but the package wants all three named.
    'tfjs-backend-wasm-threaded-simd.wasm': absolute(simdWasm),
  });
  return createTfjsEngine(tf, 'wasm');
}
