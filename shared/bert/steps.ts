import type { Engine, Parameter, Step } from '../engine/engine.ts';
import type { Graph } from '../engine/graph.ts';

/** A program and what runs it. */
export interface Program {
  readonly graph: Graph;
  readonly step: Step;
}

/** The compiled programs of one model, by key; each is traced and compiled once. */
export class Steps {
  readonly #engine: Engine;
  readonly #parameters: readonly Parameter[];
  readonly #steps = new Map<string, Promise<Program>>();

  constructor(engine: Engine, parameters: readonly Parameter[]) {
    this.#engine = engine;
    this.#parameters = parameters;
  }

  get(key: string, build: () => Graph): Promise<Program> {
    const known = this.#steps.get(key);
    if (known !== undefined) return known;
    const graph = build();
    const program = this.#engine.compile(graph, this.#parameters).then((step) => ({ graph, step }));
    this.#steps.set(key, program);
    return program;
  }

  async dispose(): Promise<void> {
    for (const { step } of await Promise.all(this.#steps.values())) await step.dispose();
    this.#steps.clear();
    this.#engine.release(this.#parameters);
  }
}
