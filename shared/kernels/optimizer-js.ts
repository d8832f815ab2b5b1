/** Constants of one Adam or AdamW step (Kingma & Ba 2015; Loshchilov & Hutter 2019). */
export interface AdamNumbers {
  /** The gradient is `scale` times what is in the vector. */
  readonly scale: number;
  /** L2 penalty, added to the gradient. */
  readonly l2: number;
  /** Decoupled: learning rate × weight decay. */
  readonly decay: number;
  /** 1 − β₁. */
  readonly fresh1: number;
  readonly beta2: number;
  /** 1 − β₂. */
  readonly fresh2: number;
  /** Learning rate / (1 − β₁ᵗ). */
  readonly size: number;
  /** 1 / √(1 − β₂ᵗ). */
  readonly root: number;
  readonly eps: number;
}

/** Constants of one step of SGD with momentum. */
export interface SgdNumbers {
  readonly scale: number;
  readonly l2: number;
  /** Learning rate. */
  readonly rate: number;
  /** How much of the buffer is kept: 0 in the first step, then the momentum. */
  readonly kept: number;
  /** What the buffer adds to the step: 1, with Nesterov the momentum. */
  readonly ahead: number;
  /** What the gradient itself adds: 0, with Nesterov 1. */
  readonly direct: number;
}

/** Steps in place on vectors of one length: p parameters, g gradient, m and v moments. */
export interface OptimizerKernels {
  readonly kind: 'wasm' | 'typescript';
  adam(p: Float32Array, g: Float32Array, m: Float32Array, v: Float32Array, numbers: AdamNumbers): void;
  momentum(p: Float32Array, g: Float32Array, m: Float32Array, numbers: SgdNumbers): void;
}

const f = Math.fround;

/**
 * The kernels for platforms without WebAssembly SIMD, and what the others are tested against. float64 rounded to float32
 * after each +, −, ×, ÷ and √ is exactly the float32 operation, since 53 ≥ 2·24 + 2 (Figueroa 1995).
 */
export const optimizerInTypeScript: OptimizerKernels = {
  kind: 'typescript',
  adam(p, g, m, v, numbers) {
    const { scale, l2, decay, fresh1, beta2, fresh2, size, root, eps } = rounded(numbers);
    for (let i = 0; i < p.length; i++) {
      const x = p[i] as number;
      const d = f(f((g[i] as number) * scale) + f(l2 * x));
      const before = m[i] as number;
      const first = f(before + f(fresh1 * f(d - before)));
      const second = f(f(beta2 * (v[i] as number)) + f(f(fresh2 * d) * d));
      m[i] = first;
      v[i] = second;
      const divisor = f(f(f(Math.sqrt(second)) * root) + eps);
      p[i] = x - f(f(decay * x) + f(f(size * first) / divisor));
    }
  },
  momentum(p, g, m, numbers) {
    const { scale, l2, rate, kept, ahead, direct } = rounded(numbers);
    for (let i = 0; i < p.length; i++) {
      const x = p[i] as number;
      const d = f(f((g[i] as number) * scale) + f(l2 * x));
      const buffer = f(f(kept * (m[i] as number)) + d);
      m[i] = buffer;
      p[i] = x - f(rate * f(f(direct * d) + f(ahead * buffer)));
    }
  },
};

function rounded<T extends object>(numbers: T): T {
  return Object.fromEntries(Object.entries(numbers).map(([name, x]) => [name, f(x as number)])) as T;
}
