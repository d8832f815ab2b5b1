import { TacitError } from '../../core/errors.ts';
import type { Engine, EngineErrorCode, Fetches, Parameter, Step } from '../engine.ts';
import type { Graph } from '../graph.ts';
import { outputName, toOnnx } from './lower.ts';

/** The parts of `onnxruntime-node` or `onnxruntime-web` that are used; the module is handed in. */
export interface Ort {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: Readonly<Record<string, unknown>>): Promise<OrtSession>;
  };
  readonly Tensor: new (
    type: 'float32' | 'int32',
    data: Float32Array | Int32Array,
    dims: readonly number[],
  ) => OrtTensor;
}
export interface OrtTensor {
  readonly data: unknown;
}
export interface OrtSession {
  run(feeds: Record<string, OrtTensor>, fetches: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

export interface OnnxEngineOptions {
  /** Execution provider; default `cpu`. */
  readonly provider?: string;
  /** Threads inside one operation; default 1: several clients of one thread beat one client of several. */
  readonly threads?: number;
}

/** Engine over onnxruntime. The weights are read, and the outputs written, in the caller's own arrays. */
export function createOnnxEngine(ort: Ort, options: OnnxEngineOptions = {}): Engine {
  const provider = options.provider ?? 'cpu';
  const sessionOptions = {
    executionProviders: [provider],
    intraOpNumThreads: options.threads ?? 1,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    // Planned memory would be one more block as large as all intermediate values, made in the second run, and colder.
    enableMemPattern: false,
    logSeverityLevel: 3,
    // Idle pool threads would otherwise spin and take the core from the other clients of this machine.
    extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
  };
  return {
    name: `onnx ${provider}`,
    async compile(graph, parameters) {
      const session = await ort.InferenceSession.create(toOnnx(graph), sessionOptions).catch((cause: unknown) => {
        throw new TacitError<EngineErrorCode>('ENGINE_COMPILE', 'onnxruntime refused the graph', { cause });
      });
      return onnxStep(ort, session, graph, parameters);
    },
    release: () => {},
  };
}

function onnxStep(ort: Ort, session: OrtSession, graph: Graph, parameters: readonly Parameter[]): Step {
  const byName = new Map(parameters.map((p) => [p.name, p]));
  const read = graph.parameters.map(({ name, value }) => {
    const parameter = byName.get(name);
    if (parameter === undefined) throw new TacitError<EngineErrorCode>('ENGINE_COMPILE', `no parameter ${name}`);
    return { name, parameter, shape: value.shape };
  });
  return {
    async run(feeds, fetches) {
      const inputs: Record<string, OrtTensor> = {};
      for (const { name, parameter, shape } of read) inputs[name] = new ort.Tensor('float32', parameter.data, shape);
      for (const { name, value } of graph.feeds) {
        const data = feeds.get(name);
        if (data === undefined) throw new TacitError<EngineErrorCode>('ENGINE_RUN', `no feed ${name}`);
        inputs[name] = new ort.Tensor(value.type, data, value.shape);
      }
      const outputs: Record<string, OrtTensor> = {};
      for (const { name, value } of graph.outputs) {
        const data = fetches.get(name);
        if (data === undefined) throw new TacitError<EngineErrorCode>('ENGINE_RUN', `no place for output ${name}`);
        data[0] = Number.NaN;
        outputs[outputName(name)] = new ort.Tensor('float32', data, value.shape);
      }
      const results = await session.run(inputs, outputs).catch((cause: unknown) => {
        throw new TacitError<EngineErrorCode>('ENGINE_RUN', 'onnxruntime stopped in the middle of a step', { cause });
      });
      copyWhereMoved(results, graph, fetches);
    },
    dispose: () => session.release(),
  };
}

/**
 * onnxruntime-node writes into the arrays that it was given (and returns copies besides); other bindings return tensors of
 * their own. The NaN put first before the run tells which: where it still stands, or was written, the copy is right.
 */
function copyWhereMoved(results: Record<string, OrtTensor>, graph: Graph, fetches: Fetches): void {
  for (const { name } of graph.outputs) {
    const place = fetches.get(name) as Float32Array;
    if (Number.isNaN(place[0])) place.set(results[outputName(name)]?.data as Float32Array);
  }
}
