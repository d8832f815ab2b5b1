import type { Value } from '../engine/graph.ts';
import type { Ops } from '../engine/ops.ts';

/** A gradient that is a product of the rows that went into a layer and the gradients that came back to it. */
interface LinearEntry {
  readonly weight: string;
  /** Rows of input [N, d] and output gradient [N, p]; N = units × rows a unit. */
  readonly input: Value;
  readonly gradient: Value;
}

/** A vector parameter, whose gradient for each unit is small enough to hold. */
interface VectorEntry {
  readonly name: string;
  /** [U, n] */
  readonly perUnit: Value;
  /** [n] */
  readonly sum: Value;
}

/** A part of all units' Gram matrices, [units × parts, rows, rows]. */
interface GramBlock {
  readonly block: Value;
  /** 2 where it lies below the diagonal and stands for its mirror image too. */
  readonly times: number;
}

/** Fewest rows of a block of a Gram matrix: products of fewer cost more than the half that is spared. */
const BLOCK_ROWS = 128;

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
  readonly #vectors: VectorEntry[] = [];
  readonly #norms = new Map<string, Value>();
  readonly #grams = new Map<number, readonly GramBlock[]>();
  readonly #weighted = new Map<number, Value>();
  /** Per-unit gradients already formed for the norm, reused for the sum. */
  readonly #formed = new Map<string, Value>();
  #side: Value | undefined;

  constructor(ops: Ops, units: number, trains: (name: string) => boolean) {
    this.#ops = ops;
    this.#units = units;
    this.#trains = trains;
  }

  /** y = x·Wᵀ + b. Without `bias` there is none. */
  linear(weight: string, bias: string | undefined, input: Value, gradient: Value): void {
    if (this.#trains(weight)) this.#linears.push({ weight, input, gradient });
    if (bias !== undefined && this.#trains(bias)) this.#vector(bias, gradient, this.#ops.reduceSum(gradient, [0]));
  }

  /** y = normalised ∘ γ + β, rows [N, n]. */
  norm(gamma: string, beta: string, normalised: Value, gradient: Value): void {
    if (this.#trains(gamma)) this.#vector(gamma, this.#ops.mul(gradient, normalised));
    if (this.#trains(beta)) this.#vector(beta, gradient);
  }

  /** A vector parameter whose gradient is the sum of these rows [N, n]. */
  #vector(name: string, rows: Value, sum?: Value): void {
    const perUnit = this.#ops.reduceSum(this.byUnit(rows), [1]);
    this.#vectors.push({ name, perUnit, sum: sum ?? this.#ops.reduceSum(perUnit, [0]) });
  }

  /** Adds to a weight's squared norm [U] what the caller worked out (embeddings, tied decoder). */
  squaredNorm(name: string, value: Value): void {
    const known = this.#norms.get(name);
    this.#norms.set(name, known === undefined ? value : this.#ops.add(known, value));
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

  /** All inner products of a unit's rows: X·Xᵀ, [U, S, S]. */
  gram(rows: Value): Value {
    const x = this.byUnit(rows);
    return this.#ops.matmul(x, x, { b: true });
  }

  /** Squared gradient norms [U] over everything that trains. Vectors are looked at as one, to spare operations. */
  totalSquaredNorm(): Value {
    const ops = this.#ops;
    const parts = [...this.#weightNorms().values()];
    const vectors = this.#vectorsPerUnit();
    if (vectors !== undefined) parts.push(ops.dotRows(vectors, vectors));
    return parts.reduce((a, b) => ops.add(a, b));
  }

  /** The same by parameter. */
  squaredNorms(): Map<string, Value> {
    const vectors = this.#vectors.map(({ name, perUnit }): [string, Value] => [
      name,
      this.#ops.dotRows(perUnit, perUnit),
    ]);
    return new Map([...this.#weightNorms(), ...vectors]);
  }

  /** Σ_u factor_u · gradient_u by parameter; `factors` [U]. Call after the norms were asked for. */
  weightedSums(factors: Value): Map<string, Value> {
    const out = new Map<string, Value>();
    for (const entry of this.#linears) {
      const formed = this.#formed.get(entry.weight);
      const shape = [entry.gradient.shape[1] as number, entry.input.shape[1] as number];
      out.set(
        entry.weight,
        formed === undefined
          ? this.#weightedProduct(factors, entry)
          : this.#ops.reshape(this.#combine(factors, formed), shape),
      );
    }
    const vectors = this.#vectorsPerUnit();
    if (vectors === undefined) return out;
    const sums = this.#combine(factors, vectors);
    let at = 0;
    for (const { name, perUnit } of this.#vectors) {
      const length = perUnit.shape[1] as number;
      out.set(name, this.#ops.slice(sums, 0, at, length));
      at += length;
    }
    return out;
  }

  /** Σ gradient by parameter, for a backward pass whose loss already carries the weights. */
  plainSums(): Map<string, Value> {
    const out = new Map<string, Value>();
    for (const { name, sum } of this.#vectors) out.set(name, sum);
    for (const { weight, input, gradient } of this.#linears)
      out.set(weight, this.#ops.matmul(gradient, input, { a: true }));
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

  /** By weight. One that is used twice (a tied decoder) has its other use and the cross term in #norms. */
  #weightNorms(): Map<string, Value> {
    const out = new Map(this.#norms);
    for (const entry of this.#linears) {
      const [known, norm] = [out.get(entry.weight), this.#linearNorm(entry)];
      out.set(entry.weight, known === undefined ? norm : this.#ops.add(known, norm));
    }
    return out;
  }

  /** Gradients of all vector parameters side by side, [U, their numbers together]. */
  #vectorsPerUnit(): Value | undefined {
    if (this.#vectors.length === 0) return undefined;
    this.#side ??= this.#ops.concat(
      this.#vectors.map(({ perUnit }) => perUnit),
      1,
    );
    return this.#side;
  }

  /** ‖AᵀG‖² of each unit: from two Gram matrices when those are smaller than the gradient, else from the gradient. */
  #linearNorm({ weight, input, gradient }: LinearEntry): Value {
    const ops = this.#ops;
    const rows = (input.shape[0] as number) / this.#units;
    const [d, p] = [input.shape[1] as number, gradient.shape[1] as number];
    if (2 * rows * rows < d * p) return this.#dotGrams(this.#gramBlocks(input), this.#gramBlocks(gradient));
    const perUnit = ops.matmul(this.byUnit(gradient), this.byUnit(input), { a: true });
    if (d * p <= rows * (d + p)) this.#formed.set(weight, ops.reshape(perUnit, [this.#units, p * d]));
    return ops.dotRows(perUnit, perUnit);
  }

  /**
   * A Gram matrix without what its symmetry gives: halves of the rows by themselves, again and again, and the lower half with
   * the upper. Formed once for a value: query, key and value share it.
   */
  #gramBlocks(rows: Value): readonly GramBlock[] {
    const known = this.#grams.get(rows.id);
    if (known !== undefined) return known;
    const ops = this.#ops;
    const blocks: GramBlock[] = [];
    let x = this.byUnit(rows);
    for (;;) {
      const [parts, length, width] = x.shape as [number, number, number];
      const half = length / 2;
      if (!(Number.isInteger(half) && half >= BLOCK_ROWS)) break;
      const [upper, lower] = [ops.slice(x, 1, 0, half), ops.slice(x, 1, half, half)];
      blocks.push({ block: ops.matmul(lower, upper, { b: true }), times: 2 });
      x = ops.reshape(x, [2 * parts, half, width]);
    }
    blocks.push({ block: ops.matmul(x, x, { b: true }), times: 1 });
    this.#grams.set(rows.id, blocks);
    return blocks;
  }

  /** Σ of the products by elements of two Gram matrices of each unit, [U]. */
  #dotGrams(a: readonly GramBlock[], b: readonly GramBlock[]): Value {
    const ops = this.#ops;
    const byUnit = ({ block }: GramBlock): Value => {
      const [parts, rows, columns] = block.shape as [number, number, number];
      return ops.reshape(block, [this.#units, (parts * rows) / this.#units, columns]);
    };
    return a
      .map((part, i) => ops.scale(ops.dotRows(byUnit(part), byUnit(b[i] as GramBlock)), part.times))
      .reduce((sum, part) => ops.add(sum, part));
  }

  /** factors [U] · perUnit [U, n] → [n] */
  #combine(factors: Value, perUnit: Value): Value {
    const row = this.#ops.matmul(this.#ops.reshape(factors, [1, this.#units]), perUnit);
    return this.#ops.reshape(row, perUnit.shape.slice(1));
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
