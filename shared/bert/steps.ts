import type { Engine, Parameter, Step } from '../engine/engine.ts';
import type { Graph } from '../engine/graph.ts';

/** The compiled programs of one model, by key; each is traced and compiled once. */
export class Steps {
  readonly #engine: Engine;
  readonly #parameters: readonly Parameter[];
  readonly #steps = new Map<string, Promise<Step>>();

  constructor(engine: Engine, parameters: readonly Parameter[]) {
    this.#engine = engine;
    this.#parameters = parameters;
  }

  get(key: string, build: () => Graph): Promise<Step> {
    const known = this.#steps.get(key);
    if (known !== undefined) return known;
    const step = this.#engine.compile(build(), this.#parameters);
    this.#steps.set(key, step);
    return step;
  }

  async dispose(): Promise<void> {
    for (const step of await Promise.all(this.#steps.values())) await step.dispose();
    this.#steps.clear();
    this.#engine.release(this.#parameters);
  }
}
