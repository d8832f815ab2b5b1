import { TacitError } from '../../core/errors.ts';
import type { Engine, EngineErrorCode, Feeds, Fetches, Parameter, Step } from '../engine.ts';
import { type Graph, lastUses, type Value } from '../graph.ts';
import { matmulOn, runNode } from './kernels.ts';
import type { Tensor, Tf } from './tensorflow.ts';

/**
 * Engine over TensorFlow.js on a backend that the caller has registered: `tensorflow`, `webgpu`, `webgl`, `wasm` or
 * `cpu`. Runs the graph node by node and frees each value after its last use, so memory stays at what the backward pass
 * needs and not at everything that was ever computed.
 * @throws ENGINE_COMPILE when the backend cannot be started
 */
export async function createTfjsEngine(tf: Tf, backend: string): Promise<Engine> {
  const started = await tf.setBackend(backend).catch(() => false);
  if (!started) throw new TacitError<EngineErrorCode>('ENGINE_COMPILE', `the ${backend} backend does not start`);
  await tf.ready();
  const lost = contextLoss(tf, backend);
  const uploads = new Map<Parameter, { version: number; tensor: Tensor }>();
  const upload = (parameter: Parameter): Tensor => {
    const known = uploads.get(parameter);
    if (known?.version === parameter.version) return known.tensor;
    known?.tensor.dispose();
    const tensor = tf.tensor(parameter.data, [...parameter.shape], 'float32');
    uploads.set(parameter, { version: parameter.version, tensor });
    return tensor;
  };
  return {
    name: `tfjs ${backend}`,
    async compile(graph, parameters) {
      return tfjsStep(tf, backend, graph, new Map(parameters.map((p) => [p.name, p])), upload, lost);
    },
    release(parameters) {
      for (const parameter of parameters) {
        uploads.get(parameter)?.tensor.dispose();
        uploads.delete(parameter);
      }
    },
  };
}

function tfjsStep(
  tf: Tf,
  backend: string,
  graph: Graph,
  parameters: ReadonlyMap<string, Parameter>,
  upload: (parameter: Parameter) => Tensor,
  lost: Promise<never> | undefined,
): Step {
  const free = lastUses(graph);
  const matmul = matmulOn(tf, backend);
  return {
    async run(feeds, fetches) {
      if (tf.getBackend() !== backend) await tf.setBackend(backend);
      const own = new Map<number, Tensor>();
      try {
        const given = new Map<number, Tensor>();
        for (const { name, value } of graph.parameters) given.set(value.id, upload(parameters.get(name) as Parameter));
        for (const { value, data } of graph.constants) own.set(value.id, tf.tensor(data, [...value.shape], 'float32'));
        for (const { name, value } of graph.feeds) own.set(value.id, fed(tf, feeds, name, value));
        for (const [i, node] of graph.nodes.entries()) {
          const inputs = node.inputs.map((id) => (own.get(id) ?? given.get(id)) as Tensor);
          const shape = (graph.values[node.outputs[0] as number] as Value).shape;
          const outputs = runNode(tf, node, inputs, shape, matmul);
          for (const [k, id] of node.outputs.entries()) own.set(id, outputs[k] as Tensor);
          for (const id of free[i] as readonly number[]) dispose(own, id);
        }
        const arrays = await (lost === undefined ? download(graph, own) : Promise.race([download(graph, own), lost]));
        if (contextLost(tf, backend)) throw new Error(LOST);
        deliver(graph, arrays, fetches);
      } catch (cause) {
        if (cause instanceof TacitError) throw cause;
        throw new TacitError<EngineErrorCode>('ENGINE_RUN', `the ${backend} backend stopped in the middle of a step`, {
          cause,
        });
      } finally {
        for (const tensor of own.values()) tensor.dispose();
      }
    },
    dispose: async () => {},
  };
}

const LOST = 'the WebGL context was lost';

interface Gl {
  isContextLost(): boolean;
  readonly canvas: { addEventListener(name: string, listener: () => void): void };
}

function glOf(tf: Tf, backend: string): Gl | undefined {
  return backend === 'webgl' ? (tf.backend() as { gpgpu?: { readonly gl: Gl } }).gpgpu?.gl : undefined;
}

/** Rejects when the backend loses its context: TensorFlow.js would wait for what it was computing without end. */
function contextLoss(tf: Tf, backend: string): Promise<never> | undefined {
  const gl = glOf(tf, backend);
  if (gl === undefined) return undefined;
  const lost = new Promise<never>((_, reject) => {
    gl.canvas.addEventListener('webglcontextlost', () => reject(new Error(LOST)));
  });
  // Nobody may be waiting when it happens.
  lost.catch(() => {});
  return lost;
}

/** Nothing that was read from a lost context counts: it may be zeros. */
function contextLost(tf: Tf, backend: string): boolean {
  return glOf(tf, backend)?.isContextLost() === true;
}

function fed(tf: Tf, feeds: Feeds, name: string, value: Value): Tensor {
  const data = feeds.get(name);
  if (data === undefined) throw new TacitError<EngineErrorCode>('ENGINE_RUN', `no feed ${name}`);
  return tf.tensor(data, [...value.shape], value.type);
}

async function download(graph: Graph, own: ReadonlyMap<number, Tensor>): Promise<Float32Array[]> {
  const arrays: Float32Array[] = [];
  for (const { value } of graph.outputs) arrays.push((await (own.get(value.id) as Tensor).data()) as Float32Array);
  return arrays;
}

/** Only when all has been read: what a lost context gives late must not overwrite another engine's numbers. */
function deliver(graph: Graph, arrays: readonly Float32Array[], fetches: Fetches): void {
  for (const [i, { name }] of graph.outputs.entries()) {
    const place = fetches.get(name);
    if (place === undefined) throw new TacitError<EngineErrorCode>('ENGINE_RUN', `no place for output ${name}`);
    place.set(arrays[i] as Float32Array);
  }
}

function dispose(own: Map<number, Tensor>, id: number): void {
  own.get(id)?.dispose();
  own.delete(id);
}
