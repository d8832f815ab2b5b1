import { TacitError } from '../core/errors.ts';
import type { TrainingErrorCode } from './errors.ts';

/** Parameters, gradients and moments share one type; float64 is for tests. */
export type Vector = Float32Array | Float64Array;

export type OptimizerSpec =
  | {
      readonly kind: 'sgd';
      /** 0 ≤ momentum < 1; default 0. The first buffer is the gradient itself, as in PyTorch. */
      readonly momentum?: number;
      readonly nesterov?: boolean;
      /** L2 penalty: l2·p is added to the gradient. */
      readonly l2?: number;
    }
  | {
      readonly kind: 'adam' | 'adamw';
      readonly beta1?: number;
      readonly beta2?: number;
      /** Outside the square root. */
      readonly eps?: number;
      /** `adam`: L2 penalty, added to the gradient. */
      readonly l2?: number;
      /** `adamw`: decoupled, p ← p·(1 − lr·weightDecay) before the step (Loshchilov & Hutter 2019). */
      readonly weightDecay?: number;
    };

export interface OptimizerState {
  /** Steps taken. */
  readonly step: number;
  readonly vectors: Readonly<Record<string, Vector>>;
}

export interface Optimizer {
  /** One step in place. @param decayed - 1 where decay or L2 applies; absent: everywhere. @throws TRAINING_SHAPE */
  step(parameters: Vector, gradient: Vector, learningRate: number, decayed?: Uint8Array): void;
  /** Copies, for a checkpoint. */
  state(): OptimizerState;
}

/** SGD, Adam (Kingma & Ba 2015) and AdamW as torch.optim defines them. @throws TRAINING_OPTION */
export function createOptimizer(spec: OptimizerSpec, state?: OptimizerState): Optimizer {
  let step = state?.step ?? 0;
  const vectors: Record<string, Vector> = Object.fromEntries(
    Object.entries(state?.vectors ?? {}).map(([k, v]) => [k, v.slice()]),
  );
  const update = spec.kind === 'sgd' ? sgd(spec) : adam(spec);
  return {
    step(parameters, gradient, learningRate, decayed) {
      if (parameters.length !== gradient.length) {
        throw new TacitError<TrainingErrorCode>(
          'TRAINING_SHAPE',
          `${gradient.length} gradients for ${parameters.length} parameters`,
        );
      }
      step++;
      const buffer = (name: string): Vector => {
        vectors[name] ??=
          parameters instanceof Float64Array
            ? new Float64Array(parameters.length)
            : new Float32Array(parameters.length);
        return vectors[name];
      };
      update(parameters, gradient, learningRate, step, buffer, decayed);
    },
    state: () => ({ step, vectors: Object.fromEntries(Object.entries(vectors).map(([k, v]) => [k, v.slice()])) }),
  };
}

type Update = (
  p: Vector,
  g: Vector,
  lr: number,
  step: number,
  buffer: (name: string) => Vector,
  decayed?: Uint8Array,
) => void;

function sgd({ momentum = 0, nesterov = false, l2 = 0 }: OptimizerSpec & { kind: 'sgd' }): Update {
  requireRange('momentum', momentum, 0, 1);
  return (p, g, lr, step, buffer, decayed) => {
    const m = momentum === 0 ? undefined : buffer('momentum');
    for (let i = 0; i < p.length; i++) {
      const x = p[i] as number;
      let d = (g[i] as number) + (decayed?.[i] === 0 ? 0 : l2 * x);
      if (m !== undefined) {
        const b = step === 1 ? d : momentum * (m[i] as number) + d;
        m[i] = b;
        d = nesterov ? d + momentum * b : b;
      }
      p[i] = x - lr * d;
    }
  };
}

function adam(spec: OptimizerSpec & { kind: 'adam' | 'adamw' }): Update {
  const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8 } = spec;
  const l2 = spec.kind === 'adam' ? (spec.l2 ?? 0) : 0;
  const weightDecay = spec.kind === 'adamw' ? (spec.weightDecay ?? 0) : 0;
  requireRange('beta1', beta1, 0, 1);
  requireRange('beta2', beta2, 0, 1);
  return (p, g, lr, step, buffer, decayed) => {
    const m = buffer('exp_avg');
    const v = buffer('exp_avg_sq');
    const size = lr / (1 - beta1 ** step);
    const root = Math.sqrt(1 - beta2 ** step);
    for (let i = 0; i < p.length; i++) {
      const decays = decayed?.[i] !== 0;
      const x = (p[i] as number) * (decays ? 1 - lr * weightDecay : 1);
      const d = (g[i] as number) + (decays ? l2 * x : 0);
      const m1 = (m[i] as number) + (1 - beta1) * (d - (m[i] as number));
      const v1 = beta2 * (v[i] as number) + (1 - beta2) * d * d;
      m[i] = m1;
      v[i] = v1;
      p[i] = x - (size * m1) / (Math.sqrt(v1) / root + eps);
    }
  };
}

function requireRange(name: string, value: number, from: number, below: number): void {
  if (value >= from && value < below) return;
  throw new TacitError<TrainingErrorCode>('TRAINING_OPTION', `${name} ${value} is not in [${from}, ${below})`);
}
