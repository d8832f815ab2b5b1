import { TacitError } from '../core/errors.ts';
import type { AggregationErrorCode } from './errors.ts';
import type { Vector } from './fedavg.ts';

/** The server's step on a mean update Δ (what clients would add to the weights: a delta, or minus a gradient). */
export type ServerOptimizerSpec =
  | {
      /** x ← x + η·m with m ← β·m + Δ (FedAvgM, Hsu et al. 2019); β = 0 and η = 1 is FedAvg. */
      readonly optimizer: 'sgd';
      readonly learningRate: number;
      readonly momentum?: number;
    }
  | {
      /** Reddi et al. 2021, Algorithm 2: no bias correction, v starts at τ². */
      readonly optimizer: 'adagrad' | 'adam' | 'yogi';
      readonly learningRate: number;
      /** β₁; default 0.9, for `adagrad` 0. */
      readonly momentum?: number;
      /** β₂; default 0.99. Not used by `adagrad`. */
      readonly beta2?: number;
      /** Degree of adaptivity; default 1e-3. */
      readonly tau?: number;
    };

/** All that a step depends on besides its inputs; written to the store for crash recovery. */
export interface ServerOptimizerState {
  readonly optimizer: ServerOptimizerSpec['optimizer'];
  readonly steps: number;
  readonly momentum: Float64Array;
  /** Empty for `sgd`. */
  readonly secondMoment: Float64Array;
}

export interface ServerOptimizer {
  /** The next weights, a new array of the same type. @throws AGGREGATION_INPUT */
  step<V extends Vector>(weights: V, meanUpdate: Vector): V;
  /** A copy. */
  state(): ServerOptimizerState;
}

/** Deterministic: the same spec, state and inputs give the same bits. @throws AGGREGATION_OPTION, AGGREGATION_STATE */
export function createServerOptimizer(spec: ServerOptimizerSpec, state?: ServerOptimizerState): ServerOptimizer {
  const beta1 = spec.momentum ?? (spec.optimizer === 'adam' || spec.optimizer === 'yogi' ? 0.9 : 0);
  requireSpec(spec, beta1);
  if (state !== undefined && state.optimizer !== spec.optimizer) {
    throw new TacitError<AggregationErrorCode>(
      'AGGREGATION_STATE',
      `state of ${state.optimizer} was given to ${spec.optimizer}`,
    );
  }
  let steps = state?.steps ?? 0;
  let m = state?.momentum.slice() ?? new Float64Array(0);
  let v = state?.secondMoment.slice() ?? new Float64Array(0);
  const tau = spec.optimizer === 'sgd' ? 0 : (spec.tau ?? 1e-3);
  const prepare = (length: number): void => {
    if (steps === 0) {
      m = new Float64Array(length);
      v = spec.optimizer === 'sgd' ? v : new Float64Array(length).fill(tau * tau);
    }
    if (m.length !== length) {
      throw new TacitError<AggregationErrorCode>('AGGREGATION_INPUT', `${length} weights for a state of ${m.length}`);
    }
  };
  return {
    step(weights, meanUpdate) {
      if (weights.length !== meanUpdate.length) {
        throw new TacitError<AggregationErrorCode>(
          'AGGREGATION_INPUT',
          `${meanUpdate.length} updates for ${weights.length} weights`,
        );
      }
      prepare(weights.length);
      steps++;
      const next = weights.slice() as typeof weights;
      // FedAvgM sums its updates; the adaptive methods average them (Algorithm 2, line 8).
      const fresh = spec.optimizer === 'sgd' ? 1 : 1 - beta1;
      for (let i = 0; i < next.length; i++) {
        const d = meanUpdate[i] as number;
        const moment = beta1 * (m[i] as number) + fresh * d;
        m[i] = moment;
        if (spec.optimizer === 'sgd') next[i] = (weights[i] as number) + spec.learningRate * moment;
        else {
          const second = secondMoment(spec, v[i] as number, d * d);
          v[i] = second;
          next[i] = (weights[i] as number) + (spec.learningRate * moment) / (Math.sqrt(second) + tau);
        }
      }
      return next;
    },
    state: () => ({ optimizer: spec.optimizer, steps, momentum: m.slice(), secondMoment: v.slice() }),
  };
}

function secondMoment(
  spec: ServerOptimizerSpec & { optimizer: 'adagrad' | 'adam' | 'yogi' },
  v: number,
  square: number,
): number {
  const beta2 = spec.beta2 ?? 0.99;
  if (spec.optimizer === 'adagrad') return v + square;
  if (spec.optimizer === 'adam') return beta2 * v + (1 - beta2) * square;
  return v - (1 - beta2) * square * Math.sign(v - square);
}

function requireSpec(spec: ServerOptimizerSpec, beta1: number): void {
  const wrong = (name: string, value: number): never => {
    throw new TacitError<AggregationErrorCode>('AGGREGATION_OPTION', `server ${name} ${value} is out of range`);
  };
  if (!(spec.learningRate > 0 && Number.isFinite(spec.learningRate))) wrong('learning rate', spec.learningRate);
  if (!(beta1 >= 0 && beta1 < 1)) wrong('momentum', beta1);
  if (spec.optimizer === 'sgd') return;
  if (spec.beta2 !== undefined && !(spec.beta2 >= 0 && spec.beta2 < 1)) wrong('beta2', spec.beta2);
  if (spec.tau !== undefined && !(spec.tau > 0)) wrong('tau', spec.tau);
}
