import { type LocalStep, type LocalTraining, trainLocally } from './local.ts';

export interface Watch<M extends { readonly loss: number }> {
  /** Quality on held-out examples, with the weights that the bert holds. */
  evaluate(): Promise<M>;
  /** Steps between two evaluations; the last step is evaluated always. */
  readonly every: number;
  /** Evaluations without a better loss before training stops; Infinity: none stops it. */
  readonly patience: number;
  readonly resume?: WatchState;
}

/** What an interrupted, watched training needs to go on. */
export interface WatchState {
  readonly best: Best;
  /** Evaluations since the best one. */
  readonly worse: number;
}

export interface Best {
  /** Steps done; 0: before training. */
  readonly step: number;
  readonly loss: number;
  readonly weights: Float32Array;
}

export interface WatchedStep<M> extends LocalStep {
  /** Where this step was evaluated. */
  readonly metrics: M | undefined;
  watched(): WatchState;
}

/**
 * Trains, evaluates every so often, stops when the held-out loss no longer falls, and then puts the best weights seen
 * into the bert. Choosing by held-out examples tells about them: they must be public or not part of the promise.
 */
export async function* trainWatched<M extends { readonly loss: number }>(
  options: LocalTraining,
  watch: Watch<M>,
): AsyncGenerator<WatchedStep<M>, Best> {
  const { bert } = options;
  const before = async (): Promise<Best> => ({
    step: 0,
    loss: (await watch.evaluate()).loss,
    weights: bert.trainable(),
  });
  let best = watch.resume?.best ?? (await before());
  let worse = watch.resume?.worse ?? 0;
  for await (const step of trainLocally(options)) {
    const due = step.step % watch.every === 0 || step.step === step.steps;
    const metrics = due ? await watch.evaluate() : undefined;
    if (metrics !== undefined) {
      worse = metrics.loss < best.loss ? 0 : worse + 1;
      if (worse === 0) best = { step: step.step, loss: metrics.loss, weights: bert.trainable() };
    }
    const now = { best, worse };
    yield { ...step, metrics, watched: () => now };
    if (worse >= watch.patience) break;
  }
  bert.setTrainable(best.weights);
  return best;
}
