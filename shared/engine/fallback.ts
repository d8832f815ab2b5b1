import { TacitError } from '../core/errors.ts';
import type { Engine, EngineErrorCode, Feeds, Fetches, Parameter, Step } from './engine.ts';
import type { Graph } from './graph.ts';
import type { EngineCandidate, Selection } from './select.ts';

/** Told when a step failed on one engine and is done again on the next. */
export type SwitchListener = (from: string, to: string, reason: string) => void;

/** The engine of a selection, going on with the candidates that were not refused should it fail. */
export function survivingEngine(
  { engine, report }: Selection,
  candidates: readonly EngineCandidate[],
  onSwitch: SwitchListener,
): Engine {
  const usable = report.filter(({ state }) => state === 'slower' || state === 'untried').map(({ name }) => name);
  return createFallbackEngine(
    engine,
    candidates.filter(({ name }) => usable.includes(name)),
    onSwitch,
  );
}

/**
 * An engine that survives the loss of the one under it (a lost WebGL context, memory exhausted, a crashed runtime): the
 * step that failed is done again, whole, on the next candidate, and all later steps with it. A step has no effect before
 * it has succeeded, so no example counts twice.
 * @param first the proven engine; `next`: what to open when it fails, in order
 */
export function createFallbackEngine(
  first: Engine,
  next: readonly EngineCandidate[],
  onSwitch: SwitchListener,
): Engine {
  const rest = [...next];
  let current = first;
  const switchAway = async (failed: Engine, cause: TacitError): Promise<void> => {
    if (failed !== current) return;
    for (let candidate = rest.shift(); candidate !== undefined; candidate = rest.shift()) {
      const opened = await candidate.open().catch(() => undefined);
      if (opened === undefined) continue;
      onSwitch(current.name, opened.name, cause.toString());
      current = opened;
      return;
    }
    throw cause;
  };
  return {
    get name() {
      return current.name;
    },
    async compile(graph, parameters) {
      const step = new FallbackStep(graph, parameters, () => current, switchAway);
      await step.prepare();
      return step;
    },
    release: (parameters) => current.release(parameters),
  };
}

class FallbackStep implements Step {
  readonly #graph: Graph;
  readonly #parameters: readonly Parameter[];
  readonly #engine: () => Engine;
  readonly #switchAway: (failed: Engine, cause: TacitError) => Promise<void>;
  #compiled: { readonly engine: Engine; readonly step: Step } | undefined;

  constructor(
    graph: Graph,
    parameters: readonly Parameter[],
    engine: () => Engine,
    switchAway: (failed: Engine, cause: TacitError) => Promise<void>,
  ) {
    this.#graph = graph;
    this.#parameters = parameters;
    this.#engine = engine;
    this.#switchAway = switchAway;
  }

  async prepare(): Promise<void> {
    await this.#attempt(async () => {});
  }

  async run(feeds: Feeds, fetches: Fetches): Promise<void> {
    await this.#attempt((step) => step.run(feeds, fetches));
  }

  async dispose(): Promise<void> {
    await this.#compiled?.step.dispose();
  }

  /** Until it works or there is no engine left. */
  async #attempt(work: (step: Step) => Promise<void>): Promise<void> {
    for (;;) {
      const engine = this.#engine();
      try {
        if (this.#compiled?.engine !== engine) {
          this.#compiled = { engine, step: await engine.compile(this.#graph, this.#parameters) };
        }
        await work(this.#compiled.step);
        return;
      } catch (cause) {
        const code = cause instanceof TacitError ? (cause.code as EngineErrorCode) : undefined;
        if (code !== 'ENGINE_RUN' && code !== 'ENGINE_COMPILE') throw cause;
        await this.#switchAway(engine, cause as TacitError);
      }
    }
  }
}
