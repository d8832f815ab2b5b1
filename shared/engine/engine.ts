import type { Graph } from './graph.ts';

/** A model parameter that a program reads. Its numbers live in the caller's memory; `version` tells engines to upload again. */
export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  /** Row-major. Written in place, or another array, by the owner between two runs, who then raises `version`. */
  readonly data: Float32Array;
  version: number;
}

/** What goes into one run by name: float32 values, or int32 indices for `gatherRows`. */
export type Feeds = ReadonlyMap<string, Float32Array | Int32Array>;
/** Where the outputs of one run are written: one array of the right length for each output name. */
export type Fetches = ReadonlyMap<string, Float32Array>;

/** A graph made ready by an engine. */
export interface Step {
  /** Runs the graph once and fills `fetches`. @throws ENGINE_RUN */
  run(feeds: Feeds, fetches: Fetches): Promise<void>;
  dispose(): Promise<void>;
}

/** Runs graphs on one kind of hardware. All engines run the same graphs and are proved by the same conformance suite. */
export interface Engine {
  /** e.g. `onnx cpu`, `tfjs wasm`. */
  readonly name: string;
  /** @throws ENGINE_COMPILE */
  compile(graph: Graph, parameters: readonly Parameter[]): Promise<Step>;
  /** Frees what the engine holds for these parameters. */
  release(parameters: readonly Parameter[]): void;
}

export type EngineErrorCode = 'ENGINE_COMPILE' | 'ENGINE_RUN' | 'ENGINE_SHAPE' | 'ENGINE_NONE' | 'ENGINE_NOT_FINITE';
