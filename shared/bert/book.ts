import type { Value } from '../engine/graph.ts';
import type { Ops } from '../engine/ops.ts';

/** A gradient that is a product of the rows that went into a layer and the gradients that came back to it. */
interface LinearEntry {
  readonly weight: string | undefined;
  readonly bias: string | undefined;
  /** Rows of input [N, d] and output gradient [N, p]; N = units × rows a unit. */
  readonly input: Value;
  readonly gradient: Value;
}

/** A parameter whose gradient for each unit is small enough to hold: [U, n]. */
interface UnitEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly perUnit: Value;
}

/**
 * Book-keeping for private gradients in one backward pass (Li et al. 2022, "Large language models can be strong
 * differentially private learners", §4; Bu et al. 2023, "Differentially private optimization on large models at small
 * cost", "book-keeping"). While the backward pass is traced each layer notes what its gradient is made of. From that
 * follow the squared gradient norm of every unit (an example, or a person's examples together) without any unit's
 * gradient being formed, and then the sum of gradients weighted by clip factor × weight.
 */
export class Book {
  readonly #ops: Ops;
  readonly #units: number;
  readonly #trains: (name: string) => boolean;
  readonly #linears: LinearEntry[] = [];
  readonly #perUnit: UnitEntry[] = [];
  readonly #norms = new Map<string, Value>();
  readonly #grams = new Map<number, Value>();
  readonly #weighted = new Map<number, Value>();
  /** Per-unit gradients already formed for the norm, reused for the sum. */
  readonly #formed = new Map<string, Value>();

  constructor(ops: Ops, units: number, trains: (name: string) => boolean) {
    this.#ops = ops;
    this.#units = units;
    this.#trains = trains;
  }

  /** y = x·Wᵀ + b. Either name may be absent. */
  linear(weight: string | undefined, bias: string | undefined, input: Value, gradient: Value): void {
    const keep = (name: string | undefined): string | undefined =>
      name !== undefined && this.#trains(name) ? name : undefined;
    const entry = { weight: keep(weight), bias: keep(bias), input, gradient };
    if (entry.weight !== undefined || entry.bias !== undefined) this.#linears.push(entry);
  }

  /** y = normalised ∘ γ + β, rows [N, n]. */
  norm(gamma: string, beta: string, normalised: Value, gradient: Value): void {
    if (this.#trains(gamma)) this.perRow(gamma, this.#ops.mul(gradient, normalised));
    if (this.#trains(beta)) this.perRow(beta, gradient);
  }

  /** A vector parameter whose gradient is the sum of these rows [N, n]. */
  perRow(name: string, rows: Value): void {
    if (!this.#trains(name)) return;
    const perUnit = this.#ops.reduceSum(this.byUnit(rows), [1]);
    this.#perUnit.push({ name, shape: perUnit.shape.slice(1), perUnit });
  }

  /** A squared norm [U] worked out by the caller (embeddings, tied decoder). */
  squaredNorm(name: string, value: Value): void {
    this.#norms.set(name, value);
  }

  /** Whether a parameter trains, and so needs a norm and a sum. */
  trains(name: string): boolean {
    return this.#trains(name);
  }

  /** Rows [N, n] as [U, rows a unit, n]. */
  byUnit(rows: Value): Value {
    const [n, width] = rows.shape as [number, number];
    return this.#ops.reshape(rows, [this.#units, n / this.#units, width]);
  }

  /** All inner products of a unit's rows: X·Xᵀ, [U, S, S]. Formed once for a value: query, key and value share it. */
  gram(rows: Value): Value {
    const known = this.#grams.get(rows.id);
    if (known !== undefined) return known;
    const x = this.byUnit(rows);
    const gram = this.#ops.matmul(x, x, { b: true });
    this.#grams.set(rows.id, gram);
    return gram;
  }

  /** Squared gradient norms [U] by parameter. */
  squaredNorms(): Map<string, Value> {
    const out = new Map(this.#norms);
    const ops = this.#ops;
    for (const { name, perUnit } of this.#perUnit) out.set(name, ops.dotRows(perUnit, perUnit));
    // A tied weight is used twice: as a linear layer here, and with its other use and the cross term in #norms.
    const add = (name: string, value: Value): void => {
      const known = out.get(name);
      out.set(name, known === undefined ? value : ops.add(known, value));
    };
    for (const entry of this.#linears) {
      if (entry.weight !== undefined) add(entry.weight, this.#linearNorm(entry.weight, entry));
      if (entry.bias !== undefined) {
        const perUnit = ops.reduceSum(this.byUnit(entry.gradient), [1]);
        out.set(entry.bias, ops.dotRows(perUnit, perUnit));
        this.#formed.set(entry.bias, perUnit);
      }
    }
    return out;
  }

  /** Σ_u factor_u · gradient_u by parameter; `factors` [U]. Call after `squaredNorms`. */
  weightedSums(factors: Value): Map<string, Value> {
    const out = new Map<string, Value>();
    for (const { name, shape, perUnit } of this.#perUnit) out.set(name, this.#combine(factors, perUnit, shape));
    for (const entry of this.#linears) {
      const shape = [entry.gradient.shape[1] as number, entry.input.shape[1] as number];
      if (entry.weight !== undefined) {
        const formed = this.#formed.get(entry.weight);
        out.set(
          entry.weight,
          formed === undefined ? this.#weightedProduct(factors, entry) : this.#combine(factors, formed, shape),
        );
      }
      if (entry.bias !== undefined) {
        out.set(entry.bias, this.#combine(factors, this.#formed.get(entry.bias) as Value, shape.slice(0, 1)));
      }
    }
    return out;
  }

  /** Σ gradient by parameter, for a backward pass whose loss already carries the weights. */
  plainSums(): Map<string, Value> {
    const ops = this.#ops;
    const out = new Map<string, Value>();
    for (const { name, perUnit } of this.#perUnit) out.set(name, ops.reduceSum(perUnit, [0]));
    for (const { weight, bias, input, gradient } of this.#linears) {
      if (weight !== undefined) out.set(weight, ops.matmul(gradient, input, { a: true }));
      if (bias !== undefined) out.set(bias, ops.reduceSum(gradient, [0]));
    }
    return out;
  }

  /** Rows [N, n], each times its unit's factor [U]. */
  weightedRows(factors: Value, rows: Value): Value {
    const known = this.#weighted.get(rows.id);
    if (known !== undefined) return known;
    const scaled = this.#ops.mul(this.byUnit(rows), this.#ops.reshape(factors, [this.#units, 1, 1]));
    const value = this.#ops.reshape(scaled, rows.shape);
    this.#weighted.set(rows.id, value);
    return value;
  }

  /** ‖AᵀG‖² of each unit: from two Gram matrices when those are smaller than the gradient, else from the gradient. */
  #linearNorm(name: string, { input, gradient }: LinearEntry): Value {
    const ops = this.#ops;
    const rows = (input.shape[0] as number) / this.#units;
    const [d, p] = [input.shape[1] as number, gradient.shape[1] as number];
    if (2 * rows * rows < d * p) return ops.dotRows(this.gram(input), this.gram(gradient));
    const perUnit = ops.matmul(this.byUnit(gradient), this.byUnit(input), { a: true });
    if (d * p <= rows * (d + p)) this.#formed.set(name, ops.reshape(perUnit, [this.#units, p * d]));
    return ops.dotRows(perUnit, perUnit);
  }

  /** factors [U] · perUnit [U, n], as `shape`. */
  #combine(factors: Value, perUnit: Value, shape: readonly number[]): Value {
    const row = this.#ops.matmul(this.#ops.reshape(factors, [1, this.#units]), perUnit);
    return this.#ops.reshape(row, shape);
  }

  /** (c∘G)ᵀ·A, scaling the narrower side. */
  #weightedProduct(factors: Value, { input, gradient }: LinearEntry): Value {
    const ops = this.#ops;
    if ((input.shape[1] as number) <= (gradient.shape[1] as number)) {
      return ops.matmul(gradient, this.weightedRows(factors, input), { a: true });
    }
    return ops.matmul(this.weightedRows(factors, gradient), input, { a: true });
  }
}
