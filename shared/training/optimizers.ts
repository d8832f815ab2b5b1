import { TacitError } from '../core/errors.ts';
import type { Workspace } from '../kernels/module.ts';
import { openOptimizerKernels } from '../kernels/optimizer.ts';
import type { OptimizerKernels } from '../kernels/optimizer-js.ts';
import type { TrainingErrorCode } from './errors.ts';

/** Parameters, gradients and moments share one type. float32 goes through the kernels; float64 is for tests. */
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
  /**
   * One step in place.
   * @param decayed - 1 where decay or L2 applies, else 0; absent: everywhere. Must not change from step to step
   * @param scale - what the gradient is to be multiplied with, e.g. 1 / examples; default 1
   * @throws TRAINING_SHAPE
   */
  step(parameters: Vector, gradient: Vector, learningRate: number, decayed?: Uint8Array, scale?: number): void;
  /** Copies, for a checkpoint. */
  state(): OptimizerState;
}

/**
 * SGD, Adam (Kingma & Ba 2015) and AdamW as torch.optim defines them.
 * @param space where the moments are kept; when parameters and gradient are there too nothing is copied (trainingSpace)
 * @throws TRAINING_OPTION
 */
export function createOptimizer(spec: OptimizerSpec, state?: OptimizerState, space?: Workspace): Optimizer {
  let step = state?.step ?? 0;
  const vectors: Record<string, Vector> = {};
  const update = spec.kind === 'sgd' ? sgd(spec, space) : adam(spec, space);
  const allocate = (like: Vector): Vector =>
    like instanceof Float64Array
      ? new Float64Array(like.length)
      : (space?.floats(like.length) ?? new Float32Array(like.length));
  for (const [name, vector] of Object.entries(state?.vectors ?? {})) {
    vectors[name] = allocate(vector);
    vectors[name].set(vector);
  }
  return {
    step(parameters, gradient, learningRate, decayed, scale = 1) {
      if (parameters.length !== gradient.length) {
        throw new TacitError<TrainingErrorCode>(
          'TRAINING_SHAPE',
          `${gradient.length} gradients for ${parameters.length} parameters`,
        );
      }
      step++;
      const buffer = (name: string): Vector => {
        vectors[name] ??= allocate(parameters);
        return vectors[name];
      };
      update({ p: parameters, g: gradient, lr: learningRate, step, buffer, decayed, scale });
    },
    state: () => ({ step, vectors: Object.fromEntries(Object.entries(vectors).map(([k, v]) => [k, v.slice()])) }),
  };
}

interface Step {
  readonly p: Vector;
  readonly g: Vector;
  readonly lr: number;
  /** 1-based. */
  readonly step: number;
  readonly buffer: (name: string) => Vector;
  readonly decayed: Uint8Array | undefined;
  readonly scale: number;
}

function sgd(spec: OptimizerSpec & { kind: 'sgd' }, space?: Workspace): (step: Step) => void {
  const { momentum = 0, nesterov = false, l2 = 0 } = spec;
  requireRange('momentum', momentum, 0, 1);
  const kernels = momentum === 0 ? undefined : openOptimizerKernels(space);
  return (now) => {
    const { p, g, lr, step, scale } = now;
    const m = momentum === 0 ? undefined : now.buffer('momentum');
    const numbers = {
      scale,
      rate: lr,
      kept: step === 1 ? 0 : momentum,
      ahead: nesterov ? momentum : 1,
      direct: nesterov ? 1 : 0,
    };
    if (kernels !== undefined && allSingle([p, g, m])) {
      for (const { start, end, decays } of runs(now.decayed, p.length, l2 !== 0)) {
        const [a, b, c] = cut([p, g, m as Float32Array], start, end) as [Float32Array, Float32Array, Float32Array];
        kernels.momentum(a, b, c, { ...numbers, l2: decays ? l2 : 0 });
      }
      return;
    }
    for (let i = 0; i < p.length; i++) {
      const x = p[i] as number;
      let d = scale * (g[i] as number) + (now.decayed?.[i] === 0 ? 0 : l2 * x);
      if (m !== undefined) {
        const b = numbers.kept * (m[i] as number) + d;
        m[i] = b;
        d = numbers.direct * d + numbers.ahead * b;
      }
      p[i] = x - lr * d;
    }
  };
}

function adam(spec: OptimizerSpec & { kind: 'adam' | 'adamw' }, space?: Workspace): (step: Step) => void {
  const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8 } = spec;
  const penalty = spec.kind === 'adam' ? (spec.l2 ?? 0) : 0;
  const weightDecay = spec.kind === 'adamw' ? (spec.weightDecay ?? 0) : 0;
  requireRange('beta1', beta1, 0, 1);
  requireRange('beta2', beta2, 0, 1);
  const kernels = openOptimizerKernels(space);
  return (now) => {
    const { p, g, lr, step, scale } = now;
    const m = now.buffer('exp_avg');
    const v = now.buffer('exp_avg_sq');
    const size = lr / (1 - beta1 ** step);
    const root = 1 / Math.sqrt(1 - beta2 ** step);
    const numbers = { scale, fresh1: 1 - beta1, beta2, fresh2: 1 - beta2, size, root, eps };
    for (const { start, end, decays } of runs(now.decayed, p.length, penalty !== 0 || weightDecay !== 0)) {
      const parts = cut([p, g, m, v], start, end) as [Vector, Vector, Vector, Vector];
      const all = { ...numbers, l2: decays ? penalty : 0, decay: decays ? lr * weightDecay : 0 };
      adamRun(kernels, parts, all);
    }
  };
}

function adamRun(
  kernels: OptimizerKernels,
  parts: readonly [Vector, Vector, Vector, Vector],
  numbers: Parameters<OptimizerKernels['adam']>[4],
): void {
  if (allSingle(parts)) {
    kernels.adam(...(parts as readonly [Float32Array, Float32Array, Float32Array, Float32Array]), numbers);
    return;
  }
  const [p, g, m, v] = parts;
  const { scale, l2, decay, fresh1, beta2, fresh2, size, root, eps } = numbers;
  for (let i = 0; i < p.length; i++) {
    const x = p[i] as number;
    const d = scale * (g[i] as number) + l2 * x;
    const first = (m[i] as number) + fresh1 * (d - (m[i] as number));
    const second = beta2 * (v[i] as number) + fresh2 * d * d;
    m[i] = first;
    v[i] = second;
    p[i] = x - (decay * x + (size * first) / (Math.sqrt(second) * root + eps));
  }
}

function allSingle(vectors: readonly (Vector | undefined)[]): boolean {
  return vectors.every((vector) => vector instanceof Float32Array);
}

function cut(vectors: readonly Vector[], start: number, end: number): readonly Vector[] {
  return vectors.map((vector) => (start === 0 && end === vector.length ? vector : vector.subarray(start, end)));
}

interface Run {
  readonly start: number;
  readonly end: number;
  readonly decays: boolean;
}

const knownRuns = new WeakMap<Uint8Array, readonly Run[]>();

/** Stretches of the vector in which decay applies throughout or nowhere. */
function runs(decayed: Uint8Array | undefined, length: number, matters: boolean): readonly Run[] {
  if (decayed === undefined || !matters) return [{ start: 0, end: length, decays: true }];
  const known = knownRuns.get(decayed);
  if (known !== undefined) return known;
  const out: Run[] = [];
  for (let start = 0; start < length; ) {
    const decays = decayed[start] !== 0;
    const next = decayed.indexOf(decays ? 0 : 1, start);
    const end = next === -1 ? length : next;
    out.push({ start, end, decays });
    start = end;
  }
  knownRuns.set(decayed, out);
  return out;
}

function requireRange(name: string, value: number, from: number, below: number): void {
  if (value >= from && value < below) return;
  throw new TacitError<TrainingErrorCode>('TRAINING_OPTION', `${name} ${value} is not in [${from}, ${below})`);
}
