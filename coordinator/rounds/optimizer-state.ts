import { z } from 'zod';
import type { ServerOptimizerSpec, ServerOptimizerState } from '../../shared/aggregation/server-optimizers.ts';
import { concat, fromUtf8 } from '../../shared/core/bytes.ts';
import { canonicalBytes } from '../../shared/core/canonical.ts';
import { TacitError } from '../../shared/core/errors.ts';
import type { Store, StoreErrorCode } from '../../shared/store/port.ts';

/**
 * What the store keeps of a server optimizer between rounds: a blob that lists the pieces of its vectors, each a blob of its
 * own (momentum ‖ second moment, float64 little-endian), so that a step holds one piece at a time. No pieces: all zeros.
 */
const listed = z.strictObject({
  optimizer: z.enum(['sgd', 'adam', 'adagrad', 'yogi']),
  steps: z.number().int().min(0),
  /** By position in the vector. */
  pieces: z.array(z.string().regex(/^[0-9a-f]{64}$/)),
});
type Listed = z.output<typeof listed>;

/** Before the first step. @returns SHA-256 of the list */
export function freshOptimizer(store: Store, { optimizer }: ServerOptimizerSpec): Promise<string> {
  return store.putBlob(canonicalBytes({ optimizer, steps: 0, pieces: [] } satisfies Listed));
}

/** One step from one stored state to the next, piece by piece in any order. */
export class StoredOptimizer {
  readonly #store: Store;
  readonly #before: Listed;
  readonly #after: string[] = [];

  private constructor(store: Store, before: Listed) {
    this.#store = store;
    this.#before = before;
  }

  /** @throws STORE_CORRUPT, STORE_BLOB_MISSING */
  static async open(store: Store, sha256: string): Promise<StoredOptimizer> {
    const bytes = await store.getBlob(sha256);
    try {
      return new StoredOptimizer(store, listed.parse(JSON.parse(fromUtf8(bytes))));
    } catch (cause) {
      throw new TacitError<StoreErrorCode>('STORE_CORRUPT', 'not a list of an optimizer’s pieces', {
        where: `blob ${sha256}`,
        cause,
      });
    }
  }

  /** State of piece `k`, which has `length` numbers. */
  async piece(k: number, length: number): Promise<ServerOptimizerState> {
    const { optimizer, steps, pieces } = this.#before;
    const sha256 = pieces[k];
    if (sha256 === undefined) {
      const zeros = new Float64Array(steps === 0 ? 0 : length);
      return { optimizer, steps, momentum: zeros, secondMoment: new Float64Array(0) };
    }
    const bytes = await this.#store.getBlob(sha256);
    const momentum = float64(bytes, 0, length);
    return { optimizer, steps, momentum, secondMoment: float64(bytes, length, bytes.length / 8 - length) };
  }

  /** What is left of piece `k`. Plain averaging leaves nothing that the next step reads. */
  async keep(k: number, { momentum, secondMoment }: ServerOptimizerState, { momentum: beta = 0 }: ServerOptimizerSpec) {
    if (this.#before.optimizer === 'sgd' && beta === 0) return;
    this.#after[k] = await this.#store.putBlob(concat(float64Bytes(momentum), float64Bytes(secondMoment)));
  }

  /** @returns SHA-256 of the list of what was kept */
  finish(): Promise<string> {
    const { optimizer, steps } = this.#before;
    return this.#store.putBlob(canonicalBytes({ optimizer, steps: steps + 1, pieces: this.#after } satisfies Listed));
  }
}

function float64(bytes: Uint8Array, first: number, length: number): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length }, (_, i) => view.getFloat64(8 * (first + i), true));
}

function float64Bytes(values: Float64Array): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) view.setFloat64(8 * i, values[i] as number, true);
  return bytes;
}
