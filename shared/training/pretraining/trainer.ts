import type { Layout } from '../../tensor/layout.ts';
import { createOptimizer, type Optimizer, type OptimizerState } from '../optimizers.ts';
import { learningRateAt, type Schedule } from '../schedules.ts';

export interface TrainerOptions {
  readonly layout: Layout;
  /** The start; changed in place from step to step. */
  readonly parameters: Float32Array;
  readonly steps: number;
  /** Highest learning rate, after 6 % of the steps; then down a line to 0. */
  readonly learningRate: number;
  /** Decoupled; not on biases and layer norms. */
  readonly weightDecay: number;
  /** Steps before the weights are averaged; absent: they are not. */
  readonly averageFrom?: number;
  /** To go on from. */
  readonly state?: TrainerState;
}

/** Everything that a later step depends on. */
export interface TrainerState {
  /** Steps taken. */
  readonly step: number;
  readonly parameters: Float32Array;
  readonly optimizer: OptimizerState;
  /** Mean of the parameters after each step from `averageFrom` on; empty before. */
  readonly average: Float32Array;
}

const WARM_UP_SHARE = 0.06;
/** Longest gradient of a step, as BERT's own training had it. */
const GRADIENT_CLIP = 1;

/** AdamW with gradient clipping, warm-up and linear decay: what both kinds of training on public text share. */
export class Trainer {
  readonly parameters: Float32Array;
  readonly #options: TrainerOptions;
  readonly #optimizer: Optimizer;
  readonly #schedule: Schedule & { readonly warmupSteps: number };
  readonly #decayed: Uint8Array;
  #step: number;
  #average: Float32Array;

  constructor(options: TrainerOptions) {
    const { steps, learningRate, weightDecay, state } = options;
    this.#options = options;
    this.parameters = options.parameters;
    if (state !== undefined) this.parameters.set(state.parameters);
    this.#optimizer = createOptimizer({ kind: 'adamw', weightDecay }, state?.optimizer);
    const warmupSteps = Math.ceil(steps * WARM_UP_SHARE);
    this.#schedule = { kind: 'linear', learningRate, warmupSteps, totalSteps: steps };
    this.#decayed = decays(options.layout);
    this.#step = state?.step ?? 0;
    this.#average = state?.average ?? new Float32Array(0);
  }

  /** Steps taken. */
  get step(): number {
    return this.#step;
  }

  /** One step along the gradient, which is clipped in place. */
  take(gradient: Float32Array): void {
    clip(gradient);
    // Step 0 of a warm-up has rate 0: it would be a step lost.
    const at = Math.max(this.#step, Math.min(1, this.#schedule.warmupSteps));
    this.#optimizer.step(this.parameters, gradient, learningRateAt(this.#schedule, at), this.#decayed);
    this.#step += 1;
    const { averageFrom = Number.POSITIVE_INFINITY } = this.#options;
    if (this.#step > averageFrom) this.#pushAverage(this.#step - averageFrom);
  }

  /** The average of the later steps, or the parameters where there is none. */
  result(): Float32Array {
    return this.#average.length === 0 ? this.parameters : this.#average;
  }

  state(): TrainerState {
    return {
      step: this.#step,
      parameters: this.parameters.slice(),
      optimizer: this.#optimizer.state(),
      average: this.#average.slice(),
    };
  }

  #pushAverage(count: number): void {
    if (this.#average.length === 0) this.#average = new Float32Array(this.parameters.length);
    const mean = this.#average;
    for (let i = 0; i < mean.length; i++) {
      const old = mean[i] as number;
      mean[i] = old + ((this.parameters[i] as number) - old) / count;
    }
  }
}

function decays(layout: Layout): Uint8Array {
  const out = new Uint8Array(layout.length);
  for (const { name, offset, length } of layout.entries) {
    if (name.endsWith('.weight') && !name.includes('LayerNorm')) out.fill(1, offset, offset + length);
  }
  return out;
}

function clip(gradient: Float32Array): void {
  let squares = 0;
  for (let i = 0; i < gradient.length; i++) squares += (gradient[i] as number) ** 2;
  const factor = GRADIENT_CLIP / Math.sqrt(squares);
  if (factor < 1) for (let i = 0; i < gradient.length; i++) gradient[i] = (gradient[i] as number) * factor;
}
